// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/rooms"
)

const clusterID = "cluster-of-the-test"

// bus is a node with the API.
type bus struct {
	t     testing.TB
	node  *natstest.Node
	js    jetstream.JetStream // of the membership account
	store *membership.Store
	dir   *membership.Directory
	api   *API
	url   string
	fits  func(v1.Class) error
	stop  func()                              // ends what the API serves with
	told  func(method, path string, r result) // of each answer, nil for nobody
}

// newBus starts a node whose only user is root, an admin. change may be nil.
func newBus(t testing.TB, change func(*Config)) *bus {
	t.Helper()
	b := &bus{t: t, node: natstest.MustFound(t, natstest.Options{}), fits: func(v1.Class) error { return nil }}
	members, history := b.node.MustConnect(t, embeddednats.AccountMembership), b.node.MustConnect(t, embeddednats.AccountHistory)
	clients := b.node.MustConnect(t, embeddednats.AccountClients)
	b.js = b.must(jetstream.New(members)).(jetstream.JetStream)
	for _, name := range []string{v1.BucketUsers, v1.BucketRooms, v1.BucketMembers} {
		natstest.Within(t, natstest.Patience, "bucket "+name, func() bool {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, err := b.js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, MaxBytes: 4 << 20})
			return err == nil
		})
	}
	b.must(b.js.CreateStream(t.Context(), membership.AuditStream(1, 1<<20)))
	c := Config{Cluster: func() v1.Cluster {
		return v1.Cluster{ID: clusterID, Name: "test", Node: b.node.Name(), Version: "v0", MaxPayload: 1 << 20}
	}, Logger: natstest.Logger()}
	b.dir = membership.NewDirectory(membership.Config{Logger: natstest.Logger(), Changed: func(users []string) { b.api.Changed(users) }})
	c.Directory = b.dir
	if change != nil {
		change(&c)
	}
	b.store = b.must(membership.NewStore(b.js, membership.StoreConfig{Counter: b.dir})).(*membership.Store)
	b.api = b.must(New(c)).(*API)
	service := b.must(rooms.New(rooms.Config{Clients: clients, Pages: clients, History: history, Directory: b.dir, Logger: natstest.Logger()})).(*rooms.Service)
	b.background(func(ctx context.Context) error { return b.dir.Run(ctx, members) })
	b.background(service.Run)
	b.stop = b.api.Serve(Backend{Store: b.store, Audit: membership.NewAuditLog(b.js, c.Now), Rooms: rooms.Voice{Clients: clients},
		Fits: func(c v1.Class) error { return b.fits(c) }})
	l := b.must(net.Listen("tcp", "127.0.0.1:0")).(net.Listener)
	b.url = "http://" + l.Addr().String()
	server := b.api.Server()
	served := make(chan struct{})
	go func() { defer close(served); _ = server.Serve(b.api.Listener(l)) }()
	t.Cleanup(func() { b.stop(); server.Close(); <-served })
	natstest.Within(t, natstest.Patience, "the directory", b.dir.Ready)
	account, err := b.node.Unwrap().LookupAccount(embeddednats.AccountClients)
	if err != nil {
		t.Fatal(err)
	}
	nobody := strings.Repeat("U", v1.UserKeySize)
	natstest.Within(t, natstest.Patience, "the services", func() bool {
		return account.Interest(v1.AppendSubject(nobody, "r")) > 0 && account.Interest(v1.HistorySubject(nobody, "r")) > 0
	})
	return b
}

