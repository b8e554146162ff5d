// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"encoding/json"
	"fmt"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
)

// testUser is a user of the test's bus.
type testUser struct {
	key  string
	pair nkeys.KeyPair
}

// mustStranger has a key that no node knows.
func mustStranger(t *testing.T) testUser {
	t.Helper()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	key, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	return testUser{key, pair}
}

func mustUser(t *testing.T, store *membership.Store, name string) testUser {
	t.Helper()
	u := mustStranger(t)
	if _, err := store.CreateUser(t.Context(), v1.User{Name: name, Key: u.key}); err != nil {
		t.Fatal(err)
	}
	return u
}

// connect tries once.
func (u testUser) connect(n *testNode, opts ...nats.Option) (*nats.Conn, error) {
	return nats.Connect(n.formation.Server().ClientURL(), append([]nats.Option{nats.Nkey(u.key, u.pair.Sign), nats.CustomInboxPrefix(v1.InboxPrefix(u.key)),
		nats.NoReconnect()}, opts...)...)
}

// mustConnect connects as soon as the node knows the user.
func (u testUser) mustConnect(t *testing.T, n *testNode, opts ...nats.Option) *nats.Conn {
	t.Helper()
	var nc *nats.Conn
	natstest.Within(t, limit, "a connection to "+n.name, func() bool {
		var err error
		nc, err = u.connect(n, opts...)
		return err == nil
	})
	t.Cleanup(nc.Close)
	return nc
}

func mustStore(t *testing.T, n *testNode) *membership.Store {
	t.Helper()
	s, err := membership.NewStore(mustJetStream(t, n.mustConnect(t, embeddednats.AccountMembership)), membership.StoreConfig{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustKeptRoom(t *testing.T, s *membership.Store, name string, users map[testUser]v1.Role) v1.Room {
	t.Helper()
	r, err := s.CreateRoom(t.Context(), name, "kept")
	for u, role := range users {
		if err == nil {
			_, err = s.PutMember(t.Context(), name, u.key, role, 0)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	return r.Value
}

// append asks until the message is kept: rights, the class's stream and the node's directory may take a moment.
func (u testUser) append(t *testing.T, nc *nats.Conn, room, text string) uint64 {
	t.Helper()
	var a v1.AppendAnswer
	last := ""
	if !natstest.Until(limit, func() bool {
		m := nats.NewMsg(v1.AppendSubject(u.key, room))
		m.Data = []byte(text)
		m.Header.Set(v1.HeaderMessageID, text)
		r, err := nc.RequestMsg(m, limit/30)
		last = fmt.Sprint(err)
		if err != nil {
			return false
		}
		last = string(r.Data)
		a = v1.AppendAnswer{}
		return json.Unmarshal(r.Data, &a) == nil && a.Error == nil
	}) {
		t.Fatalf("%q is not kept: %s", text, last)
	}
	return a.Sequence
}

// TestUsersOfThreeNodes goes the whole way of users over three nodes: into a room, what they say and what it remembers, its deletion, out.
func TestUsersOfThreeNodes(t *testing.T) {
	nodes := mustBootstrap(t, []string{"n0", "n1", "n2"}, nil)
	mustBecome(t, "/readyz", 200, nodes...)
	for _, n := range nodes {
		natstest.Within(t, limit, "appends and history to be mapped to "+n.name+" for its clients", func() bool {
			z, err := n.formation.Server().Unwrap().Accountz(&server.AccountzOptions{Account: embeddednats.AccountClients})
			return err == nil && len(z.Account.Mappings) == 2
		})
	}
	store := mustStore(t, nodes[0])
	class := membership.DefaultClass("kept")
	class.MaxBytes = 8 << 20
	if _, err := store.PutClass(t.Context(), class, 0); err != nil {
		t.Fatal(err)
	}
	ann, bob := mustUser(t, store, "ann"), mustUser(t, store, "bob")
	room := mustKeptRoom(t, store, "talk", map[testUser]v1.Role{ann: v1.RoleMember, bob: v1.RoleReader})
	annConn, bobConn := ann.mustConnect(t, nodes[0]), bob.mustConnect(t, nodes[1])

	sequence := ann.append(t, annConn, room.ID, "kept words")
	log, err := bobConn.SubscribeSync(v1.LogSubject(room.ID))
	live, err2 := bobConn.SubscribeSync(v1.RoomSubjects(room.ID))
	if err != nil || err2 != nil || bobConn.FlushTimeout(limit) != nil {
		t.Fatal(err, err2, bobConn.LastError())
	}
	natstest.Within(t, limit, "a message from node to node", func() bool {
		if err := annConn.Publish(v1.RoomSubject(room.ID, ann.key, "chat"), []byte("hello")); err != nil {
			t.Fatal(err)
		}
		m, err := live.NextMsg(limit / 90)
		return err == nil && m.Subject == v1.RoomSubject(room.ID, ann.key, "chat")
	})
	next := ann.append(t, annConn, room.ID, "more words")
	if m, err := log.NextMsg(limit); err != nil || m.Header.Get(v1.HeaderLogSequence) != fmt.Sprint(next) ||
		m.Header.Get(v1.HeaderLogPrevious) != fmt.Sprint(sequence) || m.Header.Get(v1.HeaderSender) != ann.key {
		t.Errorf("followed: %v %+v, want sequence %d after %d", err, m, next, sequence)
	}

	if _, err := store.MarkDeleting(t.Context(), "talk", 0); err != nil {
		t.Fatal(err)
	}
	var again v1.Room
	natstest.Within(t, limit, "the name to be free again", func() bool {
		r, err := store.CreateRoom(t.Context(), "talk", "kept")
		again = r.Value
		return err == nil
	})
	stream, err := mustJetStream(t, nodes[0].mustConnect(t, embeddednats.AccountHistory)).Stream(t.Context(), v1.HistoryStream("kept"))
	if err != nil || stream.CachedInfo().State.Msgs != 0 || again.ID == room.ID {
		t.Errorf("the deleted room: %v, %d messages are left, id %s again %s", err, stream.CachedInfo().State.Msgs, room.ID, again.ID)
	}
	// It was subscribed to the room that went, and may come back.
	natstest.Within(t, limit, "bob to lose the connection that listened to the deleted room", bobConn.IsClosed)
	bobConn = bob.mustConnect(t, nodes[1])

	if err := store.RemoveUser(t.Context(), bob.key, 0); err != nil {
		t.Fatal(err)
	}
	natstest.Within(t, limit, "bob to be out", bobConn.IsClosed)
	for _, n := range nodes {
		natstest.Within(t, limit, "bob to be refused by "+n.name, func() bool { _, err := bob.connect(n); return err != nil })
	}
	if annConn.IsClosed() {
		t.Error("ann was disconnected")
	}
}
