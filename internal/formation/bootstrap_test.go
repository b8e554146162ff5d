// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"context"
	"fmt"
	"net/url"
	"path/filepath"
	"testing"
	"time"

	"github.com/unibus/unibus/internal/embeddednats"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// ExpectRunRefused runs a node whose configuration must not be carried out. Its disk stays empty.
func ExpectRunRefused(t *testing.T, cfg Config, words ...string) {
	t.Helper()
	f := MustOpen(t, cfg)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ExpectRefused(t, f.Run(ctx), words...)
	if s := f.Status(); s.ServerName != "" || f.disk.filled(storeDir) {
		t.Errorf("refused, but the disk is used: %+v", s)
	}
	MustClose(t, f)
}

func seeds(t *testing.T, n int) (cfgs []Config) {
	t.Helper()
	ports, dir := MustPorts(t, n), t.TempDir()
	for i := range n {
		cfgs = append(cfgs, nodeConfig(filepath.Join(dir, fmt.Sprint(i)), fmt.Sprint("s-", i), ModeBootstrap, ports, i))
	}
	return cfgs
}

func TestBootstrapOfThreeColdNodes(t *testing.T) {
	cfgs := seeds(t, 3)
	nodes := []*testNode{MustNode(t, cfgs[0]), MustNode(t, cfgs[1])}
	ExpectSoon(t, "two of three wait for the third", func() bool {
		return contains(nodes[0].Status().Reason, "2 of 3") && contains(nodes[1].Status().Reason, "2 of 3")
	})
	for _, n := range nodes {
		if s := n.Status(); s.Phase != v1.NodeStarting || s.ServerName != "" {
			t.Errorf("two of three: %+v", s)
		}
	}
	nodes = append(nodes, MustNode(t, cfgs[2]))
	for _, n := range nodes {
		n.ExpectRunning(t)
		n.ExpectMembers(t, "s-0", "s-1", "s-2")
	}
	id := nodes[0].Status().ClusterID
	for _, n := range nodes {
		if s := n.Status(); s.ClusterID != id || id == "" || n.disk.identity.State != stateComplete {
			t.Errorf("%s: %+v, cluster id of the first %q", n.cfg.ServerName, s, id)
		}
	}
	nodes[0].MustKeep(t, "one")

	// All stop and start again: they resume, whatever the mode.
	for _, n := range nodes {
		n.MustStop(t)
	}
	for i := range nodes {
		nodes[i] = MustNode(t, cfgs[i])
	}
	for _, n := range nodes {
		n.ExpectRunning(t)
		n.ExpectKept(t, "one")
		if s := n.Status(); s.ClusterID != id {
			t.Errorf("after a restart %s has cluster id %s, not %s", n.cfg.ServerName, s.ClusterID, id)
		}
	}

	// One disk is lost. Its node must neither bootstrap nor join under the old name.
	nodes[2].MustStop(t)
	lost := cfgs[2]
	lost.StoreDir = filepath.Join(t.TempDir(), "empty")
	ExpectRunRefused(t, lost, "no first start", id)
	lost.Mode = ModeJoin
	ExpectRunRefused(t, lost, "s-2", "member")
	removed := lost
	removed.ServerName, removed.Denied = "s-9", func() []string { return []string{"s-9"} }
	ExpectRunRefused(t, removed, "s-9", "removed")

	nodes[0].MustRemove(t, "s-2")
	lost.ServerName = "s-3"
	fresh := MustNode(t, lost)
	fresh.ExpectRunning(t)
	fresh.ExpectMembers(t, "s-0", "s-1", "s-3")
	if s := fresh.Status(); s.ClusterID != id {
		t.Errorf("joined cluster %s, not %s", s.ClusterID, id)
	}
	fresh.ExpectKept(t, "one")
}

// TestBootstrapGoesOnAfterAStop: an identity without a cluster id is a bootstrap that is not done.
func TestBootstrapGoesOnAfterAStop(t *testing.T) {
	cfgs := seeds(t, 3)
	for i, cfg := range cfgs {
		f := MustOpen(t, cfg)
		if i == 2 {
			MustClose(t, f)
			continue // this one has not come so far
		}
		if err := f.become(identity{Formed: formedBootstrap}); err != nil {
			t.Fatal(err)
		}
		if s := f.Status(); s.ClusterID != "" {
			t.Errorf("%+v", s)
		}
		MustClose(t, f)
	}
	var ids []string
	for _, cfg := range cfgs {
		n := MustNode(t, cfg)
		defer func() { n.ExpectRunning(t); ids = append(ids, n.Status().ClusterID) }()
	}
	t.Cleanup(func() {
		if len(ids) != 3 || ids[0] != ids[1] || ids[1] != ids[2] || ids[0] == "" {
			t.Errorf("cluster ids %v", ids)
		}
	})
}

func TestBootstrapRefusesRoutesWithoutItself(t *testing.T) {
	ports := MustPorts(t, 3)
	cfg := nodeConfig(t.TempDir(), "s-0", ModeBootstrap, ports[:2], 0)
	inner := cfg.Server
	cfg.Server = func(name, id string, routes []*url.URL) (embeddednats.ServerConfig, error) {
		c, err := inner(name, id, routes)
		c.Cluster.Port = ports[2]
		return c, err
	}
	ExpectRunRefused(t, cfg, "--routes", "itself")
	cfg.Mode = ModeJoin
	ExpectRunRefused(t, cfg, "--routes", "itself")
	ExpectRunRefused(t, nodeConfig(t.TempDir(), "s-0", ModeBootstrap, ports[:1], 0), "--routes", "found")
}

func TestJoinWaitsForACluster(t *testing.T) {
	ports, dir := MustPorts(t, 2), t.TempDir()
	n := MustNode(t, nodeConfig(filepath.Join(dir, "1"), "s-1", ModeJoin, ports, 1))
	ExpectSoon(t, "it says that nobody is there", func() bool { return contains(n.Status().Reason, "no cluster can be reached") })
	ExpectCode(t, n.Formation, order(n.Formation, v1.OrderFound, "s-1"), v1.CodeState)

	// Another that waits for a cluster is none.
	other := MustNode(t, nodeConfig(filepath.Join(dir, "0"), "s-0", ModeJoin, ports, 0))
	ExpectSoon(t, "it says that no leader is there", func() bool { return contains(n.Status().Reason, "no leader") })
	if s := n.Status(); s.ServerName != "" || s.Phase != v1.NodeStarting {
		t.Errorf("%+v", s)
	}
	other.MustStop(t)

	founder := MustNode(t, nodeConfig(filepath.Join(dir, "0"), "s-0", ModeFound, ports, 0))
	n.ExpectRunning(t)
	n.ExpectMembers(t, "s-0", "s-1")
	if a, b := founder.Status(), n.Status(); a.ClusterID != b.ClusterID || b.ClusterID == "" {
		t.Errorf("cluster ids %q and %q", a.ClusterID, b.ClusterID)
	}
}
