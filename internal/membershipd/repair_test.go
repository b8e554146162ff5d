// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"strings"
	"testing"
	"time"
)

func TestMayRestart(t *testing.T) {
	const other = "S-R3F-other"
	for name, c := range map[string]struct {
		change func(p *picture)
		want   string // a part of the refusal, empty when it may
	}{
		"all others in sync": {func(*picture) {}, ""},
		"one other is away": {func(p *picture) { delete(p.Others, "c") },
			"group S-R3F-other has 1 members in sync without this node and needs 2"},
		"one other catches up": {func(p *picture) {
			w := p.Others["c"][other]
			w.CatchingUp = true
			p.Others["c"][other] = w
		}, "needs 2"},
		"one other is far behind": {func(p *picture) { p.Others["c"][other] = groupWord{Applied: 9} }, "needs 2"},
		"one other is not a member": {func(p *picture) {
			w := p.Own[other]
			w.Peers = []string{"a", "d"}
			p.Own[other] = w
		}, "needs 2"},
		"a stream has its only replica here": {func(p *picture) { p.Solo = []string{"HISTORY > one"} }, "HISTORY > one"},
		"a group without a leader loses nothing": {func(p *picture) {
			delete(p.Others["a"], other)
			delete(p.Others, "c")
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := follower(0, 1, 5000)
			word := func(id string) groupWord {
				return groupWord{ID: id, Leader: "a", Leads: id == "a", Term: 1, Applied: 5000, Size: 3, Quorum: 2, Peers: []string{"a", "c"}}
			}
			p.Own[other], p.Others["a"][other], p.Others["c"][other] = word("b"), word("a"), word("c")
			c.change(&p)
			got := mayRestart(p, []stuckReplica{{Group: testGroup}})
			if (got == "") != (c.want == "") || !strings.Contains(got, c.want) {
				t.Errorf("refused with %q, want %q", got, c.want)
			}
		})
	}
}

func TestCooldown(t *testing.T) {
	var c cooldown
	now := epoch
	if !c.over(now) {
		t.Fatal("the first repair must wait")
	}
	for i, want := range []time.Duration{10 * time.Second, 20 * time.Second, 40 * time.Second, 80 * time.Second, 160 * time.Second, 5 * time.Minute, 5 * time.Minute} {
		c.repaired(now)
		if c.over(now.Add(want - time.Millisecond)) {
			t.Errorf("repair %d: the next may begin before %v", i+1, want)
		}
		if now = now.Add(want); !c.over(now) {
			t.Errorf("repair %d: the next may not begin after %v", i+1, want)
		}
	}
	c.helped()
	c.repaired(now)
	if !c.over(now.Add(10 * time.Second)) {
		t.Error("after a repair that helped the wait must be short again")
	}
}

func TestClaims(t *testing.T) {
	mine := epoch
	for name, c := range map[string]struct {
		heard map[string]time.Duration // when, counted from the own announcement
		self  string
		want  string
	}{
		"nobody else":              {nil, "b", ""},
		"the own one":              {map[string]time.Duration{"b": 0}, "b", ""},
		"announced before":         {map[string]time.Duration{"c": -time.Second}, "b", "c"},
		"at the same time, lower":  {map[string]time.Duration{"a": time.Millisecond}, "b", "a"},
		"at the same time, higher": {map[string]time.Duration{"c": time.Millisecond}, "b", ""},
		"long ago":                 {map[string]time.Duration{"a": -time.Minute}, "b", ""},
	} {
		t.Run(name, func(t *testing.T) {
			heard := claims{}
			for server, d := range c.heard {
				heard[server] = mine.Add(d)
			}
			if got := heard.yieldTo(c.self, mine, mine.Add(10*time.Millisecond)); got != c.want {
				t.Errorf("yields to %q, want %q", got, c.want)
			}
		})
	}
}
