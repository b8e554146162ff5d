// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"context"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

func contains(s, word string) bool { return strings.Contains(s, word) }

// TestOrdersDriveACluster: found, join, leave, resume, retire, wipe-and-join, with real servers.
func TestOrdersDriveACluster(t *testing.T) {
	ports, dir := MustPorts(t, 3), t.TempDir()
	var nodes []*testNode
	for i := range ports {
		nodes = append(nodes, MustNode(t, nodeConfig(filepath.Join(dir, string(rune('0'+i))), "", ModeOrder, ports, i)))
	}
	MustTake(t, nodes[0].Formation, order(nodes[0].Formation, v1.OrderFound, "a-0"))
	nodes[0].ExpectRunning(t)
	nodes[0].MustKeep(t, "one")
	for i, name := range []string{"", "a-1", "a-2"} {
		if i > 0 {
			MustTake(t, nodes[i].Formation, order(nodes[i].Formation, v1.OrderJoin, name))
		}
	}
	for _, n := range nodes {
		n.ExpectRunning(t)
		n.ExpectMembers(t, "a-0", "a-1", "a-2")
		n.ExpectKept(t, "one")
	}

	leaver := nodes[2]
	MustTake(t, leaver.Formation, order(leaver.Formation, v1.OrderLeave, "a-2"))
	if s := leaver.Status(); s.Phase != v1.NodeRunning || s.Mark != v1.MarkLeaving {
		t.Errorf("leaving: %+v", s)
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := leaver.Restart(ctx, "a test"); err == nil || !strings.Contains(err.Error(), "waits") {
		t.Errorf("restart of a leaver: %v", err)
	}
	if s := leaver.Status(); s.Phase != v1.NodeWaiting || leaver.Server() != nil {
		t.Errorf("a leaver after a restart of NATS: %+v", s)
	}
	MustTake(t, leaver.Formation, order(leaver.Formation, v1.OrderResume, "a-2"))
	leaver.ExpectRunning(t)
	leaver.ExpectMembers(t, "a-0", "a-1", "a-2")

	MustTake(t, leaver.Formation, order(leaver.Formation, v1.OrderLeave, "a-2"))
	nodes[0].MustRemove(t, "a-2")
	ExpectSoon(t, "the leaver sees that it was removed", func() bool { return leaver.Status().Removed })
	ExpectCode(t, leaver.Formation, order(leaver.Formation, v1.OrderWipeAndJoin, "a-3"), v1.CodeState)
	MustTake(t, leaver.Formation, order(leaver.Formation, v1.OrderRetire, "a-2"))
	ExpectSoon(t, "the retired node waits", func() bool { return leaver.Status().Phase == v1.NodeWaiting })
	if s := leaver.Status(); s.Mark != v1.MarkRetired || s.Meta != nil || leaver.Server() != nil {
		t.Errorf("retired: %+v", s)
	}
	MustTake(t, leaver.Formation, order(leaver.Formation, v1.OrderWipeAndJoin, "a-3"))
	leaver.ExpectRunning(t)
	leaver.ExpectMembers(t, "a-0", "a-1", "a-3")
	if s := leaver.Status(); s.ServerName != "a-3" || s.Mark != "" || !s.Aside || s.Journal {
		t.Errorf("back as another: %+v", s)
	}
}

// TestRetireStopsAStart: what was removed must not come up from a start that was under way. Nor may a server that was called
// off go on in the dark, which goleak sees, if not every time.
func TestRetireStopsAStart(t *testing.T) {
	for range 10 {
		n := MustNode(t, nodeConfig(t.TempDir(), "", ModeOrder, MustPorts(t, 1), 0))
		MustTake(t, n.Formation, order(n.Formation, v1.OrderFound, "a-0"))
		MustTake(t, n.Formation, order(n.Formation, v1.OrderRetire, "a-0"))
		ExpectSoon(t, "it waits", func() bool { return n.Status().Phase == v1.NodeWaiting })
		if s := n.Status(); n.Server() != nil || s.Mark != v1.MarkRetired {
			t.Errorf("retired: %+v", s)
		}
	}
}

// TestJoinerIsInItsRoutes: two joiners without themselves in their routes would take each other for the cluster.
func TestJoinerIsInItsRoutes(t *testing.T) {
	f := MustOpen(t, nodeConfig(t.TempDir(), "", ModeOrder, MustPorts(t, 1), 0))
	ExpectCode(t, f, with(order(f, v1.OrderJoin, "a-1"), func(o *v1.Order) { o.Routes = []string{"nats://127.0.0.1:1"} }), v1.CodeState)
	MustTake(t, f, order(f, v1.OrderJoin, "a-1"))
}

// TestRemovedWithoutAMark: who was taken for lost, and was not, waits after its next boot. It does not start with what the
// removal has left of its store, and its process does not end either.
func TestRemovedWithoutAMark(t *testing.T) {
	ports, dir := MustPorts(t, 3), t.TempDir()
	var nodes []*testNode
	for i, name := range []string{"a-0", "a-1", "a-2"} {
		n := MustNode(t, nodeConfig(filepath.Join(dir, name), "", ModeOrder, ports, i))
		kind := v1.OrderJoin
		if i == 0 {
			kind = v1.OrderFound
		}
		MustTake(t, n.Formation, order(n.Formation, kind, name))
		n.ExpectRunning(t)
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		n.ExpectMembers(t, "a-0", "a-1", "a-2")
	}
	lost := nodes[2]
	nodes[0].MustRemove(t, "a-2")
	ExpectSoon(t, "it marks itself", func() bool { return lost.Status().Mark == v1.MarkRetired })
	if s := lost.Status(); s.Phase != v1.NodeRunning || !s.Removed {
		t.Errorf("removed: %+v", s)
	}
	lost.MustStop(t)
	lost = MustNode(t, lost.cfg)
	if s := lost.Status(); s.Phase != v1.NodeWaiting {
		t.Errorf("next boot: %+v", s)
	}
	MustTake(t, lost.Formation, order(lost.Formation, v1.OrderWipeAndJoin, "a-3"))
	lost.ExpectRunning(t)
	lost.ExpectMembers(t, "a-0", "a-1", "a-3")
}
