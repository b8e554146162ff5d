// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

const (
	// resendFor is how long one is sent again: nodes remember ids for DuplicateWindow.
	resendFor = v1.DuplicateWindow - 30*time.Second
	// sweepEvery is how often those that wait are looked through.
	sweepEvery = 50 * time.Millisecond
)

// appending is a message on its way into a history.
type appending struct {
	ctx   context.Context
	room  *Room
	m     Message // of which ID, Header and Data count
	done  func(Receipt, error)
	first time.Time // when it was first sent, zero before
	again time.Time // when it is sent the next time
	tries int       // how often it was sent again
	turn  uint64    // of the connection that it was last sent on, zero when that did not take it
	last  error
}

// fate is what may have become of a message that was not answered.
func (p *appending) fate() string {
	if p.first.IsZero() {
		return "nothing was sent"
	}
	return "the message may or may not be kept"
}

// appends are all messages on their way.
type appends struct {
	c     *Client
	inbox string // answers come to this prefix and a number
	own   int    // where in it begins what no other has: from there on a reply subject is the id of a message that has none
	kick  chan struct{}
	open  atomic.Int64 // those of which the last has not been told yet

	// sending is held by who sends. Answers are taken meanwhile.
	sending sync.Mutex
	msg     nats.Msg // as it is sent: one serves all
	id      []string

	mu      sync.Mutex // may be locked while sending is held, not the other way round
	number  uint64
	waiting map[uint64]*appending
	patience
	resting bool          // nobody looks through them, for there are none
	room    chan struct{} // closed when there is room for many more, nil while nobody waits for that
	idle    chan struct{} // closed when none is open, nil while nobody wants to know
}

func newAppends(c *Client) (*appends, error) {
	a := &appends{c: c, inbox: c.nc.NewInbox() + ".", own: len(v1.InboxPrefix(c.user)) + 1, kick: make(chan struct{}, 1),
		msg: nats.Msg{Header: nats.Header{}}, id: make([]string, 1), waiting: map[uint64]*appending{}}
	_, err := c.nc.Subscribe(a.inbox+"*", a.hear)
	return a, sendError(err)
}

// whenIdle returns a channel that is closed when nothing is on its way.
func (a *appends) whenIdle() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.idle == nil {
		a.idle = make(chan struct{})
	}
	idle := a.idle
	a.tellIdle()
	return idle
}

// tellIdle tells those who want to know that nothing is on its way, if that is so. The lock is held.
func (a *appends) tellIdle() {
	if a.idle != nil && a.open.Load() == 0 {
		close(a.idle)
		a.idle = nil
	}
}

// drop frees the place of a message that waits no more. Who waits for a place goes on when there are many: then messages go out together,
// which costs less than one for each answer. The lock is held.
func (a *appends) drop(number uint64) {
	delete(a.waiting, number)
	if a.room != nil && len(a.waiting) <= a.c.o.MaxPending*3/4 {
		close(a.room)
		a.room = nil
	}
}

// finish tells the last of a message that was dropped.
func (a *appends) finish(p *appending, receipt Receipt, err error) {
	p.done(receipt, p.room.named("publish", err))
	if a.open.Add(-1) == 0 {
		a.mu.Lock()
		defer a.mu.Unlock()
		a.tellIdle()
	}
}

// send waits for a place and sends a message for the first time.
func (a *appends) send(p *appending) error {
	for {
		room, err := a.enter(p)
		if room == nil {
			return err
		}
		next := a.c.next()
		if err := a.c.state(); err != nil {
			return err
		}
		select {
		case <-room:
		case <-p.ctx.Done():
			return ended(p.ctx, "wait for those on their way", nil)
		case <-next.Done():
		}
	}
}

// enter takes a place and sends a message. When there is none it returns what is closed when there are.
func (a *appends) enter(p *appending) (<-chan struct{}, error) {
	a.sending.Lock()
	defer a.sending.Unlock()
	number, room := a.place(p, time.Now())
	if room != nil {
		return room, nil
	}
	err := a.put(number, p)
	if err == nil {
		return nil, nil
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.waiting[number] != p: // a server answered what it was not sent; who waits was told
		return nil, nil
	case errors.Is(err, ErrUnavailable):
		p.first, p.turn, p.last = time.Time{}, 0, err
		return nil, nil
	}
	a.drop(number)
	a.open.Add(-1)
	a.tellIdle()
	return nil, err
}

