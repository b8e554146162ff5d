// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unibus/unibus/internal/jsadmin"
	"github.com/unibus/unibus/internal/scaling"
	"github.com/unibus/unibus/internal/steering"
)

// mustRunning is a cluster of n local nodes with one stream of n replicas, and wished as a cluster of wished.
func mustRunning(n, wished int) observation {
	o := observation{
		inv:       inventory{Version: 1, Name: "bus", ClusterID: "id", Replicas: wished, Size: n},
		record:    versioned{Version: 1, Record: &scaling.Record{ClusterID: "id", Names: map[string]scaling.Name{}}},
		JetStream: steering.JetStream{Meta: &jsadmin.Meta{Leader: "bus-0-0"}},
	}
	o.seen = scaling.Observed{Now: time.Unix(1e9, 0), KnownID: "id", Size: n, Meta: &scaling.Group{Leader: "bus-0-0"}}
	s := scaling.Stream{Account: "HISTORY", Name: "LOG", Replicas: n, Leader: fmt.Sprintf("bus-%d-0", n-1)}
	for i := range n {
		name, disk := fmt.Sprintf("bus-%d-0", i), fmt.Sprintf("disk-%d", i)
		o.inv.Places = append(o.inv.Places, place{Control: "http://127.0.0.1:1", Local: &local{}, DiskID: disk})
		o.record.Record.Names[name] = scaling.Name{Phase: scaling.Member, Place: i, DiskID: disk, Kind: scaling.Join}
		o.Meta.Members = append(o.Meta.Members, jsadmin.Member{Name: name, Current: true})
		p := scaling.Peer{Name: name, Current: true}
		o.seen.Meta.Peers = append(o.seen.Meta.Peers, p)
		s.Peers = append(s.Peers, p)
		o.seen.Places = append(o.seen.Places, scaling.Place{Volume: disk, Started: true, Node: &scaling.Node{
			Running: true, DiskID: disk, ClusterID: "id", Name: name, Nonce: "x",
		}})
	}
	o.seen.Streams = []scaling.Stream{s}
	return o
}

func words(p plan) []string {
	var out []string
	for _, s := range p.Steps {
		out = append(out, fmt.Sprintf("%s [%d %d %d]", s.Do, s.Members, s.Quorum, s.Spare))
	}
	return out
}

func TestPlanToCreate(t *testing.T) {
	p := planFor(observation{inv: inventory{Name: "bus", Replicas: 1}, seen: scaling.Observed{Now: time.Unix(1e9, 0)}})
	want := []string{"start node-0 [0 0 0]", "bus-0-0 founds the cluster on node-0 [1 1 0]"}
	if diff := cmp.Diff(want, words(p)); diff != "" || p.Blocked != "" {
		t.Fatalf("%s\nblocked: %s", diff, p.Blocked)
	}
}

func TestPlanToGrow(t *testing.T) {
	p := planFor(mustRunning(1, 3))
	want := []string{
		"start node-1, node-2 [1 1 0]",
		"bus-1-0 joins on node-1 [2 2 0]",
		"bus-2-0 joins on node-2 [3 2 1]",
		"HISTORY/LOG gets 3 replicas [3 2 1]",
	}
	if diff := cmp.Diff(want, words(p)); diff != "" || p.Blocked != "" {
		t.Fatalf("%s\nblocked: %s", diff, p.Blocked)
	}
}

func TestPlanToShrink(t *testing.T) {
	p := planFor(mustRunning(3, 1))
	want := []string{
		"bus-2-0 begins to leave; this can still be taken back [3 2 1]",
		"the leader of HISTORY/LOG moves to bus-0-0 [3 2 1]",
		"HISTORY/LOG gets 1 replica [3 2 1]",
		"bus-2-0 is removed from the meta group [2 2 0]",
		"bus-2-0 stops NATS for good [2 2 0]",
		"bus-1-0 begins to leave; this can still be taken back [2 2 0]",
		"bus-1-0 is removed from the meta group [1 1 0]",
		"bus-1-0 stops NATS for good [1 1 0]",
		"stop node-1, node-2; disks are kept [1 1 0]",
	}
	got := words(p)
	if p.Blocked != "" || len(got) == 0 {
		t.Fatalf("blocked: %s", p.Blocked)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Fatal(diff)
	}
}

// The real decisions lead from every size to every other one, also from half-way states and back again.
func TestPlansComeToAnEnd(t *testing.T) {
	for _, from := range []int{1, 3, 5} {
		for _, to := range []int{1, 3, 5} {
			p := planFor(mustRunning(from, to))
			if p.Blocked != "" {
				t.Errorf("%d -> %d is blocked: %s", from, to, p.Blocked)
			}
			if last := len(p.Steps); last > 0 && p.Steps[last-1].Members != to {
				t.Errorf("%d -> %d ends with %d members:\n%s", from, to, p.Steps[last-1].Members, strings.Join(words(p), "\n"))
			}
			if from == to && len(p.Steps) > 0 {
				t.Errorf("%d -> %d: %v", from, to, words(p))
			}
		}
	}
}

// The disk of a node that left before is used again, under a new name.
func TestPlanToGrowAgain(t *testing.T) {
	o := mustRunning(1, 3)
	for i := 1; i < 3; i++ {
		o.inv.Places = append(o.inv.Places, place{Control: "http://127.0.0.1:1", Local: &local{}, DiskID: fmt.Sprintf("disk-%d", i)})
		o.record.Record.Names[fmt.Sprintf("bus-%d-0", i)] = scaling.Name{Phase: scaling.Removed, Place: i}
		o.seen.Places = append(o.seen.Places, scaling.Place{Volume: fmt.Sprintf("disk-%d", i)})
	}
	got := words(planFor(o))
	want := "bus-1-1 joins on node-1; what bus-1-0 left there is set aside [2 2 0]"
	if len(got) < 2 || got[1] != want {
		t.Fatalf("plan: %v", got)
	}
}
