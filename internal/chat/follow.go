// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"context"
	"errors"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/unibus/unibus/api/client"
	"github.com/unibus/unibus/internal/console"
)

// follow waits for a room's next message, unless that is being done.
func (m *model) follow(r *room) tea.Cmd {
	if r.following || r.full() {
		return nil
	}
	r.following = true
	return m.bus.next(r.Room, r.newest)
}

// tick looks at the connection, and whether what was said is taken.
func (m *model) tick(now time.Time) tea.Cmd {
	m.now = now
	node := m.bus.server()
	since := m.waiting()
	if m.cut = node == ""; m.cut && since.IsZero() {
		since = now
	}
	switch {
	case !since.IsZero() && m.lost.IsZero():
		m.lost = since
	case since.IsZero() && !m.lost.IsZero():
		m.away, m.back, m.lost = now.Sub(m.lost), now, time.Time{}
	case !m.cut && node != m.node: // too quick to be seen
		m.away, m.back = 0, now
	}
	if !m.cut {
		m.node = node
	}
	do := []tea.Cmd{tick()}
	if now.Sub(m.listed) >= listEvery && m.lost.IsZero() {
		m.listed = now
		if do = append(do, m.bus.rooms()); m.open != nil {
			do = append(do, m.ask(m.open))
		}
	}
	return tea.Batch(do...)
}

// waiting is since when a message that was sent waits to be acknowledged, zero if none does so for long. One that waits for the one before it
// was not sent yet.
func (m *model) waiting() (since time.Time) {
	for _, r := range m.rooms {
		if len(r.outbox) > 0 && m.now.Sub(r.sent) >= slowAfter && (since.IsZero() || r.sent.Before(since)) {
			since = r.sent
		}
	}
	return since
}

// outside is the trouble with a room that the user is not in, until it is listed again.
const outside = "you are not in this room any more"

// attend counts what is said in a room before it is looked at. What is kept is read then; what is not has to be heard now.
func (m *model) attend(r *room) tea.Cmd {
	if r.Kept() && !r.entered {
		return m.bus.watch(r.Room)
	}
	return m.follow(r)
}

// news counts a message, as long as the room was not looked at.
func (m *model) news(msg newsMsg) tea.Cmd {
	r := m.byID(msg.room)
	switch {
	case r == nil || r.entered:
		return m.bus.unwatch(msg.room)
	case msg.err == nil:
		if msg.sender != m.me {
			r.unread++
		}
	case errors.Is(msg.err, client.ErrSlow): // it is some more
	case errors.Is(msg.err, client.ErrClosed), errors.Is(msg.err, context.Canceled):
		return nil
	case errors.Is(msg.err, client.ErrForbidden):
		r.trouble = outside
		return nil
	default:
		return tea.Tick(retryAfter, func(time.Time) tea.Msg { return againMsg(r.ID) })
	}
	return m.bus.watch(r.Room)
}

// heard takes in a message, or why there is none.
func (m *model) heard(msg heardMsg) tea.Cmd {
	r := m.byID(msg.room)
	if r == nil {
		return nil
	}
	r.following = false
	var do tea.Cmd
	switch {
	case msg.err == nil:
		r.trouble, do = "", m.meet(r, msg.message.Sender)
		own := len(r.own)
		if e := newEntry(msg.message, m.now); r.add(e, m.me) {
			if r != m.open {
				r.unread++
			}
			if r.scroll > 0 && len(r.own) == own { // what is read stays where it is
				r.scroll += len(m.wrap(r, e))
			}
		}
	case errors.Is(msg.err, client.ErrSlow):
		m.fails("room "+r.Name, msg.err)
	case errors.Is(msg.err, client.ErrClosed), errors.Is(msg.err, context.Canceled):
		return nil
	case errors.Is(msg.err, client.ErrForbidden):
		r.trouble = outside
		return nil
	default:
		r.trouble = console.Clean(msg.err.Error())
		return tea.Tick(retryAfter, func(time.Time) tea.Msg { return retryMsg(r.ID) })
	}
	return tea.Batch(do, m.follow(r))
}
