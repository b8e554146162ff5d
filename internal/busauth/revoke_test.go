// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"encoding/binary"
	"errors"
	"os"
	"runtime"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

func TestRevokeUser(t *testing.T) {
	b := mustBus(t)
	gone, stays := b.mustUser(t), b.mustUser(t)
	other := b.mustConn(t, stays)
	conns := []*conn{b.mustConn(t, gone), b.mustConn(t, gone), b.mustConn(t, gone)}
	b.remove(gone.hex)
	b.auth.Refresh(gone.hex)
	for _, c := range conns {
		withinGone(t, c, 1)
	}
	expectRefused(t, b.srv, gone.option())
	expectCount(t, b.auth, kicked, 3)
	if err := other.FlushTimeout(patience); err != nil || other.gone.Load() != 0 {
		t.Errorf("another user was disturbed: %v", err)
	}
	b.add(gone.hex)
	for _, c := range conns {
		natstest.Within(t, patience, "a user that is on the list again comes back", c.IsConnected)
	}
}

// TestRevokeGrantsInPlace: who is let into a room uses it on the connection that it has.
func TestRevokeGrantsInPlace(t *testing.T) {
	b := mustBus(t)
	me := b.mustUser(t)
	c := b.mustRaw(t, me)
	sub, pub := "SUB room."+roomA+".> 1\r\n", "PUB room."+roomA+"."+me.public+".x 0\r\n\r\n"
	expectDenied(t, c, "before: subscribe", roomA, sub)
	expectDenied(t, c, "before: publish", roomA, pub)
	b.refresh(me, roomA, v1.RoleReader)
	if errs := c.do(sub); len(errs) > 0 {
		t.Errorf("reader: %q", errs)
	}
	expectDenied(t, c, "reader: publish", roomA, pub)
	b.refresh(me, roomA, v1.RoleMember)
	if errs := c.do(pub); len(errs) > 0 {
		t.Errorf("member: %q", errs)
	}
	b.refresh(me, roomA, v1.RoleReader)
	// Its own inbox of the room is taken from it, and it has not subscribed to that.
	expectDenied(t, c, "reader again: publish", roomA, pub)
	expectCount(t, b.auth, kicked, 0)
	expectCount(t, b.auth, narrowed, 1)
}

// TestRevokeRoom: who is taken out of a room keeps a connection that does not subscribe to it, loses one that does, and may return.
func TestRevokeRoom(t *testing.T) {
	b := mustBus(t)
	bob := b.mustUser(t)
	for _, tt := range []struct {
		subject, queue string
		dropped        bool
	}{
		{"room." + roomA + ".>", "", true},
		{"room." + roomA + ".>", "q", true},
		{"room." + roomA + ".*.x", "", true},
		{"room." + roomA + ".*.>", "room.>", true},
		{"room." + roomA + "." + bob.public + ".x", "", true},
		{"log." + roomA, "", true},
		{"log." + roomA, "q", true},
		{"reply." + roomA + ".ME.>", "", true},
		{"reply." + roomA + ".ME.x", "q", true},
		{"room." + roomB + ".>", "", false},
		{"room." + roomB + ".*.x", "q", false},
		{"log." + roomB, "", false},
		{"reply." + roomB + ".ME.x", "", false},
		{"_INBOX.ME.*", "", false},
	} {
		me := b.mustUser(t)
		b.let(me.hex, roomA, v1.RoleMember)
		b.let(me.hex, roomB, v1.RoleMember)
		subject := strings.ReplaceAll(tt.subject, "ME", me.public)
		c, quiet := b.mustConn(t, me), b.mustRaw(t, me)
		c.mustSubscribe(t, subject, tt.queue)
		id, _ := c.GetClientID()
		b.refresh(me, roomA, "")
		if tt.dropped {
			withinGone(t, c, 1)
		}
		natstest.Within(t, patience, "it is connected", func() bool { return c.IsConnected() && c.FlushTimeout(patience) == nil })
		if now, _ := c.GetClientID(); (now != id) != tt.dropped {
			t.Errorf("%s %s: connection %d is now %d, want dropped %v", tt.subject, tt.queue, id, now, tt.dropped)
		}
		for what, c := range map[string]*rawClient{"one that subscribed to nothing": quiet, "a new one": b.mustRaw(t, me)} {
			expectDenied(t, c, what+": publish", roomA, "PUB room."+roomA+"."+me.public+".x 0\r\n\r\n")
			expectDenied(t, c, what+": subscribe", roomA, "SUB room."+roomA+".> 1\r\n")
		}
		c.Close()
	}
}

