// SPDX-License-Identifier: Apache-2.0

package jsadmin

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/unibus/unibus/internal/natstest"
)

// limit is how long a condition may take on a slow machine.
const limit = 60 * time.Second

const accounts = `
accounts {
  SYS        { users: [{user: SYS, password: x}] }
  MEMBERSHIP { jetstream: enabled, users: [{user: MEMBERSHIP, password: x}] }
  HISTORY    { jetstream: enabled, users: [{user: HISTORY, password: x}] }
  OTHER      { jetstream: enabled, users: [{user: OTHER, password: x}] }
}
system_account: SYS`

// lab is a cluster of servers that were started together.
type lab struct {
	t     *testing.T
	names []string
	dirs  map[string]string
	ports map[string]int
	srv   map[string]*server.Server
	links map[[2]string]*natstest.Link // from, to; empty without links
}

// mustCluster starts n servers, n0 to n<n-1>. With links, each route runs through a proxy that can be cut.
func mustCluster(t *testing.T, n int, links bool) *lab {
	t.Helper()
	l := &lab{t: t, dirs: map[string]string{}, ports: map[string]int{}, srv: map[string]*server.Server{}, links: map[[2]string]*natstest.Link{}}
	for i := range n {
		name := fmt.Sprintf("n%d", i)
		l.names = append(l.names, name)
		l.dirs[name], l.ports[name] = filepath.Join(t.TempDir(), name), natstest.MustFreePort(t)
	}
	if links {
		for _, a := range l.names {
			for _, b := range l.names {
				k, err := natstest.NewLink(fmt.Sprintf("127.0.0.1:%d", l.ports[b]))
				must(t, err)
				t.Cleanup(k.Close)
				l.links[[2]string{a, b}] = k
			}
		}
	}
	for _, name := range l.names {
		l.start(name)
	}
	t.Cleanup(func() {
		for _, name := range l.names {
			l.stop(name)
		}
	})
	a := l.mustAdmin()
	l.within("a meta group in which all are current", func() bool {
		m, err := a.Meta(t.Context())
		return err == nil && len(m.Members) == n && !slices.ContainsFunc(m.Members, func(p Member) bool { return !p.Current })
	})
	return l
}

func (l *lab) start(name string) {
	l.t.Helper()
	o := &server.Options{}
	must(l.t, o.ProcessConfigString(accounts))
	o.ServerName, o.Host, o.Port = name, "127.0.0.1", -1
	o.NoSigs, o.NoLog = true, true
	o.JetStream, o.StoreDir = true, l.dirs[name]
	o.Cluster = server.ClusterOpts{Name: "lab", Host: "127.0.0.1", Port: l.ports[name], PoolSize: -1, NoAdvertise: true}
	if len(l.links) > 0 {
		o.Cluster.Advertise = "127.0.0.1:1" // what gossip tells must not get around the links
	}
	for _, peer := range l.names {
		u := &url.URL{Scheme: "nats", Host: fmt.Sprintf("127.0.0.1:%d", l.ports[peer])}
		if k := l.links[[2]string{name, peer}]; k != nil && peer != name {
			u = k.URL()
		}
		o.Routes = append(o.Routes, u)
	}
	s, err := server.NewServer(o)
	must(l.t, err)
	s.Start()
	if !s.ReadyForConnections(limit) {
		l.t.Fatalf("%s is not ready for connections", name)
	}
	l.srv[name] = s
}

func (l *lab) stop(name string) {
	if s := l.srv[name]; s != nil {
		s.Shutdown()
		s.WaitForShutdown()
		delete(l.srv, name)
	}
}

// cut takes a server off from all others.
func (l *lab) cut(name string) {
	for pair, k := range l.links {
		if pair[0] == name || pair[1] == name {
			k.Cut()
		}
	}
}

func (l *lab) within(what string, cond func() bool) {
	l.t.Helper()
	natstest.Within(l.t, limit, what, cond)
}

func login(account string) []nats.Option { return []nats.Option{nats.UserInfo(account, "x")} }

// mustAdmin connects to the named servers, or to all.
func (l *lab) mustAdmin(names ...string) *Admin {
	l.t.Helper()
	if len(names) == 0 {
		names = l.names
	}
	var urls []string
	for _, n := range names {
		if s := l.srv[n]; s != nil {
			urls = append(urls, s.ClientURL())
		}
	}
	a, err := Connect(l.t.Context(), Options{URLs: urls, Connect: login, Accounts: []string{"MEMBERSHIP", "HISTORY"}, Names: l.names})
	must(l.t, err)
	l.t.Cleanup(a.Close)
	return a
}

// mustJS connects a client to an account.
func (l *lab) mustJS(account string) jetstream.JetStream {
	l.t.Helper()
	var urls string
	for _, s := range l.srv {
		urls += "," + s.ClientURL()
	}
	nc, err := nats.Connect(urls[1:], nats.UserInfo(account, "x"), nats.MaxReconnects(-1), nats.ReconnectWait(50*time.Millisecond))
	must(l.t, err)
	l.t.Cleanup(nc.Close)
	js, err := jetstream.New(nc)
	must(l.t, err)
	return js
}

// mustStream makes a stream, in short attempts.
func (l *lab) mustStream(js jetstream.JetStream, cfg jetstream.StreamConfig) {
	l.t.Helper()
	l.within("stream "+cfg.Name, func() bool {
		ctx, cancel := context.WithTimeout(l.t.Context(), time.Second)
		defer cancel()
		_, err := js.CreateOrUpdateStream(ctx, cfg)
		return err == nil
	})
}

func (l *lab) mustInSync(a *Admin, account, name string, replicas int) Stream {
	l.t.Helper()
	var s Stream
	l.within(fmt.Sprintf("%s in sync with %d replicas", name, replicas), func() bool {
		var err error
		s, err = a.Stream(l.t.Context(), account, name)
		return err == nil && s.Replicas == replicas && s.InSync()
	})
	return s
}

func mustPublish(t *testing.T, js jetstream.JetStream, subject string, n int) {
	t.Helper()
	for i := range n {
		natstest.Within(t, limit, "a publish", func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := js.Publish(ctx, subject, fmt.Appendf(nil, "message %d", i), jetstream.WithMsgID(fmt.Sprint(subject, i)))
			return err == nil
		})
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func expectError(t *testing.T, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Fatalf("error is %v, want %v", err, want)
	}
}
