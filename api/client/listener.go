// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// listener is a subscription of which each message is waited for.
type listener struct {
	c       *Client
	subject string
	sub     *nats.Subscription
	denied  atomic.Bool // the server has not taken it

	mu     sync.Mutex
	ctx    context.Context // that wait is for
	until  time.Time
	wait   context.Context // ends with ctx, at until, and when something happens
	stop   func()
	closed bool
}

var (
	errDropped = errors.New("messages were dropped")
	errNobody  = errors.New("nobody listens where this was sent")
	errDenied  = fmt.Errorf("%w: you are not in the room any more, or its reader: ask an admin of the room", ErrForbidden)
)

// denied says whether the server has refused a subject since LastError was before. What it says to what it is sent comes before it answers a
// flush; each error is a value of its own, also where the words are the same.
func (c *Client) denied(before error, subject string) bool {
	err := c.nc.LastError()
	return errors.Is(err, nats.ErrPermissionViolation) && !errors.Is(err, before) && strings.Contains(err.Error(), subject)
}

// listen subscribes, and holds so many messages and bytes for who takes them; more are dropped. Without a bound in bytes it takes
// little to set up, for what has an end.
func (c *Client) listen(subject, queue string, messages, bytes int) (*listener, error) {
	l := &listener{c: c, subject: subject}
	c.mu.Lock()
	c.listeners[l] = struct{}{}
	c.mu.Unlock()
	var err error
	if bytes == 0 {
		l.sub, err = c.nc.ChanQueueSubscribe(subject, queue, make(chan *nats.Msg, messages))
	} else if l.sub, err = c.nc.QueueSubscribeSync(subject, queue); err == nil {
		err = l.sub.SetPendingLimits(messages, bytes)
	}
	if err != nil {
		l.close()
		return nil, sendError(err)
	}
	return l, nil
}

func (l *listener) close() {
	l.c.mu.Lock()
	delete(l.c.listeners, l)
	l.c.mu.Unlock()
	l.mu.Lock()
	l.closed = true
	l.stopWait()
	l.mu.Unlock()
	if l.sub != nil {
		_ = l.sub.Unsubscribe() // it fails on a closed connection only
	}
}

// trouble is why no message will come.
func (l *listener) trouble() error {
	if err := l.c.state(); err != nil {
		return err
	}
	if l.denied.Load() {
		return errDenied
	}
	return nil
}

// next returns the next message; none when the time is over or something has happened; errDropped once after some were.
func (l *listener) next(ctx context.Context, until time.Time) (*nats.Msg, error) {
	wait, err := l.waitFor(ctx, until)
	if wait == nil {
		return nil, err
	}
	m, err := l.sub.NextMsgWithContext(wait)
	switch {
	case err == nil:
		return m, nil
	case errors.Is(err, nats.ErrSlowConsumer):
		return nil, errDropped
	case errors.Is(err, nats.ErrNoResponders):
		return nil, errNobody
	case ctx.Err() != nil:
		return nil, context.Cause(ctx)
	case wait.Err() != nil:
		return nil, l.trouble()
	}
	return nil, ErrClosed
}

// waitFor returns a context for one wait or many: making one for each message would cost more than the message. It returns none when the
// last one has ended, so that why is looked at also while messages come.
func (l *listener) waitFor(ctx context.Context, until time.Time) (context.Context, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil, ErrClosed
	}
	was := l.wait
	if was != nil && was.Err() == nil && l.ctx == ctx && l.until == until {
		return was, nil
	}
	l.stopWait()
	event := l.c.next()
	if err := l.trouble(); err != nil || was != nil && was.Err() != nil {
		return nil, err
	}
	wait, cancel := context.WithCancel(ctx)
	if !until.IsZero() {
		cancel()
		wait, cancel = context.WithDeadline(ctx, until)
	}
	unhook := context.AfterFunc(event, cancel)
	l.ctx, l.until, l.wait, l.stop = ctx, until, wait, func() { unhook(); cancel() }
	return wait, nil
}

func (l *listener) stopWait() {
	if l.stop != nil {
		l.stop()
	}
	l.wait, l.stop = nil, nil
}
