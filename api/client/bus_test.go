// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/busauth"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/rooms"
)

// bus is nodes with all that users meet: who may enter, what rooms remember.
type bus struct {
	t     testing.TB
	nodes []*node
}

type node struct {
	*natstest.Node
	auth *busauth.Authenticator
	dir  *membership.Directory
	end  func() // of its services
}

// mustBus starts nodes with the history class "kept".
func mustBus(t testing.TB, n int) *bus {
	t.Helper()
	return mustBusWith(t, n, func(*embeddednats.ServerConfig) {})
}

func mustBusWith(t testing.TB, n int, change func(*embeddednats.ServerConfig)) *bus {
	t.Helper()
	b := &bus{t: t}
	cfgs := natstest.MustConfigs(t, n, natstest.Options{Configure: func(i int, cfg *embeddednats.ServerConfig) {
		b.nodes = append(b.nodes, b.equip(cfg))
		change(cfg)
	}})
	started := []*natstest.Node{}
	if n == 1 {
		started = append(started, natstest.MustStart(t, embeddednats.Found, cfgs[0]))
	} else {
		started = natstest.MustStartAll(t, cfgs)
	}
	for i, s := range started {
		b.nodes[i].Node = s
	}
	b.buckets(n)
	b.within("the class", func(ctx context.Context) error {
		_, err := b.store().PutClass(ctx, v1.Class{Name: "kept", MaxBytes: 64 << 20, MaxMessagesPerRoom: 100_000, MaxMessageBytes: 64 << 10, Full: v1.FullRolls}, 0)
		return err
	})
	class, err := b.store().GetClass(context.Background(), "kept")
	b.must(err)
	b.stream(class.Value)
	for _, x := range b.nodes {
		b.serve(x)
	}
	if n > 1 {
		b.nodes[0].WithinSync(t)
	}
	return b
}

// equip gives a node a port that it finds again, and its guard.
func (b *bus) equip(cfg *embeddednats.ServerConfig) *node {
	b.t.Helper()
	keys, err := busauth.NewKeys()
	b.must(err)
	x := &node{}
	x.dir = membership.NewDirectory(membership.Config{RefuseAfter: membership.DefaultRefuseAfter, Logger: natstest.Logger(),
		Changed: func(users []string) { x.auth.Refresh(users...) }})
	x.auth, err = busauth.New(busauth.Config{Keys: keys, IsAuthorized: x.dir.IsAuthorized, IsListed: x.dir.IsListed, Grants: x.dir.Grants, Logger: natstest.Logger()})
	b.must(err)
	cfg.Port, cfg.Auth = natstest.MustFreePort(b.t), x.auth
	cfg.Connect = func(account string) []nats.Option {
		public, sign := keys.Login(account)
		return []nats.Option{nats.Nkey(public, sign)}
	}
	return x
}

func (b *bus) buckets(replicas int) {
	b.t.Helper()
	js, err := jetstream.New(b.nodes[0].MustConnect(b.t, embeddednats.AccountMembership))
	b.must(err)
	for _, name := range []string{v1.BucketUsers, v1.BucketRooms, v1.BucketMembers} {
		b.within("bucket "+name, func(ctx context.Context) error {
			_, err := js.CreateOrUpdateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: name, Replicas: replicas, MaxBytes: 8 << 20})
			return err
		})
	}
}

// stream makes the stream of a class on all nodes.
func (b *bus) stream(class v1.Class) {
	b.t.Helper()
	js := b.nodes[0].MustJetStream(b.t)
	b.within("the stream", func(ctx context.Context) error { return rooms.Ensure(ctx, js, class, len(b.nodes)) })
}

// serve runs a node's services until it is stopped, or the test ends.
func (b *bus) serve(x *node) {
	b.t.Helper()
	service, err := rooms.New(rooms.Config{Clients: x.MustConnect(b.t, embeddednats.AccountClients), Pages: x.MustConnect(b.t, embeddednats.AccountClients),
		History: x.MustConnect(b.t, embeddednats.AccountHistory), Directory: x.dir, Logger: natstest.Logger()})
	b.must(err)
	members := x.MustConnect(b.t, embeddednats.AccountMembership)
	ctx, cancel := context.WithCancel(context.Background())
	var both sync.WaitGroup
	both.Go(func() { _ = x.dir.Run(ctx, members) }) // it fails when the node is killed
	both.Go(func() { _ = service.Run(ctx) })
	x.end = sync.OnceFunc(func() {
		cancel()
		both.Wait()
	})
	b.t.Cleanup(x.end)
	user, err := nkeys.CreateUser()
	b.must(err)
	natstest.Within(b.t, natstest.Patience, "services", func() bool {
		acc, err := x.Unwrap().LookupAccount(embeddednats.AccountClients)
		return err == nil && x.dir.Ready() && acc.Interest(v1.HistorySubject(public(user), "A")) > 0
	})
}

// kill ends a node as a crash would.
func (b *bus) kill(i int) {
	b.nodes[i].Stop()
	b.nodes[i].end()
}

// quit ends a node as a planned stop does.
func (b *bus) quit(i int) {
	b.t.Helper()
	b.nodes[i].end()
	ctx, cancel := context.WithTimeout(context.Background(), natstest.Patience)
	defer cancel()
	b.must(b.nodes[i].Shutdown(ctx))
}

