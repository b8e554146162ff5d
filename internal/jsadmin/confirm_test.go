// SPDX-License-Identifier: Apache-2.0

package jsadmin

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestConfirm(t *testing.T) {
	follows := func(leader string) claim { return claim{Leader: leader, Size: 3} }
	leads := func(name string, others ...string) claim {
		c := claim{Leader: name, Size: len(others) + 1}
		for _, o := range others {
			c.Replicas = append(c.Replicas, peer{Name: o, ID: PeerID(o), Current: true})
		}
		return c
	}
	rescued := leads("a", "b", "c")
	rescued.Rescue, rescued.Quorum = true, 1
	for _, c := range []struct {
		name   string
		said   map[string]claim
		leader string
		want   error
	}{
		{name: "all agree", said: map[string]claim{"a": leads("a", "b", "c"), "b": follows("a"), "c": follows("a")}, leader: "a"},
		{name: "a quorum agrees", said: map[string]claim{"a": leads("a", "b", "c"), "c": follows("a")}, leader: "a"},
		{name: "alone", said: map[string]claim{"a": leads("a")}, leader: "a"},
		{name: "nobody", said: map[string]claim{}, want: ErrNoLeader},
		{name: "cut off leader", said: map[string]claim{"a": leads("a", "b", "c")}, want: ErrNoLeader},
		{name: "followers of a leader that is gone", said: map[string]claim{"b": follows("a"), "c": follows("a")}, want: ErrNoLeader},
		{name: "deposed leader", said: map[string]claim{"a": leads("a", "b", "c"), "b": leads("b", "a", "c"), "c": follows("b")}, leader: "b"},
		{name: "voters from outside", said: map[string]claim{"a": leads("a", "b", "c"), "x": follows("a"), "y": follows("a")}, want: ErrNoLeader},
		{name: "two clusters", said: map[string]claim{"a": leads("a"), "b": leads("b", "c"), "c": follows("b")}, want: ErrTwoLeaders},
		{name: "rescued", said: map[string]claim{"a": rescued}, leader: "a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := confirm(c.said, func(p peer) string { return p.Name })
			if c.want != nil {
				expectError(t, err, c.want)
				return
			}
			must(t, err)
			if m.Leader != c.leader {
				t.Fatalf("leader is %q, want %q", m.Leader, c.leader)
			}
		})
	}
}

func TestConfirmTellsWhoIsCurrent(t *testing.T) {
	said := map[string]claim{
		"a": {Leader: "a", Size: 5, Replicas: []peer{
			{Name: "b", Current: true}, {Name: "c", Current: true}, {Name: "d", Current: true, Lag: 3}, {Name: "e", Current: true},
		}},
		"b": {Leader: "a"}, "c": {Leader: "x"}, "d": {Leader: "a"},
	}
	m, err := confirm(said, func(p peer) string { return p.Name })
	must(t, err)
	got := map[string]bool{}
	for _, p := range m.Members {
		got[p.Name] = p.Current
	}
	// c follows another leader, d lags, e is silent: the leader's word for them is not enough.
	if diff := cmp.Diff(map[string]bool{"a": true, "b": true, "c": false, "d": false, "e": false}, got); diff != "" {
		t.Fatal(diff)
	}
}
