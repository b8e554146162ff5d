// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// testNode is a node with a real server on loopback.
type testNode struct {
	*Formation
	cfg  Config
	stop func() error
}

// nodeConfig is that of a node with its cluster port at the place-th of ports, and routes to all of them.
func nodeConfig(dir, name string, mode Mode, ports []int, place int) Config {
	var routes []*url.URL
	for _, p := range ports {
		routes = append(routes, &url.URL{Scheme: "nats", Host: "127.0.0.1:" + strconv.Itoa(p)})
	}
	logger := slog.New(slog.DiscardHandler)
	if os.Getenv("TEST_LOG") != "" {
		logger = slog.New(slog.NewTextHandler(os.Stderr, nil)).With("node", place)
	}
	return Config{StoreDir: dir, ClusterName: "bus", ServerName: name, Mode: mode, Verify: testVerify, Logger: logger,
		Server: func(_, _ string, given []*url.URL) (embeddednats.ServerConfig, error) {
			if len(given) == 0 {
				given = routes
			}
			return embeddednats.ServerConfig{Logger: logger, Timers: embeddednats.DefaultRaftTimers(),
				Limits:  embeddednats.Limits{StoreBytes: 1 << 30},
				Cluster: &embeddednats.ClusterConfig{Host: "127.0.0.1", Port: ports[place], Routes: given}}, nil
		}}
}

func MustPorts(t *testing.T, n int) []int {
	t.Helper()
	ports := make([]int, n)
	for i := range ports {
		ports[i] = natstest.MustFreePort(t)
	}
	return ports
}

// MustNode opens and runs a node.
func MustNode(t *testing.T, cfg Config) *testNode {
	t.Helper()
	f := MustOpen(t, cfg)
	return &testNode{Formation: f, cfg: cfg, stop: MustRun(t, f)}
}

// MustStop stops a node and gives its disk up.
func (n *testNode) MustStop(t *testing.T) {
	t.Helper()
	if err := n.stop(); err != nil {
		t.Fatal(err)
	}
	MustClose(t, n.Formation)
}

func (n *testNode) ExpectRunning(t *testing.T) {
	t.Helper()
	defer func() {
		if t.Failed() {
			t.Logf("%s: %+v", n.cfg.ServerName, n.Status())
		}
	}()
	ExpectSoon(t, "the node runs", func() bool { return n.Status().Phase == v1.NodeRunning })
}

// ExpectMembers waits until the node sees a meta group of these, with a leader.
func (n *testNode) ExpectMembers(t *testing.T, members ...string) {
	t.Helper()
	defer func() {
		if s := n.Status(); t.Failed() {
			t.Logf("%s: %+v %+v", n.cfg.ServerName, s, s.Meta)
		}
	}()
	ExpectSoon(t, fmt.Sprintf("a meta group of %v", members), func() bool {
		m := n.Status().Meta
		return m != nil && m.Leader != "" && m.Size == len(members) && slices.Equal(m.Members, members)
	})
}

// MustKeep writes a message that ExpectKept can read.
func (n *testNode) MustKeep(t *testing.T, what string) {
	t.Helper()
	node := &natstest.Node{Server: n.Server()}
	js := node.MustStream(t, "KEPT", n.Status().Meta.Size) // on each member: a test may lose the disk of any of them
	natstest.Within(t, natstest.Patience, "a write", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_, err := js.Publish(ctx, "KEPT.a", []byte(what))
		return err == nil
	})
}

func (n *testNode) ExpectKept(t *testing.T, what string) {
	t.Helper()
	js := (&natstest.Node{Server: n.Server()}).MustJetStream(t)
	natstest.Within(t, natstest.Patience, "what was written", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		s, err := js.Stream(ctx, "KEPT")
		if err != nil {
			return false
		}
		m, err := s.GetLastMsgForSubject(ctx, "KEPT.a")
		return err == nil && string(m.Data) == what
	})
}

// MustRemove removes a server from the meta group.
func (n *testNode) MustRemove(t *testing.T, name string) {
	t.Helper()
	nc := (&natstest.Node{Server: n.Server()}).MustConnect(t, embeddednats.AccountSystem)
	defer nc.Close()
	ExpectSoon(t, "the removal of "+name, func() bool {
		b, _ := json.Marshal(map[string]string{"peer": name})
		_, _ = nc.Request("$JS.API.SERVER.REMOVE", b, time.Second)
		m := n.Status().Meta
		return m != nil && !slices.Contains(m.Members, name)
	})
}

