// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/formation"
	"github.com/unibus/unibus/internal/natstest"
)

func TestLoneNodeBecomesReadyAndResumes(t *testing.T) {
	dir := t.TempDir()
	n := mustRun(t, planFor(t, "n0", dir, nil))
	mustBecome(t, "/readyz", 200, n)
	mustBecome(t, "/healthz", 200, n)
	mustBecome(t, "/livez", 200, n)
	mustBecome(t, "/safe-to-restart", 200, n)
	js := mustJetStream(t, n.mustConnect(t, embeddednats.AccountMembership))
	kv, err := js.KeyValue(t.Context(), v1.BucketUsers)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := kv.Put(t.Context(), "k", []byte("v")); err != nil {
		t.Fatal(err)
	}
	n.stop(t)

	n = mustRun(t, planFor(t, "n0", dir, nil))
	mustBecome(t, "/readyz", 200, n)
	js = mustJetStream(t, n.mustConnect(t, embeddednats.AccountMembership))
	for _, name := range []string{v1.BucketUsers, v1.BucketRooms, v1.BucketMembers} {
		kv, err := js.KeyValue(t.Context(), name)
		if err != nil {
			t.Fatalf("bucket %s: %v", name, err)
		}
		s, err := kv.Status(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if c := s.Config(); c.Replicas != 1 || c.MaxBytes <= 0 {
			t.Errorf("bucket %s has %d replicas and a limit of %d bytes, want 1 and a limit", name, c.Replicas, c.MaxBytes)
		}
	}
	kv, err = js.KeyValue(t.Context(), v1.BucketUsers)
	if err != nil {
		t.Fatal(err)
	}
	if e, err := kv.Get(t.Context(), "k"); err != nil || string(e.Value()) != "v" {
		t.Errorf("after the restart the key reads %v, %v", e, err)
	}
}

func TestWaitingNodeIsLiveAndNotReady(t *testing.T) {
	n := mustRun(t, planFor(t, "", t.TempDir(), func(p *plan) { p.formation.Mode = formation.ModeOrder }))
	mustBecome(t, "/livez", 200, n)
	for _, path := range []string{"/readyz", "/healthz", "/safe-to-restart"} {
		mustBecome(t, path, 503, n)
		if _, a := n.get(path); !strings.Contains(a.Reason, "waits for a found or join order") || a.Phase != "waiting" {
			t.Errorf("%s: %+v, want the reason of the phase", path, a)
		}
	}
	if _, a := n.get("/livez"); !a.OK {
		t.Errorf("livez: %+v", a)
	}
	resp, err := http.Post(n.controlURL+v1.PathOrders, "application/json", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if m := n.mustMetrics(t); resp.StatusCode == 200 || !strings.Contains(m, `unibus_orders_total{result="refused"} 1`) || !strings.Contains(m, `unibus_node_phase{phase="waiting"} 1`) {
		t.Errorf("an empty order was answered %d, and the metrics say\n%s", resp.StatusCode, m)
	}
}

func TestPortInUseIsToldWithItsFlag(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for flag, set := range map[string]func(*plan){
		"--http-port":    func(p *plan) { p.http = taken.Addr().String() },
		"--control-port": func(p *plan) { p.control = taken.Addr().String() },
	} {
		dir := t.TempDir()
		if _, err := newNode(planFor(t, "n0", dir, set)); err == nil || !strings.Contains(err.Error(), flag) || !strings.Contains(err.Error(), "in use") {
			t.Errorf("error %v, want one that names %s", err, flag)
		}
		n := mustRun(t, planFor(t, "n0", dir, nil)) // everything was given up again
		n.stop(t)
	}
}

func TestThreeNodesColdStartAndForward(t *testing.T) {
	nodes := mustBootstrap(t, []string{"n0", "n1", "n2"}, nil)
	mustBecome(t, "/readyz", 200, nodes...)
	mustBecome(t, "/healthz", 200, nodes...)
	js := mustJetStream(t, nodes[0].mustConnect(t, embeddednats.AccountMembership))
	kv, err := js.KeyValue(t.Context(), v1.BucketRooms)
	if err != nil {
		t.Fatal(err)
	}
	s, err := kv.Status(t.Context())
	if err != nil || s.Config().Replicas != 3 {
		t.Errorf("replicas of a cold-started cluster's bucket: %+v, %v, want 3", s, err)
	}
	from, to := nodes[1].mustConnect(t, embeddednats.AccountHistory), nodes[2].mustConnect(t, embeddednats.AccountHistory)
	got := make(chan *nats.Msg, 1)
	if _, err := to.ChanSubscribe("hello", got); err != nil {
		t.Fatal(err)
	}
	if err := to.Flush(); err != nil {
		t.Fatal(err)
	}
	natstest.Within(t, limit, "a message is forwarded from n1 to n2", func() bool {
		if err := from.Publish("hello", nil); err != nil {
			t.Fatal(err)
		}
		select {
		case <-got:
			return true
		case <-time.After(100 * time.Millisecond):
			return false
		}
	})
}

// overhearing is a log whose messages are heard first: whoever says one goes on after that.
type overhearing struct {
	slog.Handler
	hear func(message string)
}

func (o overhearing) Handle(ctx context.Context, r slog.Record) error {
	o.hear(r.Message)
	return o.Handler.Handle(ctx, r)
}

func (o overhearing) WithAttrs(a []slog.Attr) slog.Handler {
	return overhearing{o.Handler.WithAttrs(a), o.hear}
}

// The order of a stop: unready, then leaderships handed over, then clients told to go. What is looked at is the moment before the last
// of these, since lame duck gives leaderships up as well, but too late: its clients have writes underway.
func TestStopHandsOverLeadership(t *testing.T) {
	var atLameDuck atomic.Pointer[func()]
	nodes := mustBootstrap(t, []string{"n0", "n1", "n2"}, func(_ int, p *plan) {
		p.server.Logger = slog.New(overhearing{p.server.Logger.Handler(), func(message string) {
			if !strings.HasPrefix(message, "Entering lame duck mode") {
				return
			}
			if look := atLameDuck.Swap(nil); look != nil {
				(*look)()
			}
		}})
	})
	mustBecome(t, "/readyz", 200, nodes...)
	leader, _, _, _ := nodes[0].formation.Server().Meta()
	at := slices.IndexFunc(nodes, func(n *testNode) bool { return n.name == leader })
	if at < 0 {
		t.Fatalf("no node has the name of the leader %q", leader)
	}
	leading, others := nodes[at], slices.Delete(slices.Clone(nodes), at, at+1)
	var last atomicTime
	js := mustJetStream(t, others[0].mustConnect(t, embeddednats.AccountMembership))
	stopWriting := startWriter(t, js, "$KV."+v1.BucketUsers+".k", &last)
	natstest.Within(t, limit, "writes are acknowledged", func() bool { return !last.load().IsZero() })
	server := leading.formation.Server()
	var heir string
	var unready bool
	look := func() {
		for _, o := range others {
			if now, _, _, _ := o.formation.Server().Meta(); now == o.name {
				heir = now
			}
		}
		// A busy machine may run the goroutine that tells it late. The endpoint would wait for the server, which waits for this.
		unready = natstest.Until(10*time.Second, func() bool { ready, _ := leading.health.readyz(); return !ready })
	}
	atLameDuck.Store(&look)
	leading.stop(t)
	switch {
	case atLameDuck.Swap(nil) != nil:
		t.Error("clients were not told to go")
	case heir == "":
		t.Errorf("clients were told to go before another node than %s led the meta group", leader)
	case !unready:
		t.Error("clients were told to go while the node was ready")
	}
	if server.Unwrap().Running() {
		t.Error("the server runs after the stop")
	}
	natstest.Within(t, limit, "writes go on", func() bool { return time.Since(last.load()) < 100*time.Millisecond })
	t.Logf("longest gap between acknowledged writes: %v", stopWriting())
}

func TestMetricsAreServed(t *testing.T) {
	n := mustRun(t, planFor(t, "n0", t.TempDir(), nil))
	mustBecome(t, "/readyz", 200, n)
	body := n.mustMetrics(t)
	for _, want := range []string{
		`unibus_build_info{`, `unibus_node_phase{phase="running"} 1`, `unibus_node_phase{phase="waiting"} 0`, "unibus_node_ready 1",
		"unibus_server_connections ", "unibus_jetstream_streams 4", `unibus_stream_replica_lag{account="MEMBERSHIP",stream="KV_UNIBUS_users"} 0`,
		`unibus_stream_leader{account="MEMBERSHIP",stream="KV_UNIBUS_users"} 1`, "unibus_jetstream_enabled 1", "unibus_meta_leader 1",
		"unibus_meta_members 1", "unibus_store_volume_free_bytes ", `unibus_repairs_total{cause="stuck-replica"} 0`,
		`unibus_orders_total{result="refused"} 0`, `unibus_raft_elections_total{kind="meta"}`, "go_goroutines ", "process_open_fds ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s", want)
		}
	}
	if t.Failed() {
		t.Log(body)
	}
}
