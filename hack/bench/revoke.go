// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

const (
	// mostRevoke is the bound of the 99th percentile in a quiet system, in milliseconds, and floodFactor how many times that it may
	// be while another user floods.
	mostRevoke, floodFactor = 10.0, 5.0
	// held connections, on each node, are subscribed to the room; one more is not.
	held = 3
	// flooder, and the room of those who are removed, by number.
	flooder, removalRoom = 0, 1
	firstVictim          = 1000
	class                = "kept"
)

// revokeRow is what removals of one kind took, in milliseconds.
type revokeRow struct {
	Removal     string  `json:"removal"`
	Count       int     `json:"count"`
	Connections int     `json:"connections"` // that each of them ended, on all nodes together
	P50         float64 `json:"p50"`         // from the answer to whoever removes
	P99         float64 `json:"p99"`
	Worst       float64 `json:"worst"`
	// WriteP50 and WriteP99 are from the acknowledgement of the write that revokes, which comes before the answer.
	WriteP50 float64 `json:"writeP50"`
	WriteP99 float64 `json:"writeP99"`
	// Let is how many connections, or subscriptions, were let in afterwards, and Hurt how many ended that should not have.
	Let   int     `json:"let"`
	Hurt  int     `json:"hurt"`
	Live  float64 `json:"floodLive,omitempty"`    // messages per second meanwhile
	Kept  float64 `json:"floodAppends,omitempty"` // messages per second meanwhile
	Bound float64 `json:"bound"`
	Held  bool    `json:"held"`
}

// revoker removes users, or takes them out of a room, one after the other.
type revoker struct {
	*program
	*bus
	store *membership.Store
	clock *ackClock
	next  int
}

// ackClock notes when the first write since it was reset was acknowledged.
type ackClock struct {
	jetstream.JetStream
	mu    sync.Mutex
	first time.Time
}

// PublishMsg implements jetstream.JetStream.
func (c *ackClock) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	a, err := c.JetStream.PublishMsg(ctx, m, opts...)
	c.mu.Lock()
	defer c.mu.Unlock()
	if err == nil && c.first.IsZero() {
		c.first = time.Now()
	}
	return a, err
}

func (c *ackClock) reset() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.first = time.Time{}
}

// read returns the time, or what is given when no acknowledgement was seen.
func (c *ackClock) read(otherwise time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.first.IsZero() {
		return otherwise
	}
	return c.first
}

// insist makes a change again while the buckets don't answer, as their leader may be elected in a flood. What says that an earlier
// attempt was carried out after all is no error.
func insist(ctx context.Context, done error, do func() error) (err error) {
	for again := range 60 {
		if err = do(); again > 0 && errors.Is(err, done) {
			return nil
		} else if !errors.Is(err, membership.ErrUnavailable) && !errors.Is(err, membership.ErrConflict) {
			return err
		}
		pause(ctx, 100*time.Millisecond)
	}
	return err
}

// removal is what one of them took, and how many things were wrong.
type removal struct {
	answer, write time.Duration
	let, hurt     int
}

func (p *program) revocations(ctx context.Context) ([]revokeRow, error) {
	b, err := p.newOurs("revoke", 3)
	if err != nil {
		return nil, err
	}
	defer b.end()
	if _, err := p.cold(ctx, b); err != nil {
		return nil, err
	}
	if err := p.populate(ctx, b, class, 2); err != nil {
		return nil, err
	}
	nc, js, err := b.store()
	if err != nil {
		return nil, err
	}
	defer nc.Close()
	v := &revoker{program: p, bus: b, clock: &ackClock{JetStream: js}, next: firstVictim}
	if v.store, err = newStore(v.clock); err != nil {
		return nil, err
	}
	var rows []revokeRow
	for _, how := range []string{"quiet", "in a flood"} {
		var flood []*hand
		if how != "quiet" {
			h, err := p.flood(ctx, b, 256)
			if err != nil {
				return rows, err
			}
			defer release(h)
			flood = append(flood, h)
		}
		for _, kind := range []struct {
			name   string
			remove func(ctx context.Context, who person) error
			after  func(who person, idle []*nats.Conn) (let, hurt int)
		}{
			{"user", func(ctx context.Context, who person) error { return v.store.RemoveUser(ctx, who.key, 0) }, v.refused},
			{"user from a room", func(ctx context.Context, who person) error {
				return v.store.RemoveMember(ctx, roomName(removalRoom), who.key, 0)
			}, v.narrowed},
		} {
			begin, before := time.Now(), sum(flood)
			var all []removal
			for range p.removals {
				r, err := v.try(ctx, kind.remove, kind.after, kind.name == "user")
				if err != nil {
					return rows, fmt.Errorf("%s, %s, number %d: %w", kind.name, how, len(all)+1, err)
				}
				all = append(all, r)
			}
			row := judgeRemovals(kind.name+", "+how, all, how == "quiet")
			row.Connections = held * len(b.nodes)
			if kind.name == "user" {
				row.Connections += len(b.nodes)
			}
			if took, now := time.Since(begin).Seconds(), sum(flood); len(flood) > 0 {
				row.Live, row.Kept = float64(now.Live-before.Live)/took, float64(now.Appended-before.Appended)/took
			}
			slog.Info("measured", "removal", row.Removal, "p50", row.P50, "p99", row.P99)
			rows = append(rows, row)
		}
	}
	return rows, nil
}

