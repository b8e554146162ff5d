// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"fmt"
	"time"
)

// defaultPatience is how long a replica may stand still, while its leader has more, before it is called stuck. The leaders have the
// first go: they make snapshots for replicas that come no nearer (embeddednats), which is over sooner, and a slow disk or busy
// cores must not look like it. It leaves 9 s of the 15 s after a cut for routes to return and for the restart, during which
// the leader makes its snapshot undisturbed.
const defaultPatience = 6 * time.Second

// stuckReplica is a replica that does not move although its leader has more.
type stuckReplica struct {
	Group  string
	Leader string
	Lag    uint64
	// Since is when it last moved.
	Since time.Time
}

// stillness remembers how far each replica was and since when. It is not for concurrent use.
type stillness struct {
	patience time.Duration
	marks    map[string]mark
}

type mark struct {
	applied, last uint64
	since         time.Time
}

func newStillness(patience time.Duration) *stillness {
	return &stillness{patience: patience, marks: map[string]mark{}}
}

// look takes the next picture and returns all replicas that stand still while their leader has more, for however short a time.
// A replica without a leader, or whose leader can't be asked, is not waiting for anything that a repair could give.
func (s *stillness) look(p picture) []stuckReplica {
	var still []stuckReplica
	for g := range s.marks {
		if _, ok := p.Own[g]; !ok {
			delete(s.marks, g)
		}
	}
	for _, g := range p.groups() {
		lag, ok := p.lag(g)
		if !ok || lag == 0 {
			delete(s.marks, g)
			continue
		}
		own, last := p.Own[g], p.OwnLast[g]
		m, seen := s.marks[g]
		// Not the log's own index: a replica that can't catch up stores and truncates again and again.
		if !seen || own.Applied > m.applied || last > m.last {
			s.marks[g] = mark{applied: max(own.Applied, m.applied), last: max(last, m.last), since: p.At}
			continue
		}
		leader, _ := p.leader(g)
		still = append(still, stuckReplica{Group: g, Leader: leader, Lag: lag, Since: m.since})
	}
	return still
}

// stuck returns those of the replicas that have used up the patience.
func (s *stillness) stuck(still []stuckReplica, now time.Time) []stuckReplica {
	var out []stuckReplica
	for _, r := range still {
		if now.Sub(r.Since) >= s.patience {
			out = append(out, r)
		}
	}
	return out
}

func (r stuckReplica) describe(p picture) string {
	return fmt.Sprintf("the replica of %s is %d behind %s and has not moved for %v", p.name(r.Group), r.Lag, r.Leader, p.At.Sub(r.Since).Round(100*time.Millisecond))
}
