// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"fmt"
	"testing"
)

// However many streams there are, the number of time series is bounded, and what is worst is not hidden.
func TestStreamMetricsAreBounded(t *testing.T) {
	p := follower(0, 9, 9)
	for i := range 3 * streamLimit {
		g := fmt.Sprintf("S-R3F-%04d", i)
		p.Own[g], p.Others["a"][g], p.Others["c"][g] = p.Own[testGroup], p.Others["a"][testGroup], p.Others["c"][testGroup]
		p.Streams[g], p.OwnLast[g] = fmt.Sprint("HISTORY > s", i), 5
	}
	last := p.Others["a"]["S-R3F-0299"]
	last.Applied = 60
	p.Others["a"]["S-R3F-0299"] = last
	got := streamMetrics(p)
	if len(got) != streamLimit+1 {
		t.Fatalf("%d streams, want %d", len(got), streamLimit+1)
	}
	if other := got[streamLimit]; other.stream != "other" || other.account != "" || other.lag != 51 || !other.known || other.leads {
		t.Errorf("the others are told as %+v, want a lag of 51", other)
	}
}

func TestElectionsAreCounted(t *testing.T) {
	m := newMetrics()
	count := func() (n float64) {
		all, err := m.registry.Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range all {
			if f.GetName() == "unibus_raft_elections_total" {
				for _, s := range f.GetMetric() {
					n += s.GetCounter().GetValue()
				}
			}
		}
		return n
	}
	p := follower(0, 9, 9)
	for _, c := range []struct {
		term uint64
		want float64
	}{{3, 0}, {3, 0}, {4, 1}, {7, 4}} {
		w := p.Own[testGroup]
		w.Term = c.term
		p.Own[testGroup] = w
		if m.look(p); count() != c.want {
			t.Errorf("term %d: %v elections, want %v", c.term, count(), c.want)
		}
	}
}
