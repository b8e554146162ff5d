// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

// TestJoinersArePicked: while a cluster grows from one node to three or five each node that joins is picked by some fault, and each
// role has the place that it names.
func TestJoinersArePicked(t *testing.T) {
	for _, to := range []int{3, 5} {
		picked := map[int]bool{}
		for order := range uint64(100) {
			f := Fault{Kind: killNode, Order: order}
			f.Role = follower
			p := choose(to, f, 0)
			if p <= 0 || p >= to {
				t.Fatalf("of %d, led by place 0, the follower is place %d", to, p)
			}
			picked[p] = true
			f.Role = streamLeader
			if p := choose(to, f, 2); p != 2 {
				t.Errorf("of %d, led by place 2, the leader is place %d", to, p)
			}
			if p := choose(to, f, -1); p < 0 || p >= to {
				t.Errorf("of %d without a leader place %d is picked", to, p)
			}
		}
		if len(picked) != to-1 {
			t.Errorf("of %d joiners only %v are picked", to-1, picked)
		}
		if p := choose(to, Fault{Role: lastPlace}, 0); p != to-1 {
			t.Errorf("the last of %d is place %d", to, p)
		}
		if p := choose(to, Fault{Role: founder}, 2); p != 0 {
			t.Errorf("the founder of %d is at place %d", to, p)
		}
	}
	if p := choose(1, Fault{Role: follower, Order: 7}, 0); p != 0 {
		t.Errorf("the only one is place %d", p)
	}
}

// TestReach: in a change those who join or leave are picked as well as those who stay.
func TestReach(t *testing.T) {
	for _, c := range [][3]int{{1, 3, 3}, {1, 5, 5}, {3, 1, 3}, {5, 1, 5}, {3, 3, 3}, {0, 1, 1}} {
		if got := reach(c[0], c[1]); got != c[2] {
			t.Errorf("from %d to %d faults befall %d places, want %d", c[0], c[1], got, c[2])
		}
	}
}