func (b *bus) must(v any, err error) any {
	b.t.Helper()
	if err != nil {
		b.t.Fatal(err)
	}
	return v
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

// user is somebody with a key.
type user struct {
	b         *bus
	name, key string
	private   ed25519.PrivateKey
	pair      nkeys.KeyPair
}

// stranger makes a key that is nobody's yet.
func (b *bus) stranger(name string) *user {
	b.t.Helper()
	pair := b.must(nkeys.CreateUser()).(nkeys.KeyPair)
	seed := b.must(pair.Seed()).([]byte)
	_, raw, err := nkeys.DecodeSeed(seed)
	if err != nil {
		b.t.Fatal(err)
	}
	return &user{b: b, name: name, key: b.must(pair.PublicKey()).(string), private: ed25519.NewKeyFromSeed(raw), pair: pair}
}

func (b *bus) user(name string, admin bool) *user {
	b.t.Helper()
	u := b.stranger(name)
	b.must(b.store.CreateUser(b.t.Context(), v1.User{Name: name, Key: u.key, Admin: admin}))
	natstest.Within(b.t, natstest.Patience, "user "+name, func() bool { _, ok := b.dir.User(u.key); return ok })
	return u
}

// room makes a room with members.
func (b *bus) room(name, class string, members map[*user]v1.Role) v1.Room {
	b.t.Helper()
	r := b.must(b.store.CreateRoom(b.t.Context(), name, class)).(membership.Record[v1.Room]).Value
	for u, role := range members {
		b.must(b.store.PutMember(b.t.Context(), name, u.key, role, 0))
		natstest.Within(b.t, natstest.Patience, u.name+" in "+name, func() bool { got, _, _ := b.dir.Role(u.key, r.ID); return got == role })
	}
	return r
}

// class makes a history class with its stream.
func (b *bus) class(name string, changes ...func(*v1.Class)) v1.Class {
	b.t.Helper()
	c := membership.DefaultClass(name)
	c.MaxBytes, c.PublisherRate, c.RoomRate = 8<<20, 0, 0
	for _, change := range changes {
		change(&c)
	}
	b.must(b.store.PutClass(b.t.Context(), c, 0))
	js := b.must(jetstream.New(b.node.MustConnect(b.t, embeddednats.AccountHistory))).(jetstream.JetStream)
	b.must(nil, rooms.Ensure(b.t.Context(), js, c, 1))
	natstest.Within(b.t, natstest.Patience, "class "+name, func() bool { _, ok := b.dir.Class(name); return ok })
	return c
}

// token makes a good token, but for what change does to its claims.
func (u *user) token(change func(*v1.Token)) string {
	u.b.t.Helper()
	return u.b.must(u.sign(change)).(string)
}

func (u *user) sign(change func(*v1.Token)) (string, error) {
	now := u.b.api.c.Now().Unix()
	c := v1.Token{Subject: u.key, Audience: clusterID, IssuedAt: now, Expires: now + 60}
	if change != nil {
		change(&c)
	}
	return jwt.NewWithClaims(jwt.SigningMethodEdDSA, &claims{c}).SignedString(u.private)
}

// result is what was answered.
type result struct {
	status int
	header http.Header
	body   []byte
	v1.Problem
}

// do makes a request; body is nil, text, or what becomes JSON. Headers are pairs.
func (u *user) do(method, path string, body any, headers ...string) result {
	u.b.t.Helper()
	return u.b.do(method, path, body, append([]string{"Authorization", "Bearer " + u.token(nil)}, headers...)...)
}

func (b *bus) do(method, path string, body any, headers ...string) result {
	b.t.Helper()
	var r io.Reader
	kind := ""
	switch body := body.(type) {
	case nil:
	case string:
		r = strings.NewReader(body)
	default:
		r, kind = bytes.NewReader(b.must(json.Marshal(body)).([]byte)), contentJSON
	}
	req := b.must(http.NewRequestWithContext(b.t.Context(), method, b.url+path, r)).(*http.Request)
	if kind != "" {
		req.Header.Set("Content-Type", kind)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp := b.must(http.DefaultClient.Do(req)).(*http.Response)
	defer resp.Body.Close()
	out := result{status: resp.StatusCode, header: resp.Header, body: b.must(io.ReadAll(resp.Body)).([]byte)}
	if out.status >= 400 {
		if got := resp.Header.Get("Content-Type"); got != contentProblem {
			b.t.Errorf("%s %s: %d with content type %q: %s", method, path, out.status, got, out.body)
		}
		b.must(nil, json.Unmarshal(out.body, &out.Problem))
	}
	if b.told != nil {
		b.told(method, path, out)
	}
	return out
}

// expect ends the test unless the answer has that status and, for a problem, that code.
func (r result) expect(t testing.TB, status int, code string) result {
	t.Helper()
	if r.status != status || r.Code != code {
		t.Fatalf("answer is %d %q, want %d %q: %s", r.status, r.Code, status, code, r.body)
	}
	if code != "" && (r.Type != v1.ProblemPrefix+code || r.Status != status || r.Title == "" || r.Detail == "") {
		t.Fatalf("problem is incomplete: %s", r.body)
	}
	return r
}

func decode[T any](t testing.TB, r result) (v T) {
	t.Helper()
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("%s: %v", r.body, err)
	}
	return v
}