// place takes a place. From then on the message counts as sent: it may be answered before who sends it knows that it was.
func (a *appends) place(p *appending, now time.Time) (number uint64, room <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.waiting) >= a.c.o.MaxPending {
		if a.room == nil {
			a.room = make(chan struct{})
		}
		return 0, a.room
	}
	p.first, p.again, p.turn = now, now.Add(a.wait(0)), a.c.turn()
	a.number++
	a.waiting[a.number] = p
	a.open.Add(1)
	if a.resting {
		a.resting = false
		select {
		case a.kick <- struct{}{}:
		default:
		}
	}
	return a.number, nil
}

// put gives a message to the connection, each time with the same id. The lock sending is held.
func (a *appends) put(number uint64, p *appending) error {
	if a.c.up.Load() != a.c.turn() { // nats.go would have who publishes wait until a dial is over, whatever the context says
		if err := a.c.state(); errors.Is(err, ErrClosed) {
			return err
		}
		return fmt.Errorf("%w: nothing was sent: there is no connection yet", ErrUnavailable)
	}
	a.msg.Subject, a.msg.Reply, a.msg.Data = p.room.keep, a.inbox+strconv.FormatUint(number, 10), p.m.Data
	clear(a.msg.Header)
	p.m.headers(a.msg.Header)
	if p.m.ID == "" {
		a.id[0] = a.msg.Reply[a.own:]
		a.msg.Header[v1.HeaderMessageID] = a.id
	}
	return sendError(a.c.nc.PublishMsg(&a.msg))
}

// hear takes an answer. One that nobody waits for any more is the second to the same message.
func (a *appends) hear(m *nats.Msg) {
	number, err := strconv.ParseUint(strings.TrimPrefix(m.Subject, a.inbox), 10, 64)
	if err != nil {
		return
	}
	receipt, err := readReceipt(m)
	a.mu.Lock()
	p := a.waiting[number]
	if p == nil {
		a.mu.Unlock()
		return
	}
	// What becomes of an attempt that is on its way will be answered, or never.
	if errors.Is(err, v1.AppendInProcess) {
		p.last = err
		a.mu.Unlock()
		return
	}
	// A rate says nothing of an earlier attempt, which may have been kept.
	if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRate) && p.tries > 0 {
		p.last, p.again = err, time.Now().Add(backoff(p.tries, firstPause, mostPause))
		a.mu.Unlock()
		return
	}
	if !p.first.IsZero() {
		a.note(time.Since(p.first))
	}
	a.drop(number)
	a.mu.Unlock()
	a.finish(p, receipt, err)
}

// run sends again what was not answered, and gives up what has no time left, until the client is closed.
func (a *appends) run() {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		next, closed := a.c.next(), errors.Is(a.c.state(), ErrClosed)
		tick := t.C
		if a.rest() {
			tick = nil
		}
		if !closed {
			select {
			case <-a.kick: // there is something to sweep for
				continue
			case <-next.Done():
			case <-tick:
			}
		}
		if a.sweep(time.Now()); closed {
			return
		}
	}
}

// rest says whether there is nothing to look through. If so, the next message gives a kick.
func (a *appends) rest() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.resting = len(a.waiting) == 0
	return a.resting
}

func (a *appends) sweep(now time.Time) {
	over := map[*appending]error{}
	a.sending.Lock()
	a.mu.Lock()
	state, turn := a.c.state(), a.c.turn()
	for _, number := range slices.Sorted(maps.Keys(a.waiting)) { // those that a connection took with it keep their order
		p, err := a.waiting[number], state
		switch {
		case p.ctx.Err() != nil:
			err = ended(p.ctx, p.fate(), p.last)
		case err != nil:
			err = fmt.Errorf("%s: %w", p.fate(), err)
		case !p.first.IsZero() && now.Sub(p.first) > resendFor:
			err = fmt.Errorf("%w: no answer in %v: %s", ErrUnavailable, resendFor, p.fate())
		case p.turn != turn, !now.Before(p.again):
			err = a.putAgain(number, p, turn, now)
		}
		if err != nil {
			a.drop(number)
			over[p] = err
		}
	}
	a.mu.Unlock()
	a.sending.Unlock()
	for p, err := range over {
		a.finish(p, Receipt{}, err)
	}
}

// putAgain fails only with what would fail again. Both locks are held.
func (a *appends) putAgain(number uint64, p *appending, turn uint64, now time.Time) error {
	switch err := a.put(number, p); {
	case errors.Is(err, ErrUnavailable):
		p.turn, p.last = 0, err
		return nil
	case err != nil:
		return err
	case p.first.IsZero():
		p.first = now
	default:
		p.tries++
	}
	p.turn, p.again = turn, now.Add(a.wait(p.tries))
	return nil
}
