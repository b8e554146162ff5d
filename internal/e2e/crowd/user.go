// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

const (
	// attendPause is between two attempts at the subscriptions that a user lacks.
	attendPause = 200 * time.Millisecond
	// refusedPause is how long a subscription that was refused is let be: servers log each.
	refusedPause = time.Second
	// reconnectPause is between two attempts to connect to the same node.
	reconnectPause = 500 * time.Millisecond
	// flushLimit is how long a server may take to say that it has what was sent to it.
	flushLimit = 2 * time.Second
	// handshake is how long before a connection stands, or a refusal is heard of, the server may have looked who may.
	handshake = 5 * time.Second
)

// user is one who comes and goes as the director wants, and does not know what that is: it tries every room, again and again.
type user struct {
	c         *Crowd
	name, key string
	nc        *nats.Conn
	stop      context.CancelFunc
	done      sync.WaitGroup
	spoken    int // number of the last message
	log       chan *nats.Msg
	turns     atomic.Int64 // of the connection, up or down

	mu       sync.Mutex
	subs     map[string]*nats.Subscription // by subject; nil when it was refused
	tried    map[string]time.Time          // of each, when it was last asked for
	listener                               // user, stood, got
	chains   map[string]*chain             // by room
}

// said is the body of every message.
type said struct {
	Room string
	ID   string
	// At is when it was sent, since the crowd began.
	At time.Duration
}

func (c *Crowd) newUser(number int, name string) (*user, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	key, err := pair.PublicKey()
	if err != nil {
		return nil, err
	}
	u := &user{c: c, name: name, key: key, log: make(chan *nats.Msg, 1024), subs: map[string]*nats.Subscription{}, tried: map[string]time.Time{}, chains: map[string]*chain{},
		listener: listener{user: key, stood: map[string][]span{}, got: map[string]bool{}}}
	up := func(*nats.Conn) {
		u.turns.Add(1)
		now := time.Now()
		c.entered(key, now.Add(-handshake), now)
	}
	u.nc, err = c.cfg.User(pair, number, nats.RetryOnFailedConnect(true), nats.ReconnectBufSize(-1), nats.ReconnectWait(reconnectPause), nats.CustomInboxPrefix(v1.InboxPrefix(key)),
		nats.ConnectHandler(up), nats.ReconnectHandler(up), nats.DisconnectErrHandler(func(*nats.Conn, error) { u.down() }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) { u.refused(err) }))
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background()) // until close
	u.stop = stop
	u.done.Go(func() { u.attend(ctx) })
	u.done.Go(func() { u.follow(ctx) })
	u.done.Go(func() { u.work(ctx, number) })
	return u, nil
}

func (u *user) close() {
	u.stop()
	u.done.Wait()
	u.nc.Close()
}

// down ends all subscriptions' time. The client library makes them again with the connection.
func (u *user) down() {
	u.turns.Add(1)
	u.mu.Lock()
	defer u.mu.Unlock()
	for subject := range u.stood {
		u.fall(subject)
	}
}

func (u *user) fall(subject string) {
	if s := u.stood[subject]; len(s) > 0 && s[len(s)-1].to.IsZero() {
		s[len(s)-1].to = time.Now()
	}
}

var refusal = regexp.MustCompile(`(?i)permissions violation for subscription to "(\S+)"`)

// refused takes note of a subscription that the server refused. Other errors show elsewhere.
func (u *user) refused(err error) {
	match := refusal.FindStringSubmatch(err.Error())
	if !errors.Is(err, nats.ErrPermissionViolation) || match == nil {
		return
	}
	subject, now := match[1], time.Now()
	u.mu.Lock()
	sub := u.subs[subject]
	u.subs[subject] = nil
	u.fall(subject)
	u.mu.Unlock()
	if sub != nil {
		_ = sub.Unsubscribe() // it fails on a closed connection only
	}
	for _, room := range u.c.targets() {
		if subject == v1.RoomSubjects(room) || subject == v1.LogSubject(room) {
			u.c.answered("subscription to "+subject, u.key, room, Read, v1.CodeForbidden, now.Add(-handshake), now)
		}
	}
}

// attend subscribes to what the user does not subscribe to, and notes since when it does.
func (u *user) attend(ctx context.Context) {
	for sleep(ctx, attendPause) {
		turn := u.turns.Load()
		if !u.nc.IsConnected() {
			continue
		}
		want := map[string]bool{"": true}
		for _, room := range u.c.targets() {
			want[v1.RoomSubjects(room)], want[v1.LogSubject(room)] = true, true
		}
		u.mu.Lock()
		for subject := range want {
			if subject != "" && u.subs[subject] == nil && time.Since(u.tried[subject]) > refusedPause {
				u.tried[subject] = time.Now()
				if sub, err := u.nc.Subscribe(subject, func(m *nats.Msg) { u.hear(subject, m) }); err == nil {
					u.subs[subject] = sub
				}
			}
		}
		for subject, sub := range u.subs {
			if !want[subject] {
				u.forget(subject, sub)
			}
		}
		u.mu.Unlock()
		if u.nc.FlushTimeout(flushLimit) != nil {
			continue
		}
		u.mu.Lock()
		if u.turns.Load() == turn {
			for subject := range want {
				s := u.stood[subject]
				if (subject == "" || u.subs[subject] != nil) && (len(s) == 0 || !s[len(s)-1].to.IsZero()) {
					u.stood[subject] = append(s, span{from: time.Now()})
				}
			}
		}
		u.mu.Unlock()
	}
}

