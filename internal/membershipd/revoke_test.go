// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"strings"
	"testing"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// revocation is a way in which a user loses something in a room.
type revocation struct {
	name      string
	revoke    func(ctx context.Context, b *bus, room v1.Room, u testUser) error
	grant     func(ctx context.Context, b *bus, room v1.Room, u testUser) error // nil when there is no way back
	out       bool                                                              // of the bus
	stillRead bool
}

func setRole(role v1.Role) func(context.Context, *bus, v1.Room, testUser) error {
	return func(ctx context.Context, b *bus, room v1.Room, u testUser) error {
		r, err := b.store.GetMember(ctx, room.Name, u.key)
		if err == nil {
			_, err = b.store.PutMember(ctx, room.Name, u.key, role, r.Revision)
		}
		return err
	}
}

func putMember(ctx context.Context, b *bus, room v1.Room, u testUser) error {
	_, err := b.store.PutMember(ctx, room.Name, u.key, v1.RoleMember, 0)
	return err
}

// TestRevokeOnThreeNodes takes from a user on three nodes what it had: its connections that use it are ended, those in the midst of a
// login included, the rest can do no more, services refuse, and nobody else notices. What is given back counts at once.
func TestRevokeOnThreeNodes(t *testing.T) {
	b := mustBus(t, nil)
	for _, c := range []revocation{
		{name: "user", out: true,
			revoke: func(ctx context.Context, b *bus, _ v1.Room, u testUser) error {
				return b.store.RemoveUser(ctx, u.key, 0)
			},
			grant: func(ctx context.Context, b *bus, room v1.Room, u testUser) error {
				if _, err := b.store.CreateUser(ctx, v1.User{Name: "victim-user", Key: u.key}); err != nil {
					return err
				}
				return putMember(ctx, b, room, u)
			}},
		{name: "member", grant: putMember,
			revoke: func(ctx context.Context, b *bus, room v1.Room, u testUser) error {
				return b.store.RemoveMember(ctx, room.Name, u.key, 0)
			}},
		{name: "demotion", stillRead: true, revoke: setRole(v1.RoleReader), grant: setRole(v1.RoleMember)},
		{name: "room", revoke: func(ctx context.Context, b *bus, room v1.Room, _ testUser) error {
			_, err := b.store.MarkDeleting(ctx, room.Name, 0)
			return err
		}},
	} {
		t.Run(c.name, func(t *testing.T) { b.expectRevoked(t, c) })
	}
}

// victim is a user with connections to every node.
type victim struct {
	testUser
	using, idle []*nats.Conn // those that listen in the room, and those that don't
	entering    []*line      // those that have been asked for their proof
}

func (b *bus) mustVictim(t *testing.T, name string, room v1.Room) victim {
	t.Helper()
	v := victim{testUser: mustUser(t, b.store, name)}
	b.mustPut(t, room, v.testUser, v1.RoleMember)
	for _, n := range b.nodes {
		for _, subject := range []string{v1.RoomSubjects(room.ID), v1.LogSubject(room.ID), v1.ReplyPrefix(room.ID, v.key) + ".>"} {
			nc := v.mustConnect(t, n)
			mustSubscribe(t, nc, subject, func(*nats.Msg) {})
			v.using = append(v.using, nc)
		}
		nc := v.mustConnect(t, n)
		v.append(t, nc, room.ID, "kept at "+n.name+" of "+name)
		v.idle = append(v.idle, nc)
		v.entering = append(v.entering, v.mustDial(t, n))
	}
	return v
}

func (b *bus) expectRevoked(t *testing.T, c revocation) {
	stay := b.mustRoom(t, "stay-"+c.name, "kept")
	room := stay
	if c.name == "room" {
		room = b.mustRoom(t, "go", "kept")
	}
	expectUndisturbed := b.mustWitness(t, stay, b.nodes...)
	defer b.dismiss(t)
	v := b.mustVictim(t, "victim-"+c.name, room)
	loops := v.mustReconnect(t, b.nodes...)

	if err := c.revoke(t.Context(), b, room, v.testUser); err != nil {
		t.Fatal(err)
	}
	for i, nc := range v.using {
		if reading := i%3 != 2; reading && c.stillRead {
			continue
		}
		natstest.Within(t, limit, "a connection that used what was taken to be ended", nc.IsClosed)
	}
	asked := []string{v1.AppendSubject(v.key, room.ID), v1.HistorySubject(v.key, room.ID)}
	if c.stillRead {
		if got := v.ask(t, b.nodes[0], asked[1], "{}"); got != "a message" {
			t.Errorf("a reader is answered %q", got)
		}
		asked = asked[:1]
	}
	b.expectForbidden(t, v.testUser, room, asked...)
	for i, n := range b.nodes {
		l := v.entering[i]
		if in := l.login(); in == c.out {
			t.Errorf("a login at %s that had begun before succeeds: %v", n.name, in)
		}
		if c.out {
			natstest.Within(t, limit, "idle connections to be ended as well", v.idle[i].IsClosed)
			loops[i].expectOut(t)
			continue
		}
		for _, lines := range []string{"PUB " + v1.RoomSubject(room.ID, v.key, "x") + " 0\r\n\r\n", "PUB " + v1.ReplyPrefix(room.ID, v.key) + ".x 0\r\n\r\n",
			"SUB " + v1.ReplyPrefix(room.ID, v.key) + ".> 1\r\n", "SUB " + v1.RoomSubjects(room.ID) + " q 1\r\n", "SUB " + v1.LogSubject(room.ID) + " 1\r\n"} {
			reads := strings.HasPrefix(lines, "SUB room") || strings.HasPrefix(lines, "SUB log")
			if errs, _ := l.do(lines); (len(errs) > 0) == (reads && c.stillRead) {
				t.Errorf("%q at %s: errors %q", lines, n.name, errs)
			}
		}
		if v.idle[i].IsClosed() {
			t.Errorf("a connection to %s that used nothing of what was taken was ended", n.name)
		}
		if back := loops[i].back.Load() + loops[i].out.Load(); back > 0 {
			t.Errorf("%s has refused the user, who is still one", n.name)
		}
	}
	if c.grant != nil {
		b.expectBack(t, c, room, v)
	}
	expectUndisturbed(t)
}

// expectBack gives back what was taken, which counts on the connections that there are.
func (b *bus) expectBack(t *testing.T, c revocation, room v1.Room, v victim) {
	t.Helper()
	if err := c.grant(t.Context(), b, room, v.testUser); err != nil {
		t.Fatal(err)
	}
	for i, n := range b.nodes {
		nc := v.idle[i]
		if c.out {
			nc = v.mustConnect(t, n)
		}
		v.append(t, nc, room.ID, "back at "+n.name+" of "+c.name)
		mustSubscribe(t, nc, v1.ReplyPrefix(room.ID, v.key)+".>", func(*nats.Msg) {})
	}
}
