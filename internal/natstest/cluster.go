// SPDX-License-Identifier: Apache-2.0

package natstest

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/unibus/unibus/internal/embeddednats"
)

// Patience is how long the helpers of this package wait for what takes a second on an idle machine.
const Patience = 90 * time.Second

// Options say what the nodes of a test are like. The zero value: open servers without TLS.
type Options struct {
	// Dir holds a folder for each node; t.TempDir() by default.
	Dir string
	// Secret is the routes' password, none by default.
	Secret string
	// CA, if set, signs a leaf for each node, and routes are mutual TLS.
	CA *CA
	// Configure changes node i's configuration before it starts.
	Configure func(i int, cfg *embeddednats.ServerConfig)
}

// Node is a server with what it was started with.
type Node struct {
	*embeddednats.Server
	Config embeddednats.ServerConfig
}

// Logger is silent, unless the environment has TEST_LOG: then it writes all to the standard error.
func Logger() *slog.Logger {
	if os.Getenv("TEST_LOG") == "" {
		return slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// MustConfigs makes the configurations of n nodes, named n0, n1 and so on, that have each other and
// themselves in their routes.
func MustConfigs(t testing.TB, n int, o Options) []embeddednats.ServerConfig {
	t.Helper()
	if o.Dir == "" {
		o.Dir = t.TempDir()
	}
	cfgs := make([]embeddednats.ServerConfig, n)
	var routes []*url.URL
	for i := range cfgs {
		port := MustFreePort(t)
		routes = append(routes, &url.URL{Scheme: "nats", Host: "127.0.0.1:" + strconv.Itoa(port)})
		cfgs[i] = embeddednats.ServerConfig{
			ServerName: fmt.Sprint("n", i), StoreDir: filepath.Join(o.Dir, fmt.Sprint("n", i)), JetStream: true,
			Timers: embeddednats.DefaultRaftTimers(), Logger: Logger(), Debug: os.Getenv("TEST_LOG") != "",
			Limits: embeddednats.Limits{StoreBytes: 1 << 30},
			Cluster: &embeddednats.ClusterConfig{
				Name: "test", Host: "127.0.0.1", Port: port,
			},
		}
		if o.Secret != "" {
			cfgs[i].Cluster.User, cfgs[i].Cluster.Password = "route", o.Secret
		}
		if o.CA != nil {
			leaf, err := o.CA.Issue(LeafSpec{})
			if err != nil {
				t.Fatal(err)
			}
			cfgs[i].Cluster.TLS = o.CA.RouteTLS(leaf)
		}
	}
	for i := range cfgs {
		cfgs[i].Cluster.Routes = routes
		if o.Configure != nil {
			o.Configure(i, &cfgs[i])
		}
	}
	return cfgs
}

func hostOf(cfg embeddednats.ServerConfig) string {
	return net.JoinHostPort("127.0.0.1", strconv.Itoa(cfg.Cluster.Port))
}

// Starter is one of embeddednats's ways to start a server.
type Starter func(context.Context, embeddednats.ServerConfig) (*embeddednats.Server, error)

// MustStart starts a server, and stops it at the end of the test.
func MustStart(t testing.TB, how Starter, cfg embeddednats.ServerConfig) *Node {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), Patience)
	defer cancel()
	s, err := how(ctx, cfg)
	if err != nil {
		t.Fatalf("start %s: %v", cfg.ServerName, err)
	}
	t.Cleanup(s.Stop)
	return &Node{Server: s, Config: cfg}
}

// MustFound founds a cluster of one.
func MustFound(t testing.TB, o Options) *Node {
	t.Helper()
	return MustStart(t, embeddednats.Found, MustConfigs(t, 1, o)[0])
}

// MustCluster starts n nodes on empty stores together, and waits until their meta group is complete.
func MustCluster(t testing.TB, n int, o Options) []*Node {
	t.Helper()
	if n == 1 {
		return []*Node{MustFound(t, o)}
	}
	return MustStartAll(t, MustConfigs(t, n, o))
}

// MustStartAll is MustCluster for configurations that were made before.
func MustStartAll(t testing.TB, cfgs []embeddednats.ServerConfig) []*Node {
	t.Helper()
	var nodes []*Node
	for _, cfg := range cfgs {
		nodes = append(nodes, MustStart(t, embeddednats.Join, cfg))
	}
	WithinMeta(t, nodes[0], len(cfgs))
	return nodes
}

// WithinMeta waits until the meta group has that many members, all current, in the eyes of its leader.
func WithinMeta(t testing.TB, node *Node, size int) {
	t.Helper()
	Within(t, Patience, fmt.Sprintf("a meta group of %d, all current", size), func() bool {
		g, err := node.MetaLeader(context.Background())
		if err != nil || g.Size != size || len(g.Replicas) != size-1 {
			return false
		}
		for _, r := range g.Replicas {
			if !r.Current || r.Offline {
				return false
			}
		}
		return true
	})
}

// MustConnect connects to an account of the node, without the network.
func (n *Node) MustConnect(t testing.TB, account string) *nats.Conn {
	t.Helper()
	nc, err := n.InProcess(account)
	if err != nil {
		t.Fatal(err)
	}
	return nc
}

// MustJetStream is the JetStream of the history account.
func (n *Node) MustJetStream(t testing.TB) jetstream.JetStream {
	t.Helper()
	js, err := jetstream.New(n.MustConnect(t, embeddednats.AccountHistory))
	if err != nil {
		t.Fatal(err)
	}
	return js
}

// MustStream makes a stream of the subject "NAME.>", in short attempts: one is lost while there is no leader.
func (n *Node) MustStream(t testing.TB, name string, replicas int) jetstream.JetStream {
	t.Helper()
	js := n.MustJetStream(t)
	Within(t, Patience, "stream "+name, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		_, err := js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{
			Name: name, Subjects: []string{name + ".>"}, Replicas: replicas, MaxBytes: 64 << 20,
		})
		return err == nil
	})
	return js
}

// WithinSync waits until the node says that the cluster can do without any one server.
func (n *Node) WithinSync(t testing.TB) {
	t.Helper()
	var reason string
	defer func() {
		if t.Failed() {
			t.Log("last reason:", reason)
		}
	}()
	Within(t, Patience, "all in sync", func() (ok bool) {
		ok, reason = n.SafeToRestart(context.Background())
		return ok
	})
}
