// SPDX-License-Identifier: Apache-2.0

package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

const (
	// answerLimit is how long an append may go unanswered until it is sent again.
	answerLimit = 2 * time.Second
	// resendFor is how long one is sent again: nodes remember ids for DuplicateWindow.
	resendFor = v1.DuplicateWindow - 30*time.Second
	// sweepEvery is how often those that wait are looked through.
	sweepEvery = 50 * time.Millisecond
)

// appending is a message on its way into a history.
type appending struct {
	ctx   context.Context
	room  *Room
	msg   nats.Msg
	done  func(Receipt, error)
	first time.Time // when it was first sent, zero before
	again time.Time // when it is sent the next time
	tries int
	turn  uint64 // of the connection that it was last sent on
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
	c      *Client
	inbox  string // answers come to this prefix and a number
	prefix string // of the ids that are filled in
	slots  chan struct{}
	kick   chan struct{}

	mu      sync.Mutex
	number  uint64
	waiting map[uint64]*appending
	open    int           // those of which the last has not been told yet
	idle    chan struct{} // closed when there are none, nil while nobody wants to know
}

func newAppends(c *Client) (*appends, error) {
	a := &appends{c: c, inbox: c.nc.NewInbox() + ".", prefix: rand.Text() + "-", slots: make(chan struct{}, c.o.MaxPending),
		kick: make(chan struct{}, 1), waiting: map[uint64]*appending{}}
	_, err := c.nc.Subscribe(a.inbox+"*", a.hear)
	return a, sendError(err)
}

func (a *appends) empty() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.waiting) == 0
}

// whenIdle returns a channel that is closed when nothing is on its way.
func (a *appends) whenIdle() <-chan struct{} {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.idle == nil {
		a.idle = make(chan struct{})
	}
	idle := a.idle
	a.leave(0)
	return idle
}

// leave counts those that are over. The lock is held.
func (a *appends) leave(n int) {
	if a.open -= n; a.open == 0 && a.idle != nil {
		close(a.idle)
		a.idle = nil
	}
}

// finish tells the last of a message that waits no more.
func (a *appends) finish(p *appending, receipt Receipt, err error) {
	<-a.slots
	p.done(receipt, p.room.named("publish", err))
	a.mu.Lock()
	defer a.mu.Unlock()
	a.leave(1)
}

// send waits for a place and sends a message for the first time.
func (a *appends) send(p *appending) error {
	select {
	case a.slots <- struct{}{}:
	default:
		if err := a.slot(p.ctx); err != nil {
			return err
		}
	}
	a.mu.Lock()
	a.number++
	number := a.number
	p.msg.Reply = a.inbox + strconv.FormatUint(number, 10)
	if p.msg.Header == nil {
		p.msg.Header = nats.Header{}
	}
	if p.msg.Header[v1.HeaderMessageID] == nil {
		p.msg.Header[v1.HeaderMessageID] = []string{a.prefix + strconv.FormatUint(number, 36)}
	}
	if a.waiting[number] = p; len(a.waiting) == 1 {
		select {
		case a.kick <- struct{}{}:
		default:
		}
	}
	defer a.mu.Unlock()
	a.open++
	err := a.put(p, time.Now())
	if err != nil {
		delete(a.waiting, number)
		a.leave(1)
		<-a.slots
	}
	return err
}

func (a *appends) slot(ctx context.Context) error {
	for {
		next := a.c.next()
		if err := a.c.state(); err != nil {
			return err
		}
		select {
		case a.slots <- struct{}{}:
			return nil
		case <-ctx.Done():
			return ended(ctx, "wait for those on their way", nil)
		case <-next.Done():
		}
	}
}

// put sends a message. It fails only with what would fail again. The lock is held.
func (a *appends) put(p *appending, now time.Time) error {
	p.turn = a.c.turn()
	err := sendError(a.c.nc.PublishMsg(&p.msg))
	switch {
	case err == nil:
		if p.first.IsZero() {
			p.first = now
		}
		p.again = now.Add(answerLimit)
	case errors.Is(err, ErrUnavailable):
		p.last, p.again = err, now.Add(firstPause)
	default:
		return err
	}
	return nil
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
	// A rate says nothing of an earlier attempt, which may have been kept.
	if errors.Is(err, ErrUnavailable) || errors.Is(err, ErrRate) && p.tries > 0 {
		p.last, p.again = err, time.Now().Add(backoff(p.tries, firstPause, mostPause))
		a.mu.Unlock()
		return
	}
	delete(a.waiting, number)
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
		if a.empty() {
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

func (a *appends) sweep(now time.Time) {
	state, turn := a.c.state(), a.c.turn()
	over := map[*appending]error{}
	a.mu.Lock()
	for number, p := range a.waiting {
		err := state
		switch {
		case p.ctx.Err() != nil:
			err = ended(p.ctx, p.fate(), p.last)
		case err != nil:
			err = fmt.Errorf("%s: %w", p.fate(), err)
		case !p.first.IsZero() && now.Sub(p.first) > resendFor:
			err = fmt.Errorf("%w: no answer in %v: %s", ErrUnavailable, resendFor, p.fate())
		case p.turn != turn, !now.Before(p.again):
			p.tries++
			err = a.put(p, now)
		}
		if err != nil {
			delete(a.waiting, number)
			over[p] = err
		}
	}
	a.mu.Unlock()
	for p, err := range over {
		a.finish(p, Receipt{}, err)
	}
}

// readReceipt reads what the append service answered.
func readReceipt(m *nats.Msg) (Receipt, error) {
	if first(m, headerStatus) == statusNobody {
		return Receipt{}, fmt.Errorf("%w: no node appends to histories now", ErrUnavailable)
	}
	if sequence, ok := plainReceipt(m.Data); ok {
		return Receipt{Sequence: sequence}, nil
	}
	var a v1.AppendAnswer
	switch err := json.Unmarshal(m.Data, &a); {
	case err != nil, a.Error == nil && a.Sequence == 0:
		return Receipt{}, fmt.Errorf("%w: its answer to a message can't be read", ErrBadServer)
	case a.Error != nil:
		return Receipt{}, answered(a.Error)
	}
	return Receipt{Sequence: a.Sequence, Duplicate: a.Duplicate}, nil
}

// plainReceipt reads the answer that nearly all messages get, {"stream":"...","seq":1}, for a small part of what reading JSON costs. ok is false
// for whatever looks otherwise.
func plainReceipt(data []byte) (sequence uint64, ok bool) {
	rest, begins := bytes.CutPrefix(data, []byte(`{"stream":"`))
	name, rest, middle := bytes.Cut(rest, []byte(`","seq":`))
	digits, ends := bytes.CutSuffix(rest, []byte("}"))
	odd := func(r rune) bool { return r < ' ' || r == '"' || r == '\\' }
	if !begins || !middle || !ends || bytes.ContainsFunc(name, odd) || bytes.HasPrefix(digits, []byte("0")) {
		return 0, false
	}
	sequence, err := strconv.ParseUint(string(digits), 10, 64)
	return sequence, err == nil
}
