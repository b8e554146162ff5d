// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

func TestLeadersTendTheirReplicas(t *testing.T) {
	type glance struct {
		after         time.Duration
		commit, index uint64
		offline, want bool
	}
	for _, c := range []struct {
		name     string
		glances  []glance
		snapshot bool // whether snapshots succeed
	}{
		{name: "in sync", snapshot: true, glances: []glance{{0, 10, 10, false, false}, {5 * time.Second, 10, 10, false, false}}},
		{name: "behind and moving", snapshot: true, glances: []glance{
			{0, 100, 10, false, false}, {900 * time.Millisecond, 200, 20, false, false}, {900 * time.Millisecond, 300, 30, false, false},
		}},
		{name: "behind and still, once covered", snapshot: true, glances: []glance{
			{0, 100, 10, false, false}, {time.Second, 100, 10, false, true}, {9 * time.Second, 100, 10, false, false},
		}},
		{name: "behind and stepping back", snapshot: true, glances: []glance{
			{0, 100, 70, false, false}, {time.Second, 100, 69, false, true}, {4 * time.Second, 110, 66, false, true},
		}},
		{name: "behind and still, refused", glances: []glance{
			{0, 100, 10, false, false}, {time.Second, 100, 10, false, true}, {time.Second, 100, 10, false, false}, {2 * time.Second, 100, 10, false, true},
		}},
		{name: "away", snapshot: true, glances: []glance{
			{0, 100, 100, true, true}, {time.Second, 101, 100, true, false}, {3 * time.Second, 102, 100, true, true}, {3 * time.Second, 102, 100, true, false},
			{30 * time.Second, 200, 100, true, false},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			tend := newTending()
			now := time.Unix(1000, 0)
			for i, g := range c.glances {
				now = now.Add(g.after)
				group := led{
					name: "G", commit: g.commit, offline: map[string]bool{"p": g.offline},
					peers: map[string]server.RaftzGroupPeer{"p": {LastReplicatedIndex: g.index}},
				}
				needy := tend.needy([]led{group}, now)
				if got := len(needy) == 1; got != g.want {
					t.Fatalf("glance %d: a snapshot is needed: %v, want %v", i, got, g.want)
				}
				if len(needy) == 1 && c.snapshot {
					tend.covered["G"] = g.commit
				}
			}
			if tend.needy(nil, now); len(tend.followers)+len(tend.tried)+len(tend.covered) != 0 {
				t.Errorf("a group that is led elsewhere is remembered: %+v", tend)
			}
		})
	}
}