// back starts a node again that was stopped.
func (b *bus) back(i int) {
	b.t.Helper()
	x := b.nodes[i]
	x.Node = natstest.MustStart(b.t, embeddednats.Resume, x.Config)
	b.serve(x)
}

func (b *bus) urls() (urls []string) {
	for _, x := range b.nodes {
		urls = append(urls, fmt.Sprintf("nats://127.0.0.1:%d", x.Config.Port))
	}
	return urls
}

// store is on a node that runs.
func (b *bus) store() *membership.Store {
	b.t.Helper()
	var nc *nats.Conn
	for _, x := range b.nodes {
		if !x.Unwrap().Running() {
			continue
		}
		nc = x.MustConnect(b.t, embeddednats.AccountMembership)
	}
	js, err := jetstream.New(nc)
	b.must(err)
	s, err := membership.NewStore(js, membership.StoreConfig{})
	b.must(err)
	return s
}

func (b *bus) must(err error) {
	if b.t.Helper(); err != nil {
		b.t.Fatal(err)
	}
}

// within repeats what may fail while there is no leader.
func (b *bus) within(what string, do func(context.Context) error) {
	b.t.Helper()
	var err error
	if !natstest.Until(natstest.Patience, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err = do(ctx)
		return err == nil || errors.Is(err, membership.ErrExists)
	}) {
		b.t.Fatalf("%s: %v", what, err)
	}
}

func public(pair nkeys.KeyPair) string {
	key, err := pair.PublicKey()
	if err != nil {
		panic(err) // of a pair that was just made
	}
	return key
}

// user puts a new key on the allowlist.
func (b *bus) user(name string) nkeys.KeyPair {
	b.t.Helper()
	pair, err := nkeys.CreateUser()
	b.must(err)
	b.within("user "+name, func(ctx context.Context) error {
		_, err := b.store().CreateUser(ctx, v1.User{Name: name, Key: public(pair)})
		return err
	})
	b.known(func(d *membership.Directory) bool { return d.IsAuthorized(hexOf(pair)) })
	return pair
}

func hexOf(pair nkeys.KeyPair) string {
	hex, err := v1.UserHex(public(pair))
	if err != nil {
		panic(err)
	}
	return hex
}

// known waits until all nodes that run know of a change.
func (b *bus) known(of func(*membership.Directory) bool) {
	b.t.Helper()
	natstest.Within(b.t, natstest.Patience, "all nodes know", func() bool {
		return !slices.ContainsFunc(b.nodes, func(x *node) bool { return x.end != nil && x.Unwrap().Running() && !of(x.dir) })
	})
}

// room makes a room with members.
func (b *bus) room(name, class string, members map[nkeys.KeyPair]v1.Role) v1.Room {
	b.t.Helper()
	b.within("room "+name, func(ctx context.Context) error {
		_, err := b.store().CreateRoom(ctx, name, class)
		return err
	})
	r, err := b.store().GetRoom(context.Background(), name)
	b.must(err)
	for user, role := range members {
		b.member(r.Value, user, role)
	}
	return r.Value
}

func (b *bus) member(room v1.Room, user nkeys.KeyPair, role v1.Role) {
	b.t.Helper()
	b.within("member of "+room.Name, func(ctx context.Context) error {
		_, err := b.store().PutMember(ctx, room.Name, public(user), role, 0)
		return err
	})
	b.known(func(d *membership.Directory) bool { _, _, ok := d.Role(public(user), room.ID); return ok })
}

// client connects a user, to all nodes if change does not say otherwise.
func (b *bus) client(user Signer, change func(*Options)) *Client {
	b.t.Helper()
	o := Options{Servers: b.urls(), Key: user, Logger: natstest.Logger()}
	if change != nil {
		change(&o)
	}
	ctx, cancel := context.WithTimeout(context.Background(), natstest.Patience)
	defer cancel()
	c, err := Connect(ctx, o)
	b.must(err)
	b.t.Cleanup(c.Close)
	return c
}

func (c *Client) mustRoom(t testing.TB, name string) *Room {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), natstest.Patience)
	defer cancel()
	r, err := c.Room(ctx, name)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func (r *Room) mustSubscribe(t testing.TB, from Start) *Subscription {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), natstest.Patience)
	defer cancel()
	s, err := r.Subscribe(ctx, from)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

func mustPublish(t testing.TB, r *Room, texts ...string) (receipts []Receipt) {
	t.Helper()
	for _, text := range texts {
		ctx, cancel := context.WithTimeout(context.Background(), natstest.Patience)
		got, err := r.Publish(ctx, Message{Data: []byte(text)})
		cancel()
		if err != nil {
			t.Fatal(err)
		}
		receipts = append(receipts, got)
	}
	return receipts
}

// expectNext takes messages and compares what they say.
func expectNext(t testing.TB, s *Subscription, texts ...string) (got []Message) {
	t.Helper()
	for _, text := range texts {
		ctx, cancel := context.WithTimeout(context.Background(), natstest.Patience)
		m, err := s.Next(ctx)
		cancel()
		if err != nil {
			t.Fatalf("instead of %q: %v", text, err)
		}
		if string(m.Data) != text {
			t.Fatalf("message %q at %d, want %q", m.Data, m.Sequence, text)
		}
		got = append(got, m)
	}
	return got
}

func expectErr(t testing.TB, what string, err, want error) {
	t.Helper()
	if !errors.Is(err, want) {
		t.Errorf("%s: error %v, want %v", what, err, want)
	}
}
