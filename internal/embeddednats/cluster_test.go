// SPDX-License-Identifier: Apache-2.0

package embeddednats_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

func TestClusterForwardsAcrossNodes(t *testing.T) {
	nodes := mustNodes(t, 2, natstest.Options{Secret: "s3cret"})
	expectForwards(t, nodes)
}

func TestClusterThreeNodesForward(t *testing.T) {
	nodes := mustNodes(t, 3, natstest.Options{Secret: "s3cret"})
	expectForwards(t, nodes)
}

func TestClusterMutualTLSForwards(t *testing.T) {
	nodes := mustNodes(t, 3, natstest.Options{Secret: "s3cret", CA: mustCA(t)})
	expectForwards(t, nodes)
	for _, n := range nodes {
		z, err := n.Unwrap().Routez(nil)
		if err != nil {
			t.Fatal(err)
		}
		if v, err := n.Unwrap().Varz(nil); err != nil || !v.Cluster.TLSVerify {
			t.Errorf("%s does not ask its routes for certificates: %v", n.Name(), err)
		}
		if z.NumRoutes != 2 {
			t.Errorf("%s has %d routes", n.Name(), z.NumRoutes)
		}
	}
}

func TestClusterRejectsBadRouteAuth(t *testing.T) {
	log := natstest.NewLog()
	nodes := mustNodes(t, 2, natstest.Options{Secret: "s3cret", Configure: func(i int, cfg *embeddednats.ServerConfig) {
		cfg.Logger = log.Logger()
		if i == 1 {
			cfg.Cluster.Password = "guessed"
		}
	}})
	expectNoRoute(t, nodes, log, "authentication error")
	for _, secret := range []string{"s3cret", "guessed"} {
		if log.Said(secret) {
			t.Errorf("the log tells the secret %q", secret)
		}
	}
}

func TestClusterRejectsUnsignedNode(t *testing.T) {
	log, stranger := natstest.NewLog(), mustCA(t)
	nodes := mustNodes(t, 2, natstest.Options{Secret: "s3cret", CA: mustCA(t), Configure: func(i int, cfg *embeddednats.ServerConfig) {
		cfg.Logger = log.Logger()
		if i == 1 {
			leaf, err := stranger.Issue(natstest.LeafSpec{})
			if err != nil {
				t.Fatal(err)
			}
			cfg.Cluster.TLS = stranger.RouteTLS(leaf)
		}
	}})
	expectNoRoute(t, nodes, log, "TLS route handshake error")
}

// One connection for each peer, and no member without itself in its routes.
func TestSplitRoutes(t *testing.T) {
	nodes := mustNodes(t, 3, natstest.Options{})
	expectForwards(t, nodes)
	for _, n := range nodes {
		if routes := n.Unwrap().NumRoutes(); routes != 2 {
			t.Errorf("%s has %d route connections to 2 peers", n.Name(), routes)
		}
	}
	cfgs := natstest.MustConfigs(t, 2, natstest.Options{})
	cfgs[1].Cluster.Routes = cfgs[1].Cluster.Routes[:1]
	s, err := embeddednats.Join(context.Background(), cfgs[1])
	if err == nil {
		s.Stop()
	}
	if !errors.Is(err, embeddednats.ErrNotInRoutes) {
		t.Fatalf("a joiner without itself in its routes: %v", err)
	}
}

func TestProbeSeesWhoIsThere(t *testing.T) {
	cfgs := natstest.MustConfigs(t, 2, natstest.Options{Configure: func(i int, cfg *embeddednats.ServerConfig) {
		cfg.Tags = []string{embeddednats.TagCluster + fmt.Sprint("c", i), embeddednats.TagState + embeddednats.StateMember}
	}})
	member := natstest.MustStart(t, embeddednats.Found, cfgs[0])
	probe := natstest.MustStart(t, embeddednats.Probe, cfgs[1])
	var found []embeddednats.ServerInfo
	natstest.Within(t, natstest.Patience, "both seen", func() bool {
		var err error
		found, err = probe.Servers(context.Background())
		return err == nil && len(found) == 2
	})
	for _, i := range found {
		id, _ := i.Tag(embeddednats.TagCluster)
		if want := map[string]string{"n0": "c0", "n1": "c1"}[i.Name]; id != want {
			t.Errorf("%s has cluster id %q, want %q", i.Name, id, want)
		}
		if i.JetStream != (i.Name == "n0") {
			t.Errorf("%s has JetStream: %v", i.Name, i.JetStream)
		}
	}
	g, err := probe.MetaLeader(context.Background())
	if err != nil || g.Leader.Name != "n0" || g.Size != 1 {
		t.Fatalf("meta group: %+v, %v", g, err)
	}
	if id, _ := g.Leader.Tag(embeddednats.TagCluster); id != "c0" {
		t.Fatalf("the leader's cluster id is %q", id)
	}
	probe.Stop()
	if _, size, _, _ := member.Meta(); size != 1 {
		t.Fatalf("a probe has made the meta group %d large", size)
	}
}

func TestMetaLeaderOfNone(t *testing.T) {
	probe := natstest.MustStart(t, embeddednats.Probe, natstest.MustConfigs(t, 1, natstest.Options{})[0])
	if _, err := probe.MetaLeader(context.Background()); !errors.Is(err, embeddednats.ErrNoMetaLeader) {
		t.Fatalf("the meta leader of nobody: %v", err)
	}
}

// mustNodes starts nodes that need not have a usable JetStream.
func mustNodes(t *testing.T, n int, o natstest.Options) (nodes []*natstest.Node) {
	t.Helper()
	for _, cfg := range natstest.MustConfigs(t, n, o) {
		nodes = append(nodes, natstest.MustStart(t, embeddednats.Join, cfg))
	}
	return nodes
}

func mustCA(t *testing.T) *natstest.CA {
	t.Helper()
	ca, err := natstest.NewCA(t.Name())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// expectForwards sends a message from a client of each node to a client of each other one.
func expectForwards(t *testing.T, nodes []*natstest.Node) {
	t.Helper()
	for _, from := range nodes {
		for _, to := range nodes {
			if from == to {
				continue
			}
			a, b := mustDial(t, from), mustDial(t, to)
			sub, err := b.SubscribeSync("greetings")
			if err != nil {
				t.Fatal(err)
			}
			natstest.Within(t, natstest.Patience, "a message from "+from.Name()+" to "+to.Name(), func() bool {
				if err := a.Publish("greetings", []byte("hello")); err != nil {
					t.Fatal(err)
				}
				_, err := sub.NextMsg(50 * time.Millisecond)
				return err == nil
			})
			a.Close()
			b.Close()
		}
	}
}

func mustDial(t *testing.T, n *natstest.Node) *nats.Conn {
	t.Helper()
	nc, err := nats.Connect(n.ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

// expectNoRoute waits until a route was refused, for the reason, more than once.
func expectNoRoute(t *testing.T, nodes []*natstest.Node, log *natstest.Log, reason string) {
	t.Helper()
	natstest.Within(t, natstest.Patience, "a route refused: "+reason, func() bool { return log.Said(reason) })
	for _, n := range nodes {
		z, err := n.Unwrap().Routez(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range z.Routes {
			if r.RemoteName != "" && r.RemoteName != n.Name() {
				t.Errorf("%s has a route to %s", n.Name(), r.RemoteName)
			}
		}
	}
}
