// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

const secret = "of the nodes"

// Users and rooms of the tests. In rooms red and blue history is kept by the class of the bus, in mute by none.
var (
	alice, bob, eve, rita = userKey("ALICE"), userKey("BOB"), userKey("EVE"), userKey("RITA")
	red, blue, mute       = roomID("RED"), roomID("BLUE"), roomID("MUTE")
)

func userKey(name string) string { return "U" + name + strings.Repeat("A", v1.UserKeySize-1-len(name)) }
func roomID(name string) string  { return name + strings.Repeat("A", v1.RoomIDSize-len(name)) }

// directory is a Directory that tests change.
type directory struct {
	mu      sync.Mutex
	closed  bool
	rooms   map[string]v1.Room
	classes map[string]v1.Class
	roles   map[string]map[string]v1.Role // by user and room
	asked   func()                        // after Role has answered
}

func (d *directory) Ready() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.closed
}

func (d *directory) Role(user, room string) (v1.Role, v1.Room, bool) {
	d.mu.Lock()
	role, r, asked := d.roles[user][room], d.rooms[room], d.asked
	d.mu.Unlock()
	if asked != nil {
		asked()
	}
	return role, r, role != ""
}

func (d *directory) RoomsOf(user, after string, limit int) (rooms []v1.RoomOf, next string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for id, role := range d.roles[user] {
		if r := d.rooms[id]; r.Name > after {
			rooms = append(rooms, v1.RoomOf{ID: id, Name: r.Name, Role: role, Class: r.Class})
		}
	}
	slices.SortFunc(rooms, func(x, y v1.RoomOf) int { return cmp.Compare(x.Name, y.Name) })
	if len(rooms) > limit {
		rooms = rooms[:limit]
		next = rooms[limit-1].Name
	}
	return rooms, next
}

func (d *directory) Kept(room string) (v1.Class, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	c, ok := d.classes[d.rooms[room].Class]
	return c, ok
}

func (d *directory) change(do func()) {
	d.mu.Lock()
	defer d.mu.Unlock()
	do()
}

// gate lets the nodes into every account, and everybody else into the clients', with the rights of the user that they name.
type gate struct {
	ns  atomic.Pointer[server.Server]
	dir *directory
}

func (g *gate) Bind(ns *server.Server) { g.ns.Store(ns) }

func (g *gate) Check(c server.ClientAuthentication) bool {
	o := c.GetOpts()
	u := &server.User{Username: o.Username}
	account := o.Username
	if o.Password != secret {
		account = embeddednats.AccountClients
		var publish, subscribe []string
		g.dir.change(func() { publish, subscribe = v1.Grants(o.Username, g.dir.roles[o.Username]) })
		u.Permissions = &server.Permissions{
			Publish: &server.SubjectPermission{Allow: publish}, Subscribe: &server.SubjectPermission{Allow: subscribe}}
	}
	var err error
	u.Account, err = g.ns.Load().LookupAccount(account)
	if err == nil {
		c.RegisterUser(u)
	}
	return err == nil
}

// bus is nodes with their services.
type bus struct {
	t        testing.TB
	nodes    []*natstest.Node
	services []*Service
	stops    []func() // end the services, and wait
	dir      *directory
	class    v1.Class
	js       jetstream.JetStream
}

func smallClass() v1.Class {
	return v1.Class{Name: "small", MaxBytes: 64 << 20, MaxMessagesPerRoom: 100_000, MaxMessageBytes: 64 << 10, Full: v1.FullRolls}
}

// newBus starts nodes with the stream of a class on all of them. Alice and Bob are in red, Alice and Eve in blue, Rita reads red.
func newBus(t testing.TB, n int, class v1.Class, change func(*Config)) *bus {
	t.Helper()
	b := &bus{t: t, class: class, dir: &directory{
		rooms: map[string]v1.Room{red: {Name: "red", ID: red, Class: class.Name}, blue: {Name: "blue", ID: blue, Class: class.Name},
			mute: {Name: "mute", ID: mute}},
		classes: map[string]v1.Class{class.Name: class},
		roles: map[string]map[string]v1.Role{
			alice: {red: v1.RoleAdmin, blue: v1.RoleMember, mute: v1.RoleMember}, bob: {red: v1.RoleMember}, eve: {blue: v1.RoleMember}, rita: {red: v1.RoleReader},
		},
	}}
	b.nodes = natstest.MustCluster(t, n, natstest.Options{Configure: func(_ int, cfg *embeddednats.ServerConfig) {
		cfg.Auth = &gate{dir: b.dir}
		cfg.Connect = func(account string) []nats.Option { return []nats.Option{nats.UserInfo(account, secret)} }
	}})
	b.js = b.nodes[0].MustJetStream(t)
	b.ensure(n)
	for _, node := range b.nodes {
		b.serve(node, change)
	}
	return b
}

func (b *bus) ensure(replicas int) {
	b.t.Helper()
	var err error
	if !natstest.Until(natstest.Patience, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		err = Ensure(ctx, b.js, b.class, replicas)
		return err == nil
	}) {
		b.t.Fatal(err)
	}
	if replicas > 1 {
		b.nodes[0].WithinSync(b.t)
	}
}

