// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// mustView is what the node's supervisor has of its server, once everything is in sync: a view of its own, so that a test can say
// what is stuck, with the node's real restart behind it.
func mustView(t *testing.T, n *testNode) (*view, picture) {
	t.Helper()
	w, err := newWatcher(n.formation.Server(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(w.close)
	heard := make(chan *nats.Msg, 64)
	if _, err := w.system.ChanSubscribe(claimSubject, heard); err != nil {
		t.Fatal(err)
	}
	if err := w.system.Flush(); err != nil {
		t.Fatal(err)
	}
	v := &view{supervisor: n.newSupervisor(n.supervisor.store), watcher: w, heard: heard, claims: claims{}, still: newStillness(defaultPatience)}
	var p picture
	natstest.Within(t, limit, "a picture that allows a restart", func() bool {
		p, err = w.look(t.Context())
		return err == nil && mayRestart(p, nil) == ""
	})
	return v, p
}

// stuckIn says that the node's replica of a bucket is stuck.
func stuckIn(t *testing.T, p picture) []stuckReplica {
	t.Helper()
	i := slices.IndexFunc(p.groups(), func(g string) bool { return strings.HasSuffix(p.Streams[g], v1.BucketUsers) })
	if i < 0 {
		t.Fatalf("%s has no replica of %s", p.Self, v1.BucketUsers)
	}
	return []stuckReplica{{Group: p.groups()[i], Leader: "another", Lag: 9, Since: p.At.Add(-time.Minute)}}
}

func TestRepairRestartsOneNodeAtATime(t *testing.T) {
	nodes := mustBootstrap(t, []string{"n0", "n1", "n2"}, nil)
	mustBecome(t, "/readyz", 200, nodes...)
	var wg sync.WaitGroup
	views, pictures := make([]*view, 3), make([]picture, 3)
	for i, n := range nodes {
		views[i], pictures[i] = mustView(t, n)
	}
	views[0].repair = false
	if views[0].act(t.Context(), pictures[0], stuckIn(t, pictures[0])) {
		t.Error("NATS was restarted although self-repair is switched off")
	}
	views[0].repair = true
	var before []*embeddednats.Server
	for _, n := range nodes {
		before = append(before, n.formation.Server())
	}
	restarted := make([]bool, 3)
	for i := range nodes {
		wg.Go(func() { restarted[i] = views[i].act(t.Context(), pictures[i], stuckIn(t, pictures[i])) })
	}
	wg.Wait()
	one := slices.Index(restarted, true) // who was first, or else the lowest name
	if one < 0 || slices.Contains(restarted[one+1:], true) {
		t.Fatalf("restarted: %v, want one", restarted)
	}
	if now := nodes[one].formation.Server(); now == before[one] || now == nil {
		t.Error("NATS was not restarted")
	} else if now.ClientURL() != before[one].ClientURL() || now.RouteURL() != before[one].RouteURL() {
		t.Errorf("after the restart clients connect at %s and members at %s, before at %s and %s",
			now.ClientURL(), now.RouteURL(), before[one].ClientURL(), before[one].RouteURL())
	}
	if _, a := nodes[one].get("/livez"); !a.OK {
		t.Errorf("livez during a repair: %+v", a)
	}
	mustBecome(t, "/readyz", 200, nodes...)
	mustBecome(t, "/safe-to-restart", 200, nodes...)
	if m := nodes[one].mustMetrics(t); !strings.Contains(m, `unibus_repairs_total{cause="stuck-replica"} 1`) {
		t.Error("the repair is not counted")
	}
	// The others heard of it and wait; the node itself waits for its cooldown. The clocks stand still meanwhile.
	other := (one + 1) % 3
	heard := views[other].claims[nodes[one].name]
	views[other].now = func() time.Time { return heard.Add(time.Second) }
	if views[other].act(t.Context(), pictures[other], stuckIn(t, pictures[other])) {
		t.Error("another node was restarted while the repair of the first may still be under way")
	}
	v, p := mustView(t, nodes[one])
	v.cooldown = views[one].cooldown
	p.At = v.cooldown.end.Add(-time.Second)
	if v.act(t.Context(), p, stuckIn(t, p)) {
		t.Error("the node was restarted again at once")
	}
}

func TestRepairTakesNoQuorumAway(t *testing.T) {
	nodes := mustBootstrap(t, []string{"n0", "n1", "n2"}, nil)
	mustBecome(t, "/readyz", 200, nodes...)
	nodes[2].stop(t)
	w, err := newWatcher(nodes[0].formation.Server(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	defer w.close()
	var p picture
	natstest.Within(t, limit, "a picture without n2", func() bool {
		p, err = w.look(t.Context())
		return err == nil && len(p.Others) == 1 && p.MetaLeader != ""
	})
	v := &view{supervisor: nodes[0].newSupervisor(nodes[0].supervisor.store), watcher: w, claims: claims{}, still: newStillness(defaultPatience)}
	if v.act(t.Context(), p, stuckIn(t, p)) {
		t.Error("NATS was restarted on one of two members that are left of three")
	}
}
