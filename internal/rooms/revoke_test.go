// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"errors"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// Who was just removed is refused although its connection still may publish to the services: the directory decides at the time of
// the request.
func TestRevokeTakesEffectAtOnce(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	c := b.client(bob)
	c.append(red, "while a member")
	b.dir.change(func() { b.dir.roles[bob] = nil })
	expectCode(t, c.append(red, "removed").Error, v1.CodeForbidden)
	messages, end := c.history(red, v1.HistoryRequest{})
	expectCode(t, end.Error, v1.CodeForbidden)
	if len(messages) != 0 {
		t.Errorf("%d messages came", len(messages))
	}
	if rooms := c.rooms(""); len(rooms.Rooms) != 0 {
		t.Errorf("rooms %+v", rooms)
	}
	b.dir.change(func() { b.dir.roles[bob] = map[string]v1.Role{red: v1.RoleReader} })
	expectCode(t, c.append(red, "a reader now").Error, v1.CodeForbidden)
	if messages, end := c.history(red, v1.HistoryRequest{}); end.Error != nil || len(messages) != 1 {
		t.Errorf("a reader gets %d messages, %+v", len(messages), end)
	}
}

// Removed while the page is being read: nothing of it is sent.
func TestRevokeDuringARead(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	c := b.client(bob)
	c.append(red, "x")
	b.dir.change(func() {
		b.dir.asked = func() { b.dir.change(func() { b.dir.roles[bob] = nil }) }
	})
	messages, end := c.history(red, v1.HistoryRequest{})
	expectCode(t, end.Error, v1.CodeForbidden)
	if len(messages) != 0 {
		t.Errorf("%d messages came", len(messages))
	}
}

// A directory that may not know of a removal answers nothing: neither a service that is still subscribed, nor, soon, any.
func TestRevokeUnknownWhileNotReady(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	s, c := b.services[0], b.client(alice)
	b.dir.change(func() { b.dir.closed = true })
	for handle, m := range map[string]*nats.Msg{
		"append": {Subject: v1.AppendSubject(alice, red)}, "history": {Subject: v1.HistorySubject(alice, red)}, "rooms": {Subject: v1.RoomsSubject(alice)},
	} {
		inbox := c.NewInbox()
		sub, err := c.SubscribeSync(inbox)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
		m.Reply = inbox
		map[string]nats.MsgHandler{"append": s.append, "history": s.queueHistory, "rooms": s.rooms}[handle](m)
		answer, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		expectCode(t, errorOf(t, answer), v1.CodeUnavailable)
	}
	b.within("no service", func() bool {
		_, err := c.tryAppend(red, "x")
		return errors.Is(err, nats.ErrNoResponders)
	})
	b.dir.change(func() { b.dir.closed = false })
	c.mustAppend(red, "served again")
}
