// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/busauth"
	"github.com/unibus/unibus/internal/contexts"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/httpapi"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/rooms"
)

const clusterID = "cluster-of-the-test"

// scene is a node with all that users meet, over TLS with a certificate that tests change, and another node that is about to start:
// until it is let, it refuses everybody, and no service answers there.
type scene struct {
	t         testing.TB
	folder    string
	node, odd *natstest.Node
	dir       *membership.Directory
	auth      *busauth.Authenticator
	store     *membership.Store
	ca        *natstest.CA
	cert      atomic.Pointer[tls.Certificate]
	admits    atomic.Bool  // the odd node
	skew      atomic.Int64 // of the API's clock, in nanoseconds
	deaf      atomic.Bool  // the API is given no token
	timeless  atomic.Bool  // the API does not say what time it is
	tokens    atomic.Int64 // that came to the API

	server, oddServer, api, oddAPI string
}

func mustScene(t testing.TB) *scene {
	t.Helper()
	s := &scene{t: t, folder: t.TempDir()}
	var err error
	s.ca, err = natstest.NewCA("bus")
	s.must(err)
	s.use(s.ca, natstest.LeafSpec{})
	s.must(os.WriteFile(s.path("ca.crt"), s.ca.PEM(), 0o600))
	s.node, s.server = s.start(func(k *busauth.Keys) *busauth.Authenticator {
		s.dir = membership.NewDirectory(membership.Config{Logger: natstest.Logger(), Changed: func(users []string) { s.auth.Refresh(users...) }})
		s.auth, err = busauth.New(busauth.Config{Keys: k, IsAuthorized: s.dir.IsAuthorized, IsListed: s.dir.IsListed, Grants: s.dir.Grants, Logger: natstest.Logger()})
		s.must(err)
		return s.auth
	})
	s.odd, s.oddServer = s.start(func(k *busauth.Keys) *busauth.Authenticator {
		auth, err := busauth.New(busauth.Config{Keys: k, Logger: natstest.Logger(), Grants: s.dir.Grants, IsListed: s.dir.IsListed,
			IsAuthorized: func(key string) bool { return s.admits.Load() && s.dir.IsAuthorized(key) }, IsReady: s.admits.Load})
		s.must(err)
		return auth
	})
	s.serve()
	return s
}

func (s *scene) must(err error) {
	if s.t.Helper(); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) path(name string) string { return filepath.Join(s.folder, name) }

// use gives both nodes and the API another certificate.
func (s *scene) use(ca *natstest.CA, spec natstest.LeafSpec) {
	s.t.Helper()
	leaf, err := ca.Issue(spec)
	s.must(err)
	s.cert.Store(&leaf.TLS)
}

func (s *scene) tls() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return s.cert.Load(), nil }}
}

func (s *scene) start(guard func(*busauth.Keys) *busauth.Authenticator) (node *natstest.Node, server string) {
	s.t.Helper()
	return natstest.MustFound(s.t, natstest.Options{Configure: func(_ int, cfg *embeddednats.ServerConfig) {
		keys, err := busauth.NewKeys()
		s.must(err)
		cfg.Port, cfg.Auth, cfg.TLS = natstest.MustFreePort(s.t), guard(keys), s.tls()
		server = fmt.Sprintf("nats://127.0.0.1:%d", cfg.Port)
		cfg.Connect = func(account string) []nats.Option {
			public, sign := keys.Login(account)
			return []nats.Option{nats.Nkey(public, sign)}
		}
	}}), server
}

// serve runs the services and the API of the node, and the API of the odd one.
func (s *scene) serve() {
	s.t.Helper()
	members, clients := s.node.MustConnect(s.t, embeddednats.AccountMembership), s.node.MustConnect(s.t, embeddednats.AccountClients)
	js, err := jetstream.New(members)
	s.must(err)
	for _, name := range []string{v1.BucketUsers, v1.BucketRooms, v1.BucketMembers} {
		natstest.Within(s.t, natstest.Patience, "bucket "+name, func() bool {
			ctx, cancel := context.WithTimeout(s.t.Context(), time.Second)
			defer cancel()
			_, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, MaxBytes: 4 << 20})
			return err == nil
		})
	}
	s.store, err = membership.NewStore(js, membership.StoreConfig{Counter: s.dir})
	s.must(err)
	service, err := rooms.New(rooms.Config{Clients: clients, Pages: clients, History: s.node.MustConnect(s.t, embeddednats.AccountHistory),
		Directory: s.dir, Logger: natstest.Logger()})
	s.must(err)
	s.background(func(ctx context.Context) error { return s.dir.Run(ctx, members) })
	s.background(service.Run)
	s.api = s.listen(s.dir, s.store, clients)
	s.oddAPI = s.listen(membership.NewDirectory(membership.Config{Logger: natstest.Logger()}), s.store, clients)
	natstest.Within(s.t, natstest.Patience, "the directory", s.dir.Ready)
}

