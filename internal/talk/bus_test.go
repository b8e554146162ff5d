// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/busauth"
	"github.com/unibus/unibus/internal/contexts"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/httpapi"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/rooms"
)

// bus is a node with all that users meet, and users with contexts of their names: root, who is an admin, ann and bob.
type bus struct {
	t       testing.TB
	node    *natstest.Node
	auth    *busauth.Authenticator
	dir     *membership.Directory
	store   *membership.Store
	history jetstream.JetStream
	server  string
	url     string

	mu      sync.Mutex
	cluster string
}

// mustBus starts a node with the history class "kept", and the rooms "kitchen", which has it, and "alarms", which keeps nothing. ann and
// bob are in both.
func mustBus(t testing.TB) *bus {
	t.Helper()
	b := &bus{t: t, cluster: "cluster-of-the-test"}
	b.start()
	b.serve()
	t.Setenv(contexts.EnvFile, filepath.Join(t.TempDir(), "contexts.json"))
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	for _, name := range []string{"CONTEXT", "SERVER", "API", "CA", "KEY", "CLUSTER_ID"} {
		t.Setenv("UNIBUS_"+name, "")
	}
	b.class("kept", nil)
	for _, name := range []string{"root", "ann", "bob"} {
		b.user(name, name == "root")
	}
	for name, class := range map[string]string{"kitchen": "kept", "alarms": ""} {
		r, err := b.store.CreateRoom(t.Context(), name, class)
		b.must(err)
		for _, user := range []string{"ann", "bob"} {
			_, err := b.store.PutMember(t.Context(), name, b.key(user), v1.RoleMember, 0)
			b.must(err)
			b.within(user+" in "+name, func() bool { _, _, ok := b.dir.Role(b.key(user), r.Value.ID); return ok })
		}
	}
	mustRun(t, "context", "use", "ann")
	return b
}

func (b *bus) must(err error) {
	if b.t.Helper(); err != nil {
		b.t.Fatal(err)
	}
}

func (b *bus) within(what string, cond func() bool) {
	b.t.Helper()
	natstest.Within(b.t, natstest.Patience, what, cond)
}

// start starts the node, with its guard.
func (b *bus) start() {
	b.t.Helper()
	b.node = natstest.MustFound(b.t, natstest.Options{Configure: func(_ int, cfg *embeddednats.ServerConfig) {
		keys, err := busauth.NewKeys()
		b.must(err)
		b.dir = membership.NewDirectory(membership.Config{RefuseAfter: membership.DefaultRefuseAfter, Logger: natstest.Logger(),
			Changed: func(users []string) { b.auth.Refresh(users...) }})
		b.auth, err = busauth.New(busauth.Config{Keys: keys, IsAuthorized: b.dir.IsAuthorized, IsListed: b.dir.IsListed, Grants: b.dir.Grants, Logger: natstest.Logger()})
		b.must(err)
		cfg.Port, cfg.Auth = natstest.MustFreePort(b.t), b.auth
		b.server = fmt.Sprintf("nats://127.0.0.1:%d", cfg.Port)
		cfg.Connect = func(account string) []nats.Option {
			public, sign := keys.Login(account)
			return []nats.Option{nats.Nkey(public, sign)}
		}
	}})
	js, err := jetstream.New(b.node.MustConnect(b.t, embeddednats.AccountMembership))
	b.must(err)
	for _, name := range []string{v1.BucketUsers, v1.BucketRooms, v1.BucketMembers} {
		b.within("bucket "+name, func() bool {
			ctx, cancel := context.WithTimeout(b.t.Context(), time.Second)
			defer cancel()
			_, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, MaxBytes: 4 << 20})
			return err == nil
		})
	}
	_, err = js.CreateStream(b.t.Context(), membership.AuditStream(1, 1<<20))
	b.must(err)
	b.store, err = membership.NewStore(js, membership.StoreConfig{Counter: b.dir})
	b.must(err)
	b.history = b.node.MustJetStream(b.t)
}