// TestRevokeManyAtOnce: so many that they are looked up in one listing.
func TestRevokeManyAtOnce(t *testing.T) {
	b := mustBus(t)
	stays := b.mustUser(t)
	b.let(stays.hex, roomB, v1.RoleMember)
	bystander := b.mustRaw(t, stays)
	bystander.do("SUB log." + roomB + " 1\r\n")
	in, out := []*rawClient{bystander}, []*rawClient(nil)
	var all []string
	for i := range 2 * listAll {
		k := b.mustUser(t)
		all = append(all, k.hex)
		b.let(k.hex, roomA, v1.RoleMember)
		c := b.mustRaw(t, k)
		if in = append(in, c); i%2 == 0 {
			in, out = in[:len(in)-1], append(out, c)
			c.do("SUB log." + roomA + " 1\r\n")
		}
		b.let(k.hex, roomA, "")
	}
	b.auth.Refresh(all...)
	expectCount(t, b.auth, narrowed, 2*listAll)
	expectCount(t, b.auth, kicked, listAll)
	for _, c := range in {
		c.do("")
	}
	for _, c := range out {
		line, err := c.in.ReadString('\n')
		for err == nil && line == "PING\r\n" { // asked, on a slow machine, whether it is there
			line, err = c.in.ReadString('\n')
		}
		if err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("who was subscribed is told %q, %v, and not dropped", line, err)
		}
	}
}

// TestRevokeDisturbsNobody: a bystander in the same room counts messages while another comes, goes and is removed.
func TestRevokeDisturbsNobody(t *testing.T) {
	b := mustBus(t)
	me, speaker, listener := b.mustUser(t), b.mustUser(t), b.mustUser(t)
	b.let(speaker.hex, roomA, v1.RoleMember)
	b.let(listener.hex, roomA, v1.RoleReader)
	out, in, mine := b.mustConn(t, speaker), b.mustConn(t, listener), b.mustConn(t, me)
	heard := in.mustSubscribe(t, v1.RoomSubjects(roomA), "")
	const messages = 3000
	var said sync.WaitGroup
	defer said.Wait()
	said.Go(func() {
		for n := range uint64(messages) {
			if err := out.Publish(v1.RoomSubject(roomA, speaker.public, "n"), binary.BigEndian.AppendUint64(nil, n)); err != nil {
				t.Error(err)
			}
			if err := out.Flush(); err != nil {
				t.Error(err)
			}
		}
	})
	for range 20 {
		natstest.Within(t, patience, "back", mine.IsConnected)
		before := mine.gone.Load()
		b.refresh(me, roomA, v1.RoleMember)
		sub := mine.mustSubscribe(t, v1.RoomSubjects(roomA), "")
		b.refresh(me, roomA, "")
		withinGone(t, mine, before+1)
		sub.Unsubscribe()
		natstest.Within(t, patience, "back", mine.IsConnected)
		b.remove(me.hex)
		b.auth.Refresh(me.hex, speaker.hex, listener.hex)
		withinGone(t, mine, before+2)
		b.add(me.hex)
	}
	for n := range uint64(messages) {
		m, err := heard.NextMsg(patience)
		if err != nil {
			t.Fatalf("message %d: %v", n, err)
		}
		if got := binary.BigEndian.Uint64(m.Data); got != n {
			t.Fatalf("message %d, want %d", got, n)
		}
	}
	if out.gone.Load()+in.gone.Load() != 0 {
		t.Error("a bystander was disconnected")
	}
}

func TestRevokeDropsUsersOnly(t *testing.T) {
	operator := mustKey(t, nkeys.CreateUser)
	b := &bus{allowlist: newAllowlist(), keys: mustKeys(t)}
	b.auth = mustAuth(t, Config{Keys: b.keys, IsAuthorized: b.has, Grants: b.grants, Operators: []string{operator.public}})
	b.auth.DropUsers() // nothing is bound
	b.auth.Refresh(operator.hex)
	b.srv = mustServer(t, b.auth, nil)
	one, two := b.mustUser(t), b.mustUser(t)
	users := []*conn{b.mustConn(t, one), b.mustConn(t, one), b.mustConn(t, two)}
	stay := []*conn{b.mustConn(t, operator)}
	for _, account := range internalAccounts {
		c := &conn{}
		c.Conn = mustConnect(t, b.srv, nats.Nkey(b.keys.Login(account)), nats.NoReconnect())
		stay = append(stay, c)
	}
	b.remove(one.hex)
	b.remove(two.hex)
	b.auth.DropUsers()
	b.auth.Refresh(operator.hex)
	for _, c := range users {
		withinGone(t, c, 1)
	}
	expectCount(t, b.auth, kicked, 3)
	for _, c := range stay {
		if err := c.FlushTimeout(patience); err != nil || c.gone.Load() != 0 {
			t.Errorf("a connection of the node or an operator was dropped: %v", err)
		}
	}
	b.add(one.hex)
	natstest.Within(t, patience, "back", users[0].IsConnected)
}

