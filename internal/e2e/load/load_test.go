// SPDX-License-Identifier: Apache-2.0

package load_test

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/unibus/unibus/internal/e2e/load"
	"github.com/unibus/unibus/internal/natstest"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m, natstest.Leaks()...)
}

// cluster is three plain servers in this process, with JetStream and no authentication.
type cluster struct{ servers []*server.Server }

func mustCluster(t *testing.T) *cluster {
	t.Helper()
	c := &cluster{}
	var routes []*url.URL
	var ports []int
	for range 3 {
		p := natstest.MustFreePort(t)
		ports = append(ports, p)
		routes = append(routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", p)})
	}
	for i := range 3 {
		s, err := server.NewServer(&server.Options{
			ServerName: fmt.Sprint("n", i), Host: "127.0.0.1", Port: -1, NoSigs: true, NoLog: true,
			JetStream: true, StoreDir: t.TempDir(), Routes: routes,
			Cluster: server.ClusterOpts{Name: "load", Host: "127.0.0.1", Port: ports[i], PoolSize: -1},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.Start()
		t.Cleanup(func() { s.Shutdown(); s.WaitForShutdown() })
		c.servers = append(c.servers, s)
	}
	natstest.Within(t, time.Minute, "JetStream is ready", func() bool {
		for _, s := range c.servers {
			if s.JetStreamIsLeader() {
				return s.JetStreamIsCurrent() && len(s.JetStreamClusterPeers()) == 3
			}
		}
		return false
	})
	return c
}

func (c *cluster) connect() (*nats.Conn, error) {
	var urls []string
	for _, s := range c.servers {
		urls = append(urls, s.ClientURL())
	}
	return nats.Connect(strings.Join(urls, ","), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
}

func mustConnect(t *testing.T, c *cluster) *nats.Conn {
	t.Helper()
	nc, err := c.connect()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nc.Close)
	return nc
}

func mustCreate(t *testing.T, nc *nats.Conn, s load.Stream) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	if err := s.Create(ctx, nc, 3, 64<<20); err != nil {
		t.Fatal(err)
	}
	natstest.Within(t, time.Minute, s.Name+" is current", func() bool {
		i, err := s.Info(nc)
		return err == nil && i.Current(3)
	})
}

func mustVerify(t *testing.T, l *load.Ledger, nc *nats.Conn, s load.Stream) load.Verdict {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	v, err := l.Verify(ctx, nc, s, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestEverythingIsFound lets writers and readers work while the leader moves, and finds each write on each replica.
func TestEverythingIsFound(t *testing.T) {
	c := mustCluster(t)
	nc := mustConnect(t, c)
	for _, s := range []load.Stream{{Name: "PLAIN"}, {Name: "KV_bucket"}} {
		t.Run(s.Name, func(t *testing.T) {
			mustCreate(t, nc, s)
			l := load.NewLedger()
			w, err := load.Start(load.WriterConfig{Ledger: l, Stream: s, Count: 3, Pause: 2 * time.Millisecond, Connect: c.connect})
			if err != nil {
				t.Fatal(err)
			}
			r, err := load.Read(load.ReaderConfig{Ledger: l, Stream: s, Pause: 5 * time.Millisecond, Connect: c.connect, Note: func(n string) { t.Log(n) }})
			if err != nil {
				t.Fatal(err)
			}
			natstest.Within(t, time.Minute, "300 writes", func() bool { return l.Acknowledged() >= 300 })
			if err := errors.Join(w.Reconnect(c.connect), r.Reconnect(c.connect)); err != nil {
				t.Fatal(err)
			}
			natstest.Within(t, time.Minute, "300 writes over other connections", func() bool { return l.Acknowledged() >= 600 })
			if v := mustVerify(t, l, nc, s); v.Lost() > 0 || len(v.Duplicates) > 0 || len(v.Replicas) != 3 {
				t.Errorf("with writers at work: %+v", v)
			}
			w.Halt()
			if v := mustVerify(t, l, nc, s); v.Lost() > 0 || len(v.Duplicates) > 0 || v.Read < 3*l.Acknowledged() {
				t.Errorf("%d acknowledged: %+v", l.Acknowledged(), v)
			}
			if seen := r.Halt(); seen.Total == 0 || seen.Followed == 0 {
				t.Errorf("readers saw nothing: %+v", seen)
			}
		})
	}
}

// TestLossAndDuplicateAreFound takes one message away behind the ledger's back, stores another twice, and damages one.
func TestLossAndDuplicateAreFound(t *testing.T) {
	c := mustCluster(t)
	nc := mustConnect(t, c)
	s := load.Stream{Name: "PLAIN"}
	mustCreate(t, nc, s)
	l := load.NewLedger()
	w, err := load.Start(load.WriterConfig{Ledger: l, Stream: s, Count: 1, Pause: time.Millisecond, Connect: c.connect})
	if err != nil {
		t.Fatal(err)
	}
	natstest.Within(t, time.Minute, "50 writes", func() bool { return l.Acknowledged() >= 50 })
	w.Halt()
	js, err := nc.JetStream()
	if err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteMsg(s.Name, 7); err != nil {
		t.Fatal(err)
	}
	twice, err := js.GetMsg(s.Name, 9)
	if err != nil {
		t.Fatal(err)
	}
	i, err := js.StreamInfo(s.Name)
	if err != nil {
		t.Fatal(err)
	}
	i.Config.Duplicates = 100 * time.Millisecond // or the stream would refuse what it has
	if _, err := js.UpdateStream(&i.Config); err != nil {
		t.Fatal(err)
	}
	natstest.Within(t, time.Minute, "the message is stored again", func() bool {
		a, err := js.PublishMsg(&nats.Msg{Subject: twice.Subject, Header: twice.Header, Data: twice.Data})
		return err == nil && !a.Duplicate
	})
	v := mustVerify(t, l, nc, s)
	if v.Lost() != 1 || len(v.Misses) != 3 || v.Misses[0].Seq != 7 || v.Misses[0].Age <= 0 {
		t.Errorf("one write is lost on three replicas, found %v", v.Misses)
	}
	if len(v.Duplicates) != 1 || v.Duplicates[0].First != 9 {
		t.Errorf("one write is stored twice, found %v", v.Duplicates)
	}
}
