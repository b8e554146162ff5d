// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
)

const (
	// mostRevoke is the bound of the 99th percentile in a quiet system, in milliseconds, and floodFactor how many times that it may
	// be while another user floods.
	mostRevoke, floodFactor = 10.0, 5.0
	// held connections, on each node, are subscribed to the room; one more is not.
	held = 3
	// flooder, the room of those who are removed, and who removes them, by number.
	flooder, removalRoom = 0, 1
	admin, firstVictim   = 999, 1000
	class                = "kept"
)

// revokeRow is what removals of one kind took, in milliseconds.
type revokeRow struct {
	Removal     string  `json:"removal"`
	Count       int     `json:"count"`
	Connections int     `json:"connections"` // that each of them ended, on all nodes together
	P50         float64 `json:"p50"`         // from the HTTP API's answer to whoever removes
	P99         float64 `json:"p99"`
	Worst       float64 `json:"worst"`
	// AskedP50 and AskedP99 are from the request, which waits for writes to two quorums: the change's and the audit's.
	AskedP50 float64 `json:"askedP50"`
	AskedP99 float64 `json:"askedP99"`
	// Again is how many requests more than one for each removal were needed.
	Again int `json:"again"`
	// Let is how many connections, or subscriptions, were let in afterwards, and Hurt how many ended that should not have.
	Let   int     `json:"let"`
	Hurt  int     `json:"hurt"`
	Live  float64 `json:"floodLive,omitempty"`    // messages per second meanwhile
	Kept  float64 `json:"floodAppends,omitempty"` // messages per second meanwhile
	Bound float64 `json:"bound"`
	Held  bool    `json:"held"`
}

// revoker removes users, or takes them out of a room, one after the other, as an admin does.
type revoker struct {
	*program
	*bus
	api  *client.API
	next int
}

// newRevoker asks any node that answers.
func (p *program) newRevoker(b *bus) (*revoker, error) {
	boss, err := newPerson(admin)
	if err != nil {
		return nil, err
	}
	var urls []string
	for _, n := range b.nodes {
		urls = append(urls, n.api)
	}
	a, err := client.NewAPI(client.Options{API: strings.Join(urls, ","), Key: boss.pair, CAFile: p.shop.files.CA})
	return &revoker{program: p, bus: b, api: a, next: firstVictim}, err
}

// insist makes a change again while no node can, as the buckets' leader may be elected in a flood, or may not yet, for a rate. What was removed by
// an earlier attempt is no error.
func insist(ctx context.Context, do func() error) (err error) {
	for again := range 60 {
		if err = do(); again > 0 && errors.Is(err, client.ErrNotFound) {
			return nil
		} else if !errors.Is(err, client.ErrUnavailable) && !errors.Is(err, client.ErrConflict) && !errors.Is(err, client.ErrRate) {
			return err
		}
		pause(ctx, 100*time.Millisecond)
	}
	return err
}

// removal is what one of them took from the answer and from the first request, how many requests it took, and how many things were wrong.
type removal struct {
	answer, asked time.Duration
	tries         int
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
	v, err := p.newRevoker(b)
	if err != nil {
		return nil, err
	}
	defer v.api.Close()
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
			{"user", func(ctx context.Context, who person) error { return v.api.DeleteUser(ctx, who.key, "") }, v.refused},
			{"user from a room", func(ctx context.Context, who person) error {
				return v.api.DeleteMember(ctx, roomName(removalRoom), who.key, "")
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
	var answers, requests []float64
	for _, x := range all {
		answers = append(answers, max(0, x.answer.Seconds()*1000))
		requests = append(requests, max(0, x.asked.Seconds()*1000))
		r.Again, r.Let, r.Hurt = r.Again+x.tries-1, r.Let+x.let, r.Hurt+x.hurt
	}
	slices.Sort(answers)
	slices.Sort(requests)
	r.P50, r.P99, r.Worst = quantile(answers, 0.5), quantile(answers, 0.99), answers[len(answers)-1]
	r.AskedP50, r.AskedP99 = quantile(requests, 0.5), quantile(requests, 0.99)
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
	err = insist(ctx, func() error {
		_, _, err := v.api.PutUser(ctx, who.key, v1.PutUser{Name: who.name}, "")
		return err
	})
	if err != nil {
		return r, err
	}
	err = insist(ctx, func() error {
		_, _, err := v.api.PutMember(ctx, roomName(removalRoom), who.key, v1.RoleMember, "")
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
	asked := time.Now()
	err = insist(ctx, func() error {
		r.tries++
		return remove(ctx, who)
	})
	if err != nil {
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
	r.answer, r.asked = last.Sub(answered), last.Sub(asked)
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
