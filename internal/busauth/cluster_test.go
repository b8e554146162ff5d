// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"crypto/x509"
	"encoding/binary"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/unibus/unibus/internal/natstest"
)

// routed are servers that are to form a cluster; no JetStream, since only routes matter here.
type routed struct {
	srv   []*server.Server
	ports []int
	user  key
}

func newRouted(t testing.TB, n int) *routed {
	t.Helper()
	r := &routed{srv: make([]*server.Server, n), ports: make([]int, n), user: mustKey(t, nkeys.CreateUser)}
	for i := range r.ports {
		r.ports[i] = natstest.MustFreePort(t)
	}
	return r
}

// start starts node i with routes to all.
func (r *routed) start(t testing.TB, i int, f *Files) {
	t.Helper()
	auth := mustAuth(t, Config{Keys: mustKeys(t), IsAuthorized: newAllowlist(r.user.hex).has, Grants: everything})
	o := &server.Options{}
	if err := o.ProcessConfigString(accountsText); err != nil {
		t.Fatal(err)
	}
	o.ServerName, o.Host, o.Port = fmt.Sprintf("n%d", i), "127.0.0.1", -1
	o.NoSigs, o.NoLog = true, true
	o.CustomClientAuthentication, o.AlwaysEnableNonce = auth, true
	o.Cluster = server.ClusterOpts{Name: "tests", Host: "127.0.0.1", Port: r.ports[i], PoolSize: -1, NoAdvertise: true,
		TLSConfig: f.RouteConfig(), TLSTimeout: patience.Seconds()}
	for _, port := range r.ports {
		o.Routes = append(o.Routes, &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", port)})
	}
	r.srv[i] = mustStart(t, o, auth.Bind)
}

func (r *routed) stop(i int) {
	r.srv[i].Shutdown()
	r.srv[i].WaitForShutdown()
}

// routes lists the route connections as each node numbers them.
func (r *routed) routes(t testing.TB) (ids []string) {
	t.Helper()
	for _, s := range r.srv {
		z, err := s.Routez(nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, c := range z.Routes {
			ids = append(ids, fmt.Sprintf("%s to %s as %d", s.Name(), c.RemoteName, c.Rid))
		}
	}
	slices.Sort(ids)
	return ids
}

func (r *routed) expectMesh(t testing.TB, when string) {
	t.Helper()
	natstest.Within(t, patience, when+": every node has a route to each other", func() bool {
		return !slices.ContainsFunc(r.srv, func(s *server.Server) bool { return s.NumRoutes() != len(r.srv)-1 })
	})
}

// load is a writer on each node, whose numbered messages all others read.
type load struct {
	stop    chan struct{}
	done    sync.WaitGroup
	sent    []atomic.Uint64
	readers []*reader
}

type reader struct {
	from, to  int
	got, gaps atomic.Uint64
}

func (r *routed) mustLoad(t testing.TB) *load {
	t.Helper()
	l := &load{stop: make(chan struct{}), sent: make([]atomic.Uint64, len(r.srv))}
	for from := range r.srv {
		for to := range r.srv {
			if from != to {
				l.readers = append(l.readers, r.mustRead(t, from, to))
			}
		}
	}
	for i, s := range r.srv {
		nc := mustConnect(t, s, r.user.option())
		l.done.Go(func() { l.write(t, nc, i) })
	}
	t.Cleanup(l.end)
	return l
}

func (r *routed) mustRead(t testing.TB, from, to int) *reader {
	t.Helper()
	in, rd := mustConnect(t, r.srv[to], r.user.option()), &reader{from: from, to: to}
	subject := fmt.Sprintf("load.%d", from)
	if _, err := in.Subscribe(subject, func(m *nats.Msg) {
		if n := binary.BigEndian.Uint64(m.Data); n != rd.got.Swap(n)+1 {
			rd.gaps.Add(1)
		}
	}); err != nil {
		t.Fatal(err)
	}
	if err := in.Flush(); err != nil {
		t.Fatal(err)
	}
	natstest.Within(t, patience, "interest in "+subject+" has arrived", func() bool {
		z, err := r.srv[from].Routez(&server.RoutezOptions{Subscriptions: true})
		return err == nil && slices.ContainsFunc(z.Routes, func(i *server.RouteInfo) bool {
			return i.RemoteName == r.srv[to].Name() && slices.ContainsFunc(i.Subs, func(s string) bool { return strings.Contains(s, subject) })
		})
	})
	return rd
}

func (l *load) write(t testing.TB, nc *nats.Conn, i int) {
	for n := uint64(1); ; n++ {
		select {
		case <-l.stop:
			return
		default:
		}
		if err := nc.Publish(fmt.Sprintf("load.%d", i), binary.BigEndian.AppendUint64(nil, n)); err != nil {
			t.Error(err)
			return
		}
		// A round trip after each keeps the load within what a slow machine takes.
		if err := nc.Flush(); err != nil {
			t.Error(err)
			return
		}
		l.sent[i].Store(n)
	}
}

// expectMore waits until every reader has got twenty messages that are yet to be written.
func (l *load) expectMore(t testing.TB) {
	t.Helper()
	goal := make([]uint64, len(l.readers))
	for i, r := range l.readers {
		goal[i] = l.sent[r.from].Load() + 20
	}
	natstest.Within(t, patience, "all readers go on", func() bool {
		for i, r := range l.readers {
			if r.got.Load() < goal[i] {
				return false
			}
		}
		return true
	})
}

// expectComplete ends the load: every reader has got every message, in order.
func (l *load) expectComplete(t testing.TB) {
	t.Helper()
	l.end()
	for _, r := range l.readers {
		natstest.Within(t, patience, "the last message arrives", func() bool { return r.got.Load() == l.sent[r.from].Load() })
		if n := r.gaps.Load(); n != 0 {
			t.Errorf("from n%d to n%d: %d gaps in %d messages", r.from, r.to, n, r.got.Load())
		}
	}
}

func (l *load) end() {
	select {
	case <-l.stop:
	default:
		close(l.stop)
	}
	l.done.Wait()
}

// TestRoutesSurviveRotation rotates the leaves and then the CA of three nodes under load: no route drops, no message is missed, and
// what connects afterwards is judged by the new files.
func TestRoutesSurviveRotation(t *testing.T) {
	old, fresh := mustCA(t, "old"), mustCA(t, "fresh")
	leaf := func(ca *natstest.CA) *natstest.Leaf { return mustLeafOf(t, ca, natstest.LeafSpec{}) }
	r := newRouted(t, 3)
	nodes, files := make([]*pki, 3), make([]*Files, 3)
	for i := range nodes {
		nodes[i] = nodePKI(t, old)
		files[i] = nodes[i].open(t)
		r.start(t, i, files[i])
	}
	r.expectMesh(t, "start")
	before := r.routes(t)
	load := r.mustLoad(t)
	for _, step := range []func(*pki){
		func(p *pki) { p.write(t, leaf(old), old) },
		func(p *pki) { p.write(t, leaf(old), old, fresh) },
		func(p *pki) { p.write(t, leaf(fresh), old, fresh) },
		func(p *pki) { p.write(t, leaf(fresh), fresh) },
	} {
		for i, p := range nodes {
			step(p)
			load.expectMore(t)
			if err := files[i].CheckRoute(); err != nil {
				t.Error(err)
			}
		}
	}
	load.expectComplete(t)
	if diff := cmp.Diff(before, r.routes(t)); diff != "" {
		t.Errorf("routes changed, -before +after:\n%s", diff)
	}

	r.stop(2)
	nodes[2].write(t, leaf(old), old, fresh)
	r.start(t, 2, nodes[2].open(t))
	natstest.Within(t, patience, "the old CA's leaf is refused", func() bool { return files[0].Refused()[ErrAuthority.Error()] > 2 })
	if n := r.srv[2].NumRoutes(); n != 0 {
		t.Errorf("%d routes with a leaf of a CA that is trusted no more", n)
	}
	nodes[2].write(t, leaf(fresh), fresh)
	r.expectMesh(t, "its leaf exchanged in place")
}

// TestClusterRejectsCertificates: a server with a bad certificate gets no route to a good one, whichever of them dials, and a good
// third is not disturbed.
func TestClusterRejectsCertificates(t *testing.T) {
	ca, wrong := mustCA(t, "ca"), mustCA(t, "wrong")
	ago := time.Now().Add(-48 * time.Hour)
	r := newRouted(t, 3)
	good := []*Files{nodePKI(t, ca).open(t), nodePKI(t, ca).open(t)}
	r.start(t, 0, good[0])
	r.start(t, 1, good[1])
	for _, tt := range []struct {
		name string
		leaf *natstest.Leaf
		want error
	}{
		{"expired", mustLeafOf(t, ca, natstest.LeafSpec{NotBefore: ago}), ErrExpired},
		{"wrong name", mustLeafOf(t, ca, natstest.LeafSpec{Names: []string{"db.example"}}), ErrName},
		{"for clients", mustLeafOf(t, ca, natstest.LeafSpec{Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), ErrUsage},
		{"for servers", mustLeafOf(t, ca, natstest.LeafSpec{Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), ErrUsage},
		{"wrong CA", mustLeafOf(t, wrong, natstest.LeafSpec{}), ErrAuthority},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before := []uint64{good[0].Refused()[tt.want.Error()], good[1].Refused()[tt.want.Error()]}
			r.start(t, 2, mustPKI(t, tt.leaf, ca, wrong).open(t))
			natstest.Within(t, patience, "both good nodes refuse it", func() bool {
				return good[0].Refused()[tt.want.Error()] > before[0] && good[1].Refused()[tt.want.Error()] > before[1]
			})
			if n := r.srv[2].NumRoutes(); n != 0 {
				t.Errorf("the bad node has %d routes", n)
			}
			for i := range 2 {
				if n := r.srv[i].NumRoutes(); n != 1 {
					t.Errorf("good node %d has %d routes, want 1", i, n)
				}
			}
			r.stop(2)
		})
	}
	r.start(t, 2, nodePKI(t, ca).open(t))
	r.expectMesh(t, "a good one in its place")
}