// TestStandaloneTrapStoreIsRefused: JetStream opened as a cluster's would delete, after 30 s, what a standalone server
// wrote. Nothing of it may be touched.
func TestStandaloneTrapStoreIsRefused(t *testing.T) {
	dir := t.TempDir()
	n := natstest.MustStart(t, embeddednats.Start, embeddednats.ServerConfig{ServerName: "alone", StoreDir: dir, JetStream: true,
		Logger: slog.New(slog.DiscardHandler), Limits: embeddednats.Limits{StoreBytes: 1 << 30}})
	js := n.MustStream(t, "S", 1)
	if _, err := js.Publish(context.Background(), "S.a", []byte("precious")); err != nil {
		t.Fatal(err)
	}
	n.Stop()
	for _, mode := range Modes {
		ExpectOpenRefused(t, nodeConfig(dir, "a-1", mode, MustPorts(t, 1), 0), "standalone", "delete")
	}
	n = natstest.MustStart(t, embeddednats.Start, n.Config)
	s, err := n.MustJetStream(t).Stream(context.Background(), "S")
	if err != nil {
		t.Fatal(err)
	}
	if m, err := s.GetMsg(context.Background(), 1); err != nil || string(m.Data) != "precious" {
		t.Errorf("after all that: %v %v", m, err)
	}
}

func TestFoundAloneAndResume(t *testing.T) {
	cfg := nodeConfig(filepath.Join(t.TempDir(), "n"), "a-1", ModeFound, MustPorts(t, 1), 0)
	var told []string
	cfg.OnServer = func(s *embeddednats.Server) { told = append(told, "up "+s.Name()) }
	cfg.OnStop = func(s *embeddednats.Server) { told = append(told, "stop "+s.Name()) }
	n := MustNode(t, cfg)
	n.ExpectRunning(t)
	n.ExpectMembers(t, "a-1")
	s := n.Status()
	if s.ClusterID == "" || s.Founding || s.ClientURL == "" || s.RouteURL == "" || n.disk.identity.State != stateComplete {
		t.Errorf("founded: %+v %+v", s, n.disk.identity)
	}
	n.MustKeep(t, "one")

	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := n.Restart(ctx, "a test"); err != nil {
		t.Fatal(err)
	}
	n.ExpectKept(t, "one")
	n.MustStop(t)
	if s := n.Status(); s.Phase != v1.NodeStopping || s.Meta != nil {
		t.Errorf("stopped: %+v", s)
	}
	if want := []string{"up a-1", "stop a-1", "up a-1", "stop a-1"}; !slices.Equal(told, want) {
		t.Errorf("told %v, want %v", told, want)
	}

	n = MustNode(t, cfg)
	n.ExpectRunning(t)
	if again := n.Status(); again.ClusterID != s.ClusterID {
		t.Errorf("cluster id %s, then %s", s.ClusterID, again.ClusterID)
	}
	n.ExpectKept(t, "one")
}

func TestPortInUseIsSaidAndWaitedFor(t *testing.T) {
	first := MustNode(t, nodeConfig(t.TempDir(), "a-1", ModeFound, MustPorts(t, 1), 0))
	first.ExpectRunning(t)
	u, err := url.Parse(first.Status().RouteURL)
	if err != nil {
		t.Fatal(err)
	}
	port, _ := strconv.Atoi(u.Port())
	n := MustNode(t, nodeConfig(t.TempDir(), "b-1", ModeFound, []int{port}, 0))
	ExpectSoon(t, "it says that the port is in use", func() bool {
		s := n.Status()
		return s.Phase == v1.NodeStarting && s.Founding && len(s.Reason) > 0 && slices.Contains([]bool{
			contains(s.Reason, "in use"), contains(s.Reason, "listened")}, true)
	})
	if err := n.Restart(context.Background(), "a test"); err == nil {
		t.Error("restarted what does not run")
	}
	first.MustStop(t)
	n.ExpectRunning(t)
	n.ExpectMembers(t, "b-1")
}