// forget leaves a room that is gone for good.
func (u *user) forget(subject string, sub *nats.Subscription) {
	if sub != nil {
		_ = sub.Unsubscribe()
	}
	delete(u.subs, subject)
	delete(u.stood, subject)
	delete(u.tried, subject)
}

// stands says whether the user listens to all of a room now.
func (u *user) stands(room string) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	now := time.Now()
	return u.listener.stands("", now, now) && u.listener.stands(v1.RoomSubjects(room), now, now) && u.listener.stands(v1.LogSubject(room), now, now)
}

// hear takes what a subscription gives.
func (u *user) hear(subject string, m *nats.Msg) {
	now := time.Now()
	var s said
	if err := json.Unmarshal(m.Data, &s); err != nil {
		u.c.wrong("%s was given %q on %s", u.name, m.Data, m.Subject)
		return
	}
	sender, what := m.Header.Get(v1.HeaderSender), "what history took, "+s.ID+","
	if subject != v1.LogSubject(s.Room) {
		sender, what = speaker(s.Room, m.Subject), "the live message "+s.ID
	}
	if sender == "" {
		u.c.wrong("%s was given a message of room %s on %s", u.name, s.Room, m.Subject)
		return
	}
	at := u.c.began.Add(s.At)
	u.c.heard(u.key, s.Room, sender, what, at, now)
	if subject == v1.LogSubject(s.Room) {
		select {
		case u.log <- m:
		default: // what is dropped here is a hole, which the history fills
		}
	}
	if u.c.isCalm(at) {
		u.mu.Lock()
		u.got[subject+" "+s.ID] = true
		u.mu.Unlock()
	}
}

// follow puts together what a room's history takes.
func (u *user) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-u.log:
			u.join(m)
		}
	}
}

func (u *user) join(m *nats.Msg) {
	var s said
	sequence, err := strconv.ParseUint(m.Header.Get(v1.HeaderLogSequence), 10, 64)
	previous, err2 := strconv.ParseUint(m.Header.Get(v1.HeaderLogPrevious), 10, 64)
	if err := errors.Join(err, err2, json.Unmarshal(m.Data, &s)); err != nil {
		u.c.wrong("%s follows %s and was given %v with %v: %v", u.name, m.Subject, m.Header, string(m.Data), err)
		return
	}
	e := entry{sequence, m.Header.Get(v1.HeaderSender) + " " + m.Header.Get(v1.HeaderID)}
	if u.withChain(s.Room, func(c *chain) bool { return c.take(e, previous) }) {
		return
	}
	if u.catchUp(s.Room, previous) == nil {
		u.withChain(s.Room, func(c *chain) bool { return c.take(e, previous) })
	}
}

// catchUp fills a room's chain from the history, which must know a sequence.
func (u *user) catchUp(room string, known uint64) error {
	for {
		var last uint64
		u.withChain(room, func(c *chain) bool { last = c.last; return true })
		entries, more, err := u.page(room, v1.HistoryRequest{From: last + 1, AtLeast: known})
		if err != nil {
			return err
		}
		u.withChain(room, func(c *chain) bool { c.fill(entries); return true })
		if !more {
			return nil
		}
	}
}

func (u *user) withChain(room string, do func(*chain) bool) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.chains[room]
	if c == nil {
		c = &chain{}
		u.chains[room] = c
	}
	return do(c)
}

// copyChain returns a chain as it is now, nil if nothing was followed.
func (u *user) copyChain(room string) *chain {
	u.mu.Lock()
	defer u.mu.Unlock()
	c := u.chains[room]
	if c == nil || !c.began {
		return nil
	}
	is := *c
	is.have, is.wrong = slices.Clone(c.have), slices.Clone(c.wrong)
	return &is
}

// heed begins to take note, for a calm time, of what the user has: subscriptions that stand do so on.
func (u *user) heed() {
	u.mu.Lock()
	defer u.mu.Unlock()
	clear(u.got)
	for subject, s := range u.stood {
		u.stood[subject] = s[max(0, len(s)-1):]
	}
}

// listened is what was taken note of.
func (u *user) listened() *listener {
	u.mu.Lock()
	defer u.mu.Unlock()
	l := &listener{user: u.key, stood: map[string][]span{}, got: maps.Clone(u.got)}
	for subject, s := range u.stood {
		l.stood[subject] = slices.Clone(s)
	}
	return l
}
