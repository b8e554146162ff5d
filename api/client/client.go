// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
)

// Client is a user's connection to the bus. Its methods may be called by several goroutines. Make it with Connect.
type Client struct {
	o    Options
	user string
	nc   *nats.Conn
	dial *dialer
	up   atomic.Uint64 // the turn of the newest connection that was made
	api  *API
	out  *appends
	work sync.WaitGroup
	// quiet is after how long a silence a subscription asks the history for the first time.
	quiet time.Duration

	// moving is held for reading while something is on its way that must not be cut in two, and for writing while the client goes
	// from a node that stops to another.
	moving sync.RWMutex

	mu        sync.Mutex
	closed    bool
	event     context.Context // ends when something has happened that those who wait should look at
	happen    context.CancelFunc
	refused   time.Time // since when nodes refuse the key, zero while they don't
	listeners map[*listener]struct{}
}

const (
	// flushLimit is how long a node may take to say that it has what was sent to it.
	flushLimit = 5 * time.Second
	// askLimit is how long an answer of a node's service is waited for until the question is put again.
	askLimit = 3 * time.Second

	firstPause, mostPause = 50 * time.Millisecond, 2 * time.Second
)

// Connect connects to any of Options.Servers. Each is tried once, so that a mistake shows at once; from then on the client stays
// connected by itself. The context bounds the connecting only. With Options.API and no Servers, use NewAPI.
//
// It fails with ErrInvalid or ErrBadKey when the options can't be used, with ErrInsecure when a server does not speak TLS off
// loopback, with ErrRemoved when the key is refused, with ErrBadServer when a server is none of UniBus, with the context's error, and with
// ErrUnavailable when no server can be reached.
func Connect(ctx context.Context, o Options) (*Client, error) {
	o = o.withDefaults()
	user, err := userOf(o.Key)
	if err != nil {
		return nil, err
	}
	c := &Client{o: o, user: user, quiet: firstQuiet, listeners: map[*listener]struct{}{}}
	c.event, c.happen = context.WithCancel(context.Background())
	if o.API != "" {
		if c.api, err = NewAPI(o); err != nil {
			return nil, err
		}
	}
	n, err := o.nats(user)
	if err != nil {
		return nil, err
	}
	c.dial = &dialer{ctx: ctx}
	n.CustomDialer = c.dial
	n.AsyncErrorCB = func(_ *nats.Conn, _ *nats.Subscription, err error) { c.trouble(err) }
	n.DisconnectedErrCB = func(_ *nats.Conn, err error) { c.o.Logger.Warn("the connection to the bus is lost", "error", err) }
	n.ReconnectedCB = func(nc *nats.Conn) { c.arrived(nc) }
	n.LameDuckModeHandler = func(nc *nats.Conn) { c.move(nc) }
	n.ClosedCB = func(nc *nats.Conn) {
		c.o.Logger.Info("the connection to the bus is closed", "error", nc.LastError())
		c.shut()
	}
	if c.nc, err = n.Connect(); err != nil {
		return nil, notConnected(ctx, err, c.dial.err)
	}
	c.dial.settle()
	c.up.Store(c.turn())
	if c.out, err = newAppends(c); err != nil {
		c.Close()
		return nil, err
	}
	c.work.Go(c.out.run)
	return c, nil
}

func notConnected(ctx context.Context, err, dial error) error {
	switch {
	case ctx.Err() != nil:
		return ended(ctx, "connect to the bus", err)
	case errors.Is(err, nats.ErrAuthorization):
		return fmt.Errorf("%w: ask an admin to put it on the allowlist", ErrRemoved)
	case errors.Is(err, nats.ErrSecureConnWanted):
		return fmt.Errorf("%w: a server speaks no TLS, and it is not on loopback or a CA is given", ErrInsecure)
	case errors.Is(err, ErrBadServer), errors.Is(err, ErrBadKey), errors.Is(err, ErrInvalid):
		return fmt.Errorf("connect to the bus: %w", err)
	case errors.Is(err, nats.ErrNkeysNotSupported), errors.Is(err, nats.ErrNoInfoReceived):
		return fmt.Errorf("%w: %w", ErrBadServer, err)
	case errors.Is(err, nats.ErrNoServers) && dial != nil:
		err = dial // which nats.go does not tell when a connection was refused
	}
	return fmt.Errorf("%w: no server can be reached: %w", ErrUnavailable, err)
}

// User is the client's public key.
func (c *Client) User() string { return c.user }

// API is the HTTP API, nil without Options.API.
func (c *Client) API() *API { return c.api }

// Server is the name of the node that the client is connected to, empty while it is to none.
func (c *Client) Server() string { return c.nc.ConnectedServerName() }

// Close ends the connection. What waits fails with ErrClosed, and what was not acknowledged may be kept or not: Flush before.
func (c *Client) Close() {
	c.nc.Close()
	c.shut()
	c.work.Wait()
	if c.api != nil {
		c.api.Close()
	}
}

