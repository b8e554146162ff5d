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
	"github.com/unibus/unibus/internal/natstest"

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

// TestFoundBesideACluster: an identity that is on the disk already, from an attempt that was cut short or by an order, does not found
// where a cluster lives, and does not try until that one is away for a moment.
func TestFoundBesideACluster(t *testing.T) {
	ports := MustPorts(t, 2)
	MustNode(t, nodeConfig(t.TempDir(), "a-0", ModeFound, ports[:1], 0)).ExpectRunning(t)
	ordered := MustNode(t, nodeConfig(t.TempDir(), "", ModeOrder, ports, 1))
	for _, kind := range []v1.OrderKind{v1.OrderFound, v1.OrderResume} {
		MustTake(t, ordered.Formation, order(ordered.Formation, kind, "b-0"))
		ExpectSoon(t, "it waits", func() bool { return ordered.Status().Phase == v1.NodeWaiting })
		if s := ordered.Status(); !contains(s.Reason, "a cluster of this name lives already: a-0") || !contains(s.Reason, "correct --routes") || !s.Founding {
			t.Errorf("%s beside a cluster: %+v", kind, s)
		}
	}
	ordered.MustStop(t)
	cfg := ordered.cfg
	cfg.Mode = ModeFound
	again := MustOpen(t, cfg)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	ExpectRefused(t, again.Run(ctx), "a-0", "--formation join")
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

// TestBootstrapGoesOnWithoutTheSlowest: while a node still looks around, the others may take it for a server that will
// never have JetStream, and elect a leader without it. It is taken in all the same, and nothing is agreed before.
func TestBootstrapGoesOnWithoutTheSlowest(t *testing.T) {
	cfgs := seeds(t, 3)
	slow, err := cfgs[2].Server("", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	slow.ServerName, slow.Cluster.Name = "s-2"+probeSuffix, "bus"
	probe := natstest.MustStart(t, embeddednats.Probe, slow)
	var nodes []*testNode
	for _, cfg := range cfgs[:2] {
		f := MustOpen(t, cfg)
		if err := f.become(identity{Formed: formedBootstrap}); err != nil {
			t.Fatal(err)
		}
		nodes = append(nodes, &testNode{Formation: f, cfg: cfg, stop: MustRun(t, f)})
	}
	ExpectSoon(t, "the two elect a leader", func() bool {
		_, err := probe.MetaLeader(context.Background())
		return err == nil
	})
	for _, n := range nodes {
		if s := n.Status(); s.ClusterID != "" || s.Phase != v1.NodeStarting {
			t.Errorf("two of three have agreed: %+v", s)
		}
	}
	probe.Stop()
	nodes = append(nodes, MustNode(t, cfgs[2]))
	for _, n := range nodes {
		n.ExpectRunning(t)
		n.ExpectMembers(t, "s-0", "s-1", "s-2")
		if id := nodes[0].Status().ClusterID; id == "" || n.Status().ClusterID != id {
			t.Errorf("cluster ids %q and %q", id, n.Status().ClusterID)
		}
	}
}

// TestJoinersNeverFound: joiners whose founder is away, and is not in their routes, are all that they know of. They elect
// nobody, and are taken in when it is back.
func TestJoinersNeverFound(t *testing.T) {
	ports, dir := MustPorts(t, 3), t.TempDir()
	founder := MustNode(t, nodeConfig(filepath.Join(dir, "f"), "f-0", ModeFound, ports, 2))
	founder.ExpectRunning(t)
	founder.MustStop(t)
	var nodes []*testNode
	for i := range 2 {
		n := MustNode(t, nodeConfig(filepath.Join(dir, fmt.Sprint(i)), "", ModeOrder, ports[:2], i))
		MustTake(t, n.Formation, order(n.Formation, v1.OrderJoin, fmt.Sprint("j-", i)))
		nodes = append(nodes, n)
	}
	for _, n := range nodes {
		n.ExpectRunning(t)
		ExpectSoon(t, "it sees the other", func() bool { return n.Server().Unwrap().NumRoutes() > 0 })
		if s := n.Status(); s.Meta != nil {
			t.Errorf("a joiner that nobody took in has a view: %+v", s.Meta)
		}
	}
	// Two elections' time: without the guard there is a leader in the first.
	for range 80 {
		for _, n := range nodes {
			if leader, size, members, _ := n.Server().Meta(); leader != "" {
				t.Fatalf("joiners made a group of their own: leader %s of %d, %v", leader, size, members)
			}
		}
		<-time.After(100 * time.Millisecond)
	}
	founder = MustNode(t, founder.cfg)
	for _, n := range append(nodes, founder) {
		n.ExpectMembers(t, "f-0", "j-0", "j-1")
	}
}

// TestAgreeOnTheFirst: a proposal that comes late, as from an attempt that was given up, changes nothing.
func TestAgreeOnTheFirst(t *testing.T) {
	n := MustNode(t, nodeConfig(t.TempDir(), "s-0", ModeFound, MustPorts(t, 1), 0))
	n.ExpectRunning(t)
	request, done, err := requests(n.Server())
	if err != nil {
		t.Fatal(err)
	}
	defer done()
	ExpectSoon(t, "the first proposal is taken", func() bool {
		id, err := agreeOnce(request, "first", 1)
		return err == nil && id == "first"
	})
	var late struct {
		Error *struct{ Description string } `json:"error"`
	}
	if err := request(clusterSubject, []byte("late"), &late); err != nil || late.Error == nil {
		t.Errorf("a late proposal: %v, taken: %v", err, late.Error == nil)
	}
	if id, err := agreeOnce(request, "second", 1); err != nil || id != "first" {
		t.Errorf("agreed on %q, %v", id, err)
	}
}

// TestFoundRefusesBesideACluster: a node that was to join must not found, neither now nor once that cluster is away.
func TestFoundRefusesBesideACluster(t *testing.T) {
	ports, dir := MustPorts(t, 2), t.TempDir()
	first := MustNode(t, nodeConfig(filepath.Join(dir, "0"), "s-0", ModeFound, ports, 0))
	first.ExpectRunning(t)
	ExpectRunRefused(t, nodeConfig(filepath.Join(dir, "1"), "s-1", ModeFound, ports, 1), "s-0", first.Status().ClusterID, "--formation join")
}