// serve runs a node's services until the test ends.
func (b *bus) serve(node *natstest.Node, change func(*Config)) {
	b.t.Helper()
	cfg := Config{Clients: node.MustConnect(b.t, embeddednats.AccountClients), Pages: node.MustConnect(b.t, embeddednats.AccountClients),
		History: node.MustConnect(b.t, embeddednats.AccountHistory),
		Map:     func(from, to string) error { return node.Map(embeddednats.AccountClients, from, to) }, Node: node.Unwrap().ID(),
		Alone:     func() bool { return node.Unwrap().NumRoutes() == 0 },
		Directory: b.dir, Logger: natstest.Logger()}
	if change != nil {
		change(&cfg)
	}
	s, err := New(cfg)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	stop := sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil && !errors.Is(err, nats.ErrConnectionClosed) { // as some tests end the node
			b.t.Error("Run:", err)
		}
	})
	b.t.Cleanup(stop)
	b.stops = append(b.stops, stop)
	b.services = append(b.services, s)
	natstest.Within(b.t, natstest.Patience, "services", func() bool { return b.served(node) && s.mapped.Load() != s.alone.Load() })
}

// served says whether the node's own services take requests: interest of another node would do for a request.
func (b *bus) served(node *natstest.Node) bool {
	acc, err := node.Unwrap().LookupAccount(embeddednats.AccountClients)
	for _, subject := range []string{v1.AppendSubject(alice, red), v1.HistorySubject(alice, red), v1.RoomsSubject(alice)} {
		if err != nil || acc.Interest(subject) == 0 {
			return false
		}
	}
	return true
}

// client is a user's connection.
type client struct {
	t    testing.TB
	user string
	*nats.Conn
}

func (b *bus) client(user string, nodes ...*natstest.Node) *client {
	b.t.Helper()
	if len(nodes) == 0 {
		nodes = b.nodes[:1]
	}
	var urls []string
	for _, n := range nodes {
		urls = append(urls, n.ClientURL())
	}
	nc, err := nats.Connect(strings.Join(urls, ","), nats.UserInfo(user, ""), nats.CustomInboxPrefix(v1.InboxPrefix(user)),
		nats.MaxReconnects(-1), nats.ReconnectWait(20*time.Millisecond), nats.DontRandomize(),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}))
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(nc.Close)
	return &client{b.t, user, nc}
}

// append sends one message; headers are pairs.
func (c *client) append(room, data string, headers ...string) v1.AppendAnswer {
	c.t.Helper()
	a, err := c.tryAppend(room, data, headers...)
	if err != nil {
		c.t.Fatalf("append: %v", err)
	}
	return a
}

func (c *client) tryAppend(room, data string, headers ...string) (a v1.AppendAnswer, err error) {
	m := nats.NewMsg(v1.AppendSubject(c.user, room))
	m.Data = []byte(data)
	for i := 0; i < len(headers); i += 2 {
		m.Header[headers[i]] = append(m.Header[headers[i]], headers[i+1])
	}
	r, err := c.RequestMsg(m, 10*time.Second)
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(r.Data, &a)
}

// mustAppend appends until it is kept, with one id.
func (c *client) mustAppend(room, data string) uint64 {
	c.t.Helper()
	var sequence uint64
	natstest.Within(c.t, natstest.Patience, "append of "+data, func() bool {
		a, err := c.tryAppend(room, data, v1.HeaderMessageID, data)
		sequence = a.Sequence
		return err == nil && a.Error == nil
	})
	return sequence
}

// history asks for a page.
func (c *client) history(room string, r v1.HistoryRequest) ([]*nats.Msg, v1.HistoryAnswer) {
	c.t.Helper()
	body, err := json.Marshal(r)
	if err != nil {
		c.t.Fatal(err)
	}
	messages, end, err := c.tryHistory(room, body)
	if err != nil {
		c.t.Fatalf("history: %v", err)
	}
	return messages, end
}

func (c *client) tryHistory(room string, body []byte) (messages []*nats.Msg, end v1.HistoryAnswer, err error) {
	inbox := c.NewInbox()
	sub, err := c.SubscribeSync(inbox)
	if err != nil {
		return nil, end, err
	}
	defer sub.Unsubscribe()
	if err := c.PublishRequest(v1.HistorySubject(c.user, room), inbox, body); err != nil {
		return nil, end, err
	}
	for {
		m, err := sub.NextMsg(20 * time.Second)
		if err != nil {
			return messages, end, err
		}
		if m.Header.Get(v1.HeaderEnd) == "" {
			messages = append(messages, m)
			continue
		}
		if err := json.Unmarshal([]byte(m.Header.Get(v1.HeaderEnd)+string(m.Data)), &end); err == nil && end.Messages != len(messages) {
			return messages, end, fmt.Errorf("%d messages came, the end says %d", len(messages), end.Messages)
		}
		return messages, end, err
	}
}

func bodies(messages []*nats.Msg) []string {
	out := []string{}
	for _, m := range messages {
		out = append(out, string(m.Data))
	}
	return out
}

func sequences(t testing.TB, messages []*nats.Msg) []uint64 {
	t.Helper()
	var out []uint64
	for _, m := range messages {
		n, err := strconv.ParseUint(m.Header.Get(v1.HeaderSequence), 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, n)
	}
	return out
}

func expectCode(t testing.TB, e *v1.Error, code string) {
	t.Helper()
	if e == nil || e.Code != code || e.Message == "" {
		t.Errorf("error is %v, want code %s", e, code)
	}
}

func expectError(t testing.TB, err, want error) {
	if t.Helper(); !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
}
