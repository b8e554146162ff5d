// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"testing"
	"time"
)

const testGroup = "S-R3F-test"

var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// follower is a picture of node b, which follows a in one group, at so many seconds after the epoch.
func follower(at float64, own, leader uint64) picture {
	word := func(id string, applied uint64) groupWord {
		return groupWord{ID: id, Leader: "a", Leads: id == "a", Term: 3, Applied: applied, Size: 3, Quorum: 2, Peers: []string{"a", "c"}}
	}
	return picture{At: epoch.Add(time.Duration(at * float64(time.Second))), Self: "b", Routes: []string{"a", "c"},
		Members: []string{"a", "b", "c"}, MetaLeader: "a", Healthy: true,
		Own:     map[string]groupWord{testGroup: word("b", own)},
		Others:  map[string]map[string]groupWord{"a": {testGroup: word("a", leader)}, "c": {testGroup: word("c", leader)}},
		Streams: map[string]string{testGroup: "HISTORY > s"}, OwnLast: map[string]uint64{}, LeaderLast: map[string]uint64{}}
}

func TestStillness(t *testing.T) {
	type step struct {
		at          float64
		own, leader uint64
		still       bool
		stuck       bool
	}
	for name, c := range map[string]struct {
		steps []step
	}{
		"in sync":             {[]step{{0, 9, 9, false, false}, {10, 9, 9, false, false}}},
		"behind, but moving":  {[]step{{0, 1, 99, false, false}, {5, 2, 99, false, false}, {10, 3, 99, false, false}}},
		"stands still":        {[]step{{0, 1, 99, false, false}, {5, 1, 99, true, false}, {6, 1, 99, true, true}}},
		"stands, then moves":  {[]step{{0, 1, 99, false, false}, {5, 1, 99, true, false}, {5.5, 2, 99, false, false}, {7, 2, 99, true, false}}},
		"falls back":          {[]step{{0, 5, 99, false, false}, {3, 2, 99, true, false}, {6, 5, 99, true, true}}},
		"idle, then a write":  {[]step{{0, 9, 9, false, false}, {60, 9, 10, false, false}, {61, 10, 10, false, false}}},
		"nothing to catch up": {[]step{{0, 9, 3, false, false}, {10, 9, 3, false, false}}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newStillness(defaultPatience)
			for _, step := range c.steps {
				p := follower(step.at, step.own, step.leader)
				still := s.look(p)
				if got := len(still) > 0; got != step.still {
					t.Errorf("at %v s: stands still %v, want %v", step.at, got, step.still)
				}
				if got := len(s.stuck(still, p.At)) > 0; got != step.stuck {
					t.Errorf("at %v s: stuck %v, want %v", step.at, got, step.stuck)
				}
			}
		})
	}
}

// A replica whose leader can't be asked waits for something that a restart would not give.
func TestStillnessNeedsALeader(t *testing.T) {
	s := newStillness(defaultPatience)
	for at := range 20 {
		p := follower(float64(at), 1, 99)
		delete(p.Others, "a")
		if still := s.look(p); len(still) > 0 {
			t.Fatalf("at %d s without a leader: %v", at, still)
		}
	}
}

// A message of the stream that is missing counts although the log is carried out.
func TestStillnessOfMessages(t *testing.T) {
	s := newStillness(defaultPatience)
	var stuck []stuckReplica
	for at := range 8 {
		p := follower(float64(at), 9, 9)
		p.OwnLast[testGroup], p.LeaderLast[testGroup] = 50, 100
		stuck = s.stuck(s.look(p), p.At)
	}
	if len(stuck) != 1 || stuck[0].Lag != 50 {
		t.Fatalf("stuck: %v, want one replica that lacks 50", stuck)
	}
}

// A server leads when a quorum says so, whatever it says itself.
func TestPictureLeader(t *testing.T) {
	claim := groupWord{ID: "b", Leader: "b", Leads: true, Term: 9, Applied: 5, Size: 3, Quorum: 2}
	for name, c := range map[string]struct {
		change func(p *picture)
		want   string
	}{
		"followed by two":                       {func(*picture) {}, "a"},
		"claims it alone, with the latest term": {func(p *picture) { p.Own[testGroup] = claim }, "a"},
		"claims it alone, and there is no other": {func(p *picture) {
			p.Own[testGroup] = claim
			p.Others = nil
		}, ""},
		"is followed by this node alone": {func(p *picture) { delete(p.Others, "c") }, "a"},
		"was followed, and another is now": {func(p *picture) {
			p.Own[testGroup] = claim
			c := p.Others["c"][testGroup]
			c.Leader = "b"
			p.Others["c"][testGroup] = c
		}, "b"},
		"is not followed": {func(p *picture) {
			p.Own[testGroup] = groupWord{ID: "b", Term: 4, Quorum: 2}
			p.Others["c"][testGroup] = groupWord{ID: "c", Term: 4, Quorum: 2}
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			p := follower(0, 1, 99)
			c.change(&p)
			if got, _ := p.leader(testGroup); got != c.want {
				t.Errorf("leader is %q, want %q", got, c.want)
			}
		})
	}
}
