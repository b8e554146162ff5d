// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/unibus/unibus/internal/busauth"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/formation"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
)

// limit is how long anything may take on a slow and busy machine.
const limit = 90 * time.Second

// testNode is a node in the test's process.
type testNode struct {
	*node
	name   string
	cancel context.CancelFunc
	ended  chan error
}

// planFor is a node of the test cluster, on loopback and free ports.
func planFor(t *testing.T, name, dir string, change func(*plan)) plan {
	t.Helper()
	keys, err := busauth.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	var out io.Writer = io.Discard
	if testing.Verbose() {
		out = t.Output()
	}
	log := slog.New(slog.NewTextHandler(out, nil)).With("node", name)
	m, err := newMembers(busauth.Config{Keys: keys, Logger: log}, membership.Config{RefuseAfter: membership.DefaultRefuseAfter}, 3*membership.DefaultRefuseAfter)
	if err != nil {
		t.Fatal(err)
	}
	p := plan{log: log, patience: defaultPatience, http: "127.0.0.1:0", control: "127.0.0.1:0", api: "127.0.0.1:0", members: m, repair: true,
		formation: formation.Config{StoreDir: dir, ClusterName: "test", ServerName: name, Mode: formation.ModeFound},
		server: embeddednats.ServerConfig{Host: "127.0.0.1", Auth: m.auth, Connect: connectOptions(keys), Logger: log,
			Timers: embeddednats.DefaultRaftTimers(), Limits: embeddednats.Limits{StoreBytes: 256 << 20},
			Cluster: &embeddednats.ClusterConfig{Host: "127.0.0.1"}}}
	if change != nil {
		change(&p)
	}
	return p
}

// mustRun starts a node. It is stopped with the test, or before by stop.
func mustRun(t *testing.T, p plan) *testNode {
	t.Helper()
	n, err := newNode(p)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	tn := &testNode{node: n, name: p.formation.ServerName, cancel: cancel, ended: make(chan error, 1)}
	go func() { tn.ended <- n.run(ctx) }()
	t.Cleanup(func() { tn.stop(t) })
	return tn
}

// stop ends the node and waits for it. It may be called again.
func (n *testNode) stop(t *testing.T) {
	t.Helper()
	n.cancel()
	select {
	case err := <-n.ended:
		n.ended <- nil
		if err != nil {
			t.Errorf("%s ended with %v", n.name, err)
		}
	case <-time.After(limit):
		t.Fatalf("%s does not stop", n.name)
	}
}

// get asks an endpoint.
func (n *testNode) get(path string) (int, Answer) {
	resp, err := http.Get(n.httpURL + path)
	if err != nil {
		return 0, Answer{Reason: err.Error()}
	}
	defer resp.Body.Close()
	var a Answer
	if err := json.NewDecoder(resp.Body).Decode(&a); err != nil {
		a.Reason = err.Error()
	}
	return resp.StatusCode, a
}

// mustBecome waits until all nodes answer so.
func mustBecome(t *testing.T, path string, status int, nodes ...*testNode) {
	t.Helper()
	for _, n := range nodes {
		var code int
		var a Answer
		if !natstest.Until(limit, func() bool { code, a = n.get(path); return code == status }) {
			t.Fatalf("%s of %s is %d %+v, want %d", path, n.name, code, a, status)
		}
	}
}

// mustConnect connects to an account of a node that runs.
func (n *testNode) mustConnect(t *testing.T, account string) *nats.Conn {
	t.Helper()
	nc, err := n.formation.Server().InProcess(account)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func mustJetStream(t *testing.T, nc *nats.Conn) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(nc)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// mustBootstrap starts nodes that form a cluster together; change may be nil.
func mustBootstrap(t *testing.T, names []string, change func(i int, p *plan)) []*testNode {
	t.Helper()
	var routes []*url.URL
	var ports []int
	for range names {
		port := natstest.MustFreePort(t)
		ports = append(ports, port)
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	var nodes []*testNode
	for i, name := range names {
		nodes = append(nodes, mustRun(t, planFor(t, name, t.TempDir(), func(p *plan) {
			p.formation.Mode = formation.ModeBootstrap
			p.server.Cluster.Port, p.server.Cluster.Routes = ports[i], routes
			if change != nil {
				change(i, p)
			}
		})))
	}
	return nodes
}