// TestRevokeOnNextServer: numbers of connections begin anew with each server, and what is known of the one before touches nobody.
func TestRevokeOnNextServer(t *testing.T) {
	b := mustBus(t)
	me, other := b.mustUser(t), b.mustUser(t)
	old := map[uint64]bool{}
	for range 20 {
		id, _ := b.mustConn(t, me, nats.NoReconnect()).GetClientID()
		old[id] = true
	}
	first := b.mustRaw(t, me)
	b.srv.Shutdown()
	b.srv.WaitForShutdown()
	b.srv = mustServer(t, b.auth, func(o *server.Options) { o.JetStream = false })
	if n := b.sessions(); n != 0 {
		t.Errorf("%d sessions of the server before", n)
	}
	b.let(other.hex, roomA, v1.RoleMember)
	var c *conn
	var id uint64
	for !old[id] {
		c = b.mustConn(t, other)
		id, _ = c.GetClientID()
	}
	// A check that the old server had in hand comes late, with the old number.
	late := &attempt{id: id, kind: server.CLIENT, nonce: []byte(first.nonce), opts: server.ClientOpts{Nkey: me.public, Sig: me.raw(t, first.nonce)}}
	if why := b.auth.check(late); why != refusedEnded {
		t.Errorf("a connection of the server before: %s", why)
	}
	b.refresh(me, roomB, v1.RoleMember)
	c.mustSubscribe(t, v1.RoomSubjects(roomA), "")
	b.remove(me.hex)
	b.auth.Refresh(me.hex)
	b.auth.Refresh(other.hex)
	if err := c.FlushTimeout(patience); err != nil || c.gone.Load() != 0 {
		t.Errorf("another user's connection was dropped: %v", err)
	}
	if err := c.LastError(); err != nil {
		t.Errorf("another user's rights were changed: %v", err)
	}
}

// TestRevokeSecondLogin: a connection that logs in again as another user is no user's to keep.
func TestRevokeSecondLogin(t *testing.T) {
	for _, removed := range []int{0, 1} {
		b := mustBus(t)
		k := []key{b.mustUser(t), b.mustUser(t)}
		b.let(k[0].hex, roomA, v1.RoleMember)
		c := b.mustRaw(t, k[0])
		c.do("SUB room." + roomA + ".> 1\r\n")
		if !c.connect(map[string]any{"nkey": k[1].public, "sig": k[1].raw(t, c.nonce)}) {
			t.Fatal("refused")
		}
		z, err := b.srv.Connz(&server.ConnzOptions{Subscriptions: true})
		if err != nil || len(z.Conns) != 1 || len(z.Conns[0].Subs) != 0 {
			t.Errorf("the second user has the first one's subscriptions: %+v, %v", z.Conns, err)
		}
		expectDenied(t, c, "subscribe as the second", roomA, "SUB room."+roomA+".> 1\r\n")
		b.remove(k[removed].hex)
		b.auth.Refresh(k[removed].hex)
		if diff := cmp.Diff(0, b.users(t)); diff != "" {
			t.Errorf("user %d removed, connections: %s", removed, diff)
		}
	}
}

// TestDeadSessionsAreForgotten: neither those of a user that comes and goes are kept, nor those of many that never come back.
func TestDeadSessionsAreForgotten(t *testing.T) {
	b := mustBus(t)
	stays, fickle := b.mustUser(t), b.mustUser(t)
	b.mustRaw(t, stays)
	const visits = 2000
	visit := func(who func() key) int {
		for i := range visits {
			if b.mustRaw(t, who()).conn.Close(); i%100 == 99 {
				natstest.Within(t, patience, "they are gone", func() bool { return b.users(t) == 1 })
				runtime.GC()
			}
		}
		return b.sessions()
	}
	if n := visit(func() key { return fickle }); n > visits/4 {
		t.Errorf("%d sessions are kept of a user that came %d times", n, visits)
	}
	if n := visit(func() key { return b.mustUser(t) }); n > visits/2 {
		t.Errorf("%d sessions are kept of %d users that went away", n, visits)
	}
	b.auth.Refresh(fickle.hex, stays.hex)
	if u := b.auth.bound.Load().shard(stays.hex).users[stays.hex]; u == nil || len(u.sessions) != 1 {
		t.Errorf("a live session was forgotten: %v", u)
	}
}

func (b *bus) sessions() (n int) {
	bd := b.auth.bound.Load()
	for i := range bd.shards {
		s := &bd.shards[i]
		s.mu.Lock()
		for _, u := range s.users {
			n += len(u.sessions)
		}
		s.mu.Unlock()
	}
	return n
}