func (s *scene) background(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := run(ctx); err != nil && ctx.Err() == nil {
			s.t.Error(err)
		}
	})
	s.t.Cleanup(func() { cancel(); wg.Wait() })
}

// listen serves the API with a clock that tests change.
func (s *scene) listen(dir *membership.Directory, store *membership.Store, clients *nats.Conn) string {
	s.t.Helper()
	now := func() time.Time { return time.Now().Add(time.Duration(s.skew.Load())) }
	api, err := httpapi.New(httpapi.Config{Directory: dir, Logger: natstest.Logger(), Now: now, Limits: httpapi.Limits{UserRate: 1000, AddressRate: 1000},
		Cluster: func() v1.Cluster {
			return v1.Cluster{ID: clusterID, Name: "test", Node: "n", Version: "v0", MaxPayload: 1 << 20}
		}})
	s.must(err)
	stop := api.Serve(httpapi.Backend{Store: store, Rooms: rooms.Voice{Clients: clients}, Fits: func(v1.Class) error { return nil }})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	server, served := api.Server(), make(chan struct{})
	server.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "" {
			s.tokens.Add(1)
		}
		if s.deaf.Load() {
			r.Header.Del("Authorization")
		}
		if w.Header().Set("Date", now().UTC().Format(http.TimeFormat)); s.timeless.Load() {
			w.Header()["Date"] = nil
		}
		api.ServeHTTP(w, r)
	})
	go func() { defer close(served); _ = server.Serve(tls.NewListener(api.Listener(l), s.tls())) }() // it ends when it is closed
	s.t.Cleanup(func() { stop(); server.Close(); <-served })
	return "https://" + l.Addr().String()
}

// seed writes a new key, and returns the public one.
func (s *scene) seed(file string, kind nkeys.PrefixByte) (public string) {
	s.t.Helper()
	pair, err := nkeys.CreatePair(kind)
	s.must(err)
	seed, err := pair.Seed()
	s.must(err)
	s.must(os.WriteFile(s.path(file), append(seed, '\n'), 0o600))
	public, err = pair.PublicKey()
	s.must(err)
	return public
}

// user makes a user, in a room unless that is empty.
func (s *scene) user(name, room string) {
	s.t.Helper()
	key := s.seed(name, nkeys.PrefixByteUser)
	_, err := s.store.CreateUser(s.t.Context(), v1.User{Name: name, Key: key})
	s.must(err)
	natstest.Within(s.t, natstest.Patience, "user "+name, func() bool { _, ok := s.dir.User(key); return ok })
	if room == "" {
		return
	}
	r, err := s.store.CreateRoom(s.t.Context(), room, "")
	s.must(err)
	_, err = s.store.PutMember(s.t.Context(), room, key, v1.RoleMember, 0)
	s.must(err)
	natstest.Within(s.t, natstest.Patience, name+" in "+room, func() bool { _, _, ok := s.dir.Role(key, r.Value.ID); return ok })
}

// link is how a user gets to the bus when nothing is wrong.
func (s *scene) link(user string) contexts.Flags {
	return contexts.Flags{Servers: []string{s.server}, API: s.api, CA: s.path("ca.crt"), Key: s.path(user), ClusterID: clusterID}
}

// listenTCP runs a server that does as it is told with each connection, which is closed afterwards.
func (s *scene) listenTCP(do func(net.Conn)) (address string) {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	s.must(err)
	var all sync.WaitGroup
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer conn.Close()
				do(conn)
			})
		}
	})
	s.t.Cleanup(func() { l.Close(); all.Wait() })
	return l.Addr().String()
}
