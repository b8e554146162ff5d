// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/nats-io/nats.go"
)

// Receipt says that a message is kept. It is empty for a room that keeps none.
type Receipt struct {
	// Sequence is where in the room's history the message is.
	Sequence uint64
	// Duplicate is true when it was there before: under the same id, by an earlier attempt of this or another call.
	Duplicate bool
}

// Publish says something in the room.
//
// In a room that keeps history it returns when a majority of nodes has the message. What is not answered is sent again, with the same
// id and to another node, until the context ends: the death of a node makes neither loss nor duplicate. After 90 seconds without an
// answer it gives up, since nodes do not remember ids for long. Without a deadline it waits as long as there is no connection.
//
// In a room that keeps none it returns when a node has the message, which then goes to those who listen now. It is not sent again.
//
// It fails with ErrForbidden, ErrInvalid, ErrTooLarge, ErrRate, ErrFull, ErrRemoved, ErrClosed, ErrBadServer and, when the message may or may not
// have been taken, with ErrUnavailable or the context's error. ErrForbidden may come for a message that is kept if it was sent twice and
// the user removed in between.
func (r *Room) Publish(ctx context.Context, m Message) (Receipt, error) {
	if !r.Kept() {
		var out nats.Msg
		err := outgoing(&out, r.speak, m)
		if err == nil {
			err = r.c.say(ctx, &out, true)
		}
		return Receipt{}, r.named("publish", err)
	}
	type result struct {
		receipt Receipt
		err     error
	}
	got := make(chan result, 1)
	if err := r.PublishAsync(ctx, m, func(receipt Receipt, err error) { got <- result{receipt, err} }); err != nil {
		return Receipt{}, err
	}
	g := <-got
	return g.receipt, g.err
}

// PublishAsync is Publish for many messages: it returns when the message is on its way, and done is told what Publish would return. When
// as many are on their way as Options.MaxPending says, it waits until a quarter of them is answered. Messages keep their order as long as none has
// to be sent again. done must not block, and the message must not be changed before. In a room that keeps none, done is called at once: Flush
// tells more.
//
// It fails with ErrInvalid, ErrTooLarge, ErrRemoved, ErrClosed and the context's error; done is then not called.
func (r *Room) PublishAsync(ctx context.Context, m Message, done func(Receipt, error)) error {
	if !r.Kept() {
		var out nats.Msg
		err := outgoing(&out, r.speak, m)
		if err == nil {
			err = r.c.say(ctx, &out, false)
		}
		if err == nil {
			done(Receipt{}, nil)
		}
		return r.named("publish", err)
	}
	p := &appending{ctx: ctx, room: r, m: m, done: done}
	err := p.m.check()
	if err == nil {
		err = r.c.out.send(p)
	}
	return r.named("publish", err)
}

func (r *Room) named(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s in room %s: %w", what, r.Name, err)
}

// Flush returns when nothing is on its way: all that was published is acknowledged or has failed, and a node has what was sent. It fails with
// ErrRemoved, ErrClosed and the context's error.
func (c *Client) Flush(ctx context.Context) error {
	select {
	case <-c.out.whenIdle():
	case <-ctx.Done():
		return ended(ctx, "flush", nil)
	}
	return c.again(ctx, "flush", c.flush)
}

// flush returns when the node has what was sent. The context has a deadline.
func (c *Client) flush(ctx context.Context) error {
	if err := c.nc.FlushWithContext(ctx); errors.Is(err, nats.ErrConnectionClosed) {
		return fmt.Errorf("%w: the connection was lost before the node answered", ErrUnavailable) // closed or not: nats.go has one word for both
	} else if err != nil {
		return fmt.Errorf("%w: the node does not answer: %w", ErrUnavailable, err)
	}
	return nil
}

// say publishes a message that is not kept, once there is a connection. If sure, it returns when the node has taken it.
func (c *Client) say(ctx context.Context, m *nats.Msg, sure bool) error {
	for n := 0; ; n++ {
		sent, err := c.sayOnce(ctx, m, sure)
		if sent || !errors.Is(err, ErrUnavailable) {
			return err
		}
		if err := c.pause(ctx, backoff(n, firstPause, mostPause), "send", err); err != nil {
			return err
		}
	}
}

func (c *Client) sayOnce(ctx context.Context, m *nats.Msg, sure bool) (sent bool, err error) {
	c.moving.RLock()
	defer c.moving.RUnlock()
	if !sure {
		err := sendError(c.nc.PublishMsg(m))
		return err == nil, err
	}
	turn, before := c.turn(), c.nc.LastError()
	if err := sendError(c.nc.PublishMsg(m)); err != nil {
		return false, err
	}
	ctx, cancel := context.WithTimeout(ctx, flushLimit)
	defer cancel()
	if err := c.flush(ctx); err != nil {
		return true, err
	}
	if c.turn() != turn {
		return true, fmt.Errorf("%w: the connection was lost; the message may or may not have been told", ErrUnavailable)
	}
	if c.denied(before, m.Subject) {
		return true, errDenied
	}
	return true, nil
}