// judgeRemovals judges by the answer. A connection that was gone before it took no time.
func judgeRemovals(name string, all []removal, quiet bool) revokeRow {
	r := revokeRow{Removal: name, Count: len(all), Bound: mostRevoke}
	if !quiet {
		r.Bound *= floodFactor
	}
	var answers, writes []float64
	for _, x := range all {
		answers = append(answers, max(0, x.answer.Seconds()*1000))
		writes = append(writes, max(0, x.write.Seconds()*1000))
		r.Let, r.Hurt = r.Let+x.let, r.Hurt+x.hurt
	}
	slices.Sort(answers)
	slices.Sort(writes)
	r.P50, r.P99, r.Worst = quantile(answers, 0.5), quantile(answers, 0.99), answers[len(answers)-1]
	r.WriteP50, r.WriteP99 = quantile(writes, 0.5), quantile(writes, 0.99)
	r.Held = r.P99 <= r.Bound && r.Let == 0 && r.Hurt == 0
	return r
}

// flood lets the flooder begin, and returns once it does.
func (p *program) flood(ctx context.Context, b *bus, payload int) (*hand, error) {
	t := task{First: flooder, Flood: true, Appends: publishWindow, Payload: payload}
	for _, n := range b.nodes {
		t.URLs = append(t.URLs, n.url)
	}
	h, err := p.hire(t)
	if err != nil {
		return nil, err
	}
	err = until(ctx, "the flood", time.Minute, 50*time.Millisecond, func() bool { t := sum([]*hand{h}); return t.Live > 10_000 && t.Appended+t.Turned > 0 })
	if err != nil {
		release(h)
	}
	return h, err
}

// try makes a user with connections to every node, removes it, and waits until they are gone.
func (v *revoker) try(ctx context.Context, remove func(context.Context, person) error,
	after func(person, []*nats.Conn) (let, hurt int), idleToo bool) (r removal, err error) {
	v.next++
	who, err := newPerson(v.next)
	if err != nil {
		return r, err
	}
	err = insist(ctx, membership.ErrExists, func() error {
		_, err := v.store.CreateUser(ctx, v1.User{Name: who.name, Key: who.key})
		return err
	})
	if err != nil {
		return r, err
	}
	err = insist(ctx, membership.ErrExists, func() error {
		_, err := v.store.PutMember(ctx, roomName(removalRoom), who.key, v1.RoleMember, 0)
		return err
	})
	if err != nil {
		return r, err
	}
	gone := make(chan time.Time, (held+1)*len(v.nodes))
	closed := nats.ClosedHandler(func(*nats.Conn) { gone <- time.Now() })
	var idle []*nats.Conn
	ends := 0
	for _, n := range v.nodes {
		if err := v.mayListen(ctx, who, n); err != nil {
			return r, err
		}
		for range held {
			conns, err := v.await(ctx, who, []*node{n}, closed)
			if err != nil {
				return r, err
			}
			defer conns[0].Close()
			if ends++; !subscribes(conns[0]) {
				return r, fmt.Errorf("%s does not let %s listen any more", n.name, who.name)
			}
		}
		var opts []nats.Option
		if idleToo {
			opts, ends = []nats.Option{closed}, ends+1
		}
		conns, err := v.await(ctx, who, []*node{n}, opts...)
		if err != nil {
			return r, err
		}
		defer conns[0].Close()
		idle = append(idle, conns[0])
	}
	v.clock.reset()
	if err := insist(ctx, membership.ErrNotFound, func() error { return remove(ctx, who) }); err != nil {
		return r, err
	}
	answered := time.Now()
	var last time.Time
	limit := time.After(30 * time.Second)
	for range ends {
		select {
		case at := <-gone:
			if at.After(last) {
				last = at
			}
		case <-limit:
			return r, fmt.Errorf("%w: a connection has not ended in 30 s", errGivenUp)
		}
	}
	r.answer, r.write = last.Sub(answered), last.Sub(v.clock.read(answered))
	r.let, r.hurt = after(who, idle)
	return r, nil
}

// mayListen waits until a node knows the user, and that it is in the room.
func (v *revoker) mayListen(ctx context.Context, who person, n *node) error {
	return until(ctx, who.name+" may listen at "+n.name, time.Minute, 2*time.Millisecond, func() bool {
		nc, err := v.enter(who, n)
		if err != nil {
			return false
		}
		defer nc.Close()
		return subscribes(nc)
	})
}

func subscribes(nc *nats.Conn) bool {
	_, err := nc.Subscribe(v1.RoomSubjects(roomID(removalRoom)), func(*nats.Msg) {})
	return err == nil && nc.FlushTimeout(5*time.Second) == nil && !errors.Is(nc.LastError(), nats.ErrPermissionViolation)
}

// refused tries a connection to every node, until it is told that it is not authorized: that it was too slow would say nothing.
func (v *revoker) refused(who person, _ []*nats.Conn) (let, _ int) {
	for _, n := range v.nodes {
		var err error
		for range 20 {
			var nc *nats.Conn
			if nc, err = v.enter(who, n); err == nil {
				nc.Close()
				break
			}
			if errors.Is(err, nats.ErrAuthorization) {
				break
			}
		}
		if !errors.Is(err, nats.ErrAuthorization) {
			let++
		}
	}
	return let, 0
}

// narrowed looks at the connections that were not subscribed: they stay, and can't subscribe any more.
func (v *revoker) narrowed(_ person, idle []*nats.Conn) (let, hurt int) {
	for _, nc := range idle {
		switch {
		case !nc.IsConnected():
			hurt++
		case subscribes(nc):
			let++
		}
	}
	return let, hurt
}