// serve runs the services and the HTTP API.
func (b *bus) serve() {
	b.t.Helper()
	members, clients := b.node.MustConnect(b.t, embeddednats.AccountMembership), b.node.MustConnect(b.t, embeddednats.AccountClients)
	service, err := rooms.New(rooms.Config{Clients: clients, Pages: b.node.MustConnect(b.t, embeddednats.AccountClients),
		History: b.node.MustConnect(b.t, embeddednats.AccountHistory), Directory: b.dir, Logger: natstest.Logger()})
	b.must(err)
	b.background(func(ctx context.Context) error { return b.dir.Run(ctx, members) })
	b.background(service.Run)
	api, err := httpapi.New(httpapi.Config{Directory: b.dir, Logger: natstest.Logger(), Limits: httpapi.Limits{UserRate: 1000, AddressRate: 1000}, Cluster: func() v1.Cluster {
		b.mu.Lock()
		defer b.mu.Unlock()
		return v1.Cluster{ID: b.cluster, Name: "test", Node: b.node.Name(), Version: "v0", MaxPayload: 1 << 20}
	}})
	b.must(err)
	js, err := jetstream.New(members)
	b.must(err)
	stop := api.Serve(httpapi.Backend{Store: b.store, Audit: membership.NewAuditLog(js, nil), Rooms: rooms.Voice{Clients: clients}, Fits: func(v1.Class) error { return nil }})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	b.must(err)
	b.url = "http://" + l.Addr().String()
	server, served := api.Server(), make(chan struct{})
	go func() { defer close(served); _ = server.Serve(api.Listener(l)) }() // it ends when it is closed
	b.t.Cleanup(func() { stop(); server.Close(); <-served })
	account, err := b.node.Unwrap().LookupAccount(embeddednats.AccountClients)
	b.must(err)
	nobody := strings.Repeat("U", v1.UserKeySize)
	b.within("the services", func() bool {
		return b.dir.Ready() && account.Interest(v1.AppendSubject(nobody, "r")) > 0 && account.Interest(v1.HistorySubject(nobody, "r")) > 0
	})
}

func (b *bus) background(run func(context.Context) error) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := run(ctx); err != nil && ctx.Err() == nil {
			b.t.Error(err)
		}
	})
	b.t.Cleanup(func() { cancel(); wg.Wait() })
}

// become has the API say that it is of another cluster.
func (b *bus) become(cluster string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.cluster = cluster
}

// class makes a history class with its stream.
func (b *bus) class(name string, change func(*v1.Class)) {
	b.t.Helper()
	c := v1.Class{Name: name, MaxBytes: 8 << 20, MaxMessagesPerRoom: 10_000, MaxMessageBytes: 64 << 10, Full: v1.FullRolls}
	if change != nil {
		change(&c)
	}
	_, err := b.store.PutClass(b.t.Context(), c, 0)
	if !errors.Is(err, membership.ErrExists) {
		b.must(err)
	}
	b.must(rooms.Ensure(b.t.Context(), b.history, c, 1))
	b.within("class "+name, func() bool { _, ok := b.dir.Class(name); return ok })
}

// file is where the seed of a user's key is.
func (b *bus) file(user string) string { return filepath.Join(filepath.Dir(mustPath(b.t)), user+".nk") }

func mustPath(t testing.TB) string {
	t.Helper()
	path, err := contexts.Path()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// key is the public key of a user.
func (b *bus) key(user string) string {
	b.t.Helper()
	return strings.TrimSpace(mustRun(b.t, "key", "show", b.file(user)))
}

// user makes a key, puts it on the allowlist and makes a context.
func (b *bus) user(name string, admin bool) {
	b.t.Helper()
	key := strings.TrimSpace(mustRun(b.t, "key", "new", "--out", b.file(name)))
	_, err := b.store.CreateUser(b.t.Context(), v1.User{Name: name, Key: key, Admin: admin})
	b.must(err)
	b.within("user "+name, func() bool { _, ok := b.dir.User(key); return ok })
	mustRun(b.t, "context", "add", name, "--server", b.server, "--api", b.url, "--key", b.file(name))
}
