// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// TestFounderIsCalledAnew: a founder that was given no name has another one on each disk, and keeps it.
func TestFounderIsCalledAnew(t *testing.T) {
	names := map[string]bool{}
	for range 2 {
		cfg := nodeConfig(t.TempDir(), "", ModeFound, MustPorts(t, 1), 0)
		n := MustNode(t, cfg)
		n.ExpectRunning(t)
		name := n.Status().ServerName
		if names[name] || !contains(name, cfg.ClusterName+"-0-") {
			t.Errorf("a founder is called %q, after %v", name, names)
		}
		names[name] = true
		n.MustStop(t)
		again := MustNode(t, cfg)
		again.ExpectRunning(t)
		if got := again.Status().ServerName; got != name {
			t.Errorf("%s is called %s after a restart", name, got)
		}
	}
}

// TestLoneDiskWaitsWhileOthersAreMembers: a disk from when its server was alone would lead by itself, and the others forget what it
// does not know. It starts as soon as somebody who knows better says so, and by itself where nobody was told of others.
func TestLoneDiskWaitsWhileOthersAreMembers(t *testing.T) {
	cfg := nodeConfig(t.TempDir(), "a-1", ModeFound, MustPorts(t, 1), 0)
	var members []string
	cfg.Members = func() []string { return members }
	n := MustNode(t, cfg)
	n.ExpectRunning(t)
	if n.Status().Alone {
		t.Error("a node that runs tells of its disk")
	}
	n.MustStop(t)

	members = []string{"a-1", "a-2"}
	n = MustNode(t, cfg)
	if s := n.Status(); s.Phase != v1.NodeWaiting || !s.Alone || !contains(s.Reason, "a-2") {
		t.Errorf("started beside another member: %+v", s)
	}
	MustTake(t, n.Formation, order(n.Formation, v1.OrderResume, "a-1"))
	n.ExpectRunning(t)
	n.MustStop(t)

	members = []string{"a-1"}
	n = MustNode(t, cfg)
	n.ExpectRunning(t)
}

// TestJoinerIsNotAlone: a joiner that no leader has spoken to yet knows only itself. It starts again by itself all the same.
func TestJoinerIsNotAlone(t *testing.T) {
	ports := MustPorts(t, 2)
	cfg := nodeConfig(t.TempDir(), "", ModeOrder, ports, 1) // nobody is at the first of the ports
	cfg.Members = func() []string { return []string{"a-0"} }
	n := MustNode(t, cfg)
	MustTake(t, n.Formation, order(n.Formation, v1.OrderJoin, "a-1"))
	n.ExpectRunning(t)
	n.MustStop(t)
	n = MustNode(t, cfg)
	n.ExpectRunning(t)
}