func (c *Client) shut() {
	c.mu.Lock()
	c.closed = true
	c.mu.Unlock()
	c.wake()
}

// wake lets all who wait look again.
func (c *Client) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.happen()
	if !c.closed {
		c.event, c.happen = context.WithCancel(context.Background())
	}
}

// next ends when the next thing happens. Ask state after it.
func (c *Client) next() context.Context {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.event
}

// state is why nothing can be done, or waited for: ErrClosed or ErrRemoved.
func (c *Client) state() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.closed:
		return ErrClosed
	case !c.refused.IsZero() && time.Since(c.refused) >= c.o.RefusedFor:
		return fmt.Errorf("%w since %s, and the client keeps trying: ask an admin to put it on the allowlist, or to look after the nodes if it is",
			ErrRemoved, c.refused.Format(time.TimeOnly))
	}
	return nil
}

// turn changes before every connection, and never while one stands. It is never zero.
func (c *Client) turn() uint64 { return c.dial.turn.Load() }

// denial is how a server says that it took no subscription.
var denial = regexp.MustCompile(`(?i)permissions violation for subscription to "([^"]+)"`)

// trouble hears what a server said unasked, and what kept the client from connecting again.
func (c *Client) trouble(err error) {
	switch match := denial.FindStringSubmatch(err.Error()); {
	case errors.Is(err, nats.ErrPermissionViolation) && match != nil:
		c.mu.Lock()
		for l := range c.listeners {
			if l.subject == match[1] {
				l.denied.Store(true)
			}
		}
		c.mu.Unlock()
		c.wake()
	case errors.Is(err, nats.ErrAuthorization):
		c.mu.Lock()
		if c.refused.IsZero() {
			c.refused = time.Now()
			time.AfterFunc(c.o.RefusedFor, c.wake)
		}
		c.mu.Unlock()
	case errors.Is(err, ErrBadServer), errors.Is(err, ErrBadKey):
		c.o.Logger.Error("a connection to the bus is not made", "error", err)
	}
}

func (c *Client) arrived(nc *nats.Conn) {
	c.up.Store(c.turn())
	c.o.Logger.Info("connected to the bus again", "server", nc.ConnectedServerName())
	c.mu.Lock()
	c.refused = time.Time{}
	for l := range c.listeners {
		l.denied.Store(false) // it has been asked for again
	}
	c.mu.Unlock()
	c.wake()
}

// move leaves a node that is about to stop, between two messages: it waits for no answer that is still to come, which is asked for
// again elsewhere.
func (c *Client) move(nc *nats.Conn) {
	c.o.Logger.Info("the node is about to stop", "server", nc.ConnectedServerName())
	c.moving.Lock()
	defer c.moving.Unlock()
	_ = nc.FlushTimeout(flushLimit) // what the node has for us comes before its answer; if it has gone already, there is nothing to wait for
	_ = nc.ForceReconnect()         // it fails on a closed connection only
}

// pause waits before another attempt: so long, or until something happens. It fails with the context's error, naming what for, and with
// state's.
func (c *Client) pause(ctx context.Context, d time.Duration, what string, last error) error {
	next := c.next()
	if err := c.state(); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ended(ctx, what, last)
	case <-next.Done():
		return c.state()
	case <-t.C:
		return nil
	}
}

// again repeats do while it fails with ErrUnavailable, until the context ends or the client is closed or refused.
func (c *Client) again(ctx context.Context, what string, do func(context.Context) error) error {
	for n := 0; ; n++ {
		if err := c.state(); err != nil {
			return fmt.Errorf("%s: %w", what, err)
		}
		limit, cancel := context.WithTimeout(ctx, askLimit)
		err := do(limit)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() != nil {
			return ended(ctx, what, err)
		}
		if !errors.Is(err, ErrUnavailable) {
			return fmt.Errorf("%s: %w", what, err)
		}
		if err := c.pause(ctx, backoff(n, firstPause, mostPause), what, err); err != nil {
			return err
		}
	}
}

// sendError says what nats.go's error in sending means. Nothing was sent.
func sendError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, nats.ErrMaxPayload):
		return fmt.Errorf("%w: the message is larger than the nodes take", ErrTooLarge)
	case errors.Is(err, nats.ErrConnectionClosed), errors.Is(err, nats.ErrConnectionDraining):
		return ErrClosed
	case errors.Is(err, nats.ErrBadSubject), errors.Is(err, nats.ErrBadQueueName), errors.Is(err, nats.ErrBadHeaderMsg):
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return fmt.Errorf("%w: nothing was sent: %w", ErrUnavailable, err)
}

// ask puts a question to a node's service until it is answered, and decodes the answer.
func (c *Client) ask(ctx context.Context, what, subject string, body []byte, decode func([]byte) error) error {
	return c.again(ctx, what, func(ctx context.Context) error {
		m, err := c.nc.RequestWithContext(ctx, subject, body)
		if err != nil {
			return fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
		return decode(m.Data)
	})
}
