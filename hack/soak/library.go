// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/e2e/bus"
	"github.com/unibus/unibus/internal/e2e/crowd"
	"github.com/unibus/unibus/internal/membership"
)

// libraryRoom is the room of those who use the client library. It has the class of the crowd's.
const libraryRoom = "library"

// retryPause is between two attempts at what nodes refuse for a while.
const retryPause = 200 * time.Millisecond

// library is users of the client library in rooms of their own, through all that befalls the cluster. In the one that keeps history are one who
// publishes one message after the other, one who publishes ahead, one who follows from the first message to the last, one who comes back again
// and again and goes on where it was, and one who reads page after page; in the other is the parlour. What they are told by the library must
// be so.
type library struct {
	bus     *bus.Bus
	say     func(string, ...any)
	pause   time.Duration // about that between two doings of one who is no writer
	stop    context.CancelFunc
	done    sync.WaitGroup
	writers []*scribe
	readers []*reader
	parlour *parlour
	all     []*guest

	mu    sync.Mutex
	found crowd.Findings
}

// guest is a user of the library.
type guest struct {
	*library
	name   string
	room   string
	role   v1.Role
	number int
	pair   nkeys.KeyPair
	key    string
	move   atomic.Bool // it is to connect anew
}

// openLibrary makes the users and their rooms, and sets them to work until close.
func (s *soak) openLibrary(ctx context.Context, bounds crowd.Bounds, pause time.Duration) (*library, error) {
	l := &library{bus: s.bus, say: s.say, pause: pause}
	for _, name := range []string{"one-by-one", "ahead"} {
		g, err := l.guest(name, libraryRoom, v1.RoleMember)
		if err != nil {
			return nil, err
		}
		l.writers = append(l.writers, &scribe{guest: g, ahead: name == "ahead", acked: map[uint64]uint64{}})
	}
	for _, name := range []string{"follower", "comer", "pager"} {
		g, err := l.guest(name, libraryRoom, v1.RoleReader)
		if err != nil {
			return nil, err
		}
		r := &reader{guest: g, stays: name == "follower", pages: name == "pager", got: map[*scribe]map[uint64]uint64{}, newest: map[*scribe]uint64{}}
		for _, w := range l.writers {
			r.got[w] = map[uint64]uint64{}
		}
		l.readers = append(l.readers, r)
	}
	var err error
	if l.parlour, err = l.newParlour(bounds); err != nil {
		return nil, err
	}
	if err := errors.Join(l.furnish(ctx, s), l.known(ctx, s)); err != nil {
		return nil, err
	}
	working, stop := context.WithCancel(context.Background())
	l.stop = stop
	for _, w := range l.writers {
		l.done.Go(func() {
			w.visit(working, func(c *client.Client, r *client.Room) error { return w.write(working, c, r, s.cfg.Pause) })
		})
	}
	for _, r := range l.readers {
		l.done.Go(func() {
			r.visit(working, func(_ *client.Client, room *client.Room) error { return r.read(working, room) })
		})
	}
	l.parlour.open(working)
	return l, nil
}

func (l *library) guest(name, room string, role v1.Role) (*guest, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return nil, err
	}
	g := &guest{library: l, name: name, room: room, role: role, number: len(l.all), pair: pair}
	g.key, err = pair.PublicKey()
	l.all = append(l.all, g)
	return g, err
}

// furnish makes the users and the rooms.
func (l *library) furnish(ctx context.Context, s *soak) error {
	return l.change(ctx, s, func(put func(string, func(context.Context, *membership.Store) error)) {
		for room, class := range map[string]string{libraryRoom: crowd.Class, parlourRoom: ""} {
			put("room "+room, func(ctx context.Context, store *membership.Store) error {
				_, err := store.CreateRoom(ctx, room, class)
				return err
			})
		}
		for _, g := range l.all {
			put(g.name, func(ctx context.Context, store *membership.Store) error {
				_, err := store.CreateUser(ctx, v1.User{Name: g.name, Key: g.key})
				return err
			})
			put(g.name+" in "+g.room, func(ctx context.Context, store *membership.Store) error {
				_, err := store.PutMember(ctx, g.room, g.key, g.role, 0)
				return err
			})
		}
	})
}

// known waits until the node that there is admits who was added last, and so all: from then on nobody may hear that its key is refused.
func (l *library) known(ctx context.Context, s *soak) error {
	return s.until(ctx, "the guests of the library to be admitted", func() string {
		c, err := l.all[len(l.all)-1].connect(ctx)
		if err != nil {
			return err.Error()
		}
		c.Close()
		return ""
	})
}

// change makes changes, each as often as it takes, where nothing befalls the cluster.
func (l *library) change(ctx context.Context, s *soak, all func(put func(what string, do func(context.Context, *membership.Store) error))) error {
	nc, err := l.bus.Connect("MEMBERSHIP", 0)
	if err != nil {
		return err
	}
	defer nc.Close()
	js, err := jetstream.New(nc)
	if err != nil {
		return err
	}
	store, err := membership.NewStore(js, membership.StoreConfig{})
	if err != nil {
		return err
	}
	all(func(what string, do func(context.Context, *membership.Store) error) {
		if err != nil {
			return
		}
		err = s.until(ctx, what, func() string {
			attempt, cancel := context.WithTimeout(ctx, 2*time.Second)
			defer cancel()
			if err := do(attempt, store); err != nil && !errors.Is(err, membership.ErrExists) {
				return err.Error()
			}
			return ""
		})
	})
	return err
}

func (l *library) close() {
	l.stop()
	l.done.Wait()
}

// spread has those who don't stay connect anew, elsewhere.
func (l *library) spread() {
	for _, g := range l.all {
		g.move.Store(true)
	}
}

// count adds to a finding and tells it.
func (l *library) count(which *int, format string, a ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if *which++; *which <= 20 {
		l.say("    library: "+format, a...)
	}
}

func (l *library) wrong(format string, a ...any) { l.count(&l.found.Wrong, "WRONG: "+format, a...) }

func (l *library) findings() crowd.Findings {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.found
}

// visit connects again and again, and does what there is to do, until the context ends.
func (g *guest) visit(ctx context.Context, do func(*client.Client, *client.Room) error) {
	for ctx.Err() == nil {
		g.move.Store(false)
		err := g.enter(ctx, do)
		if err != nil && !passing(err) {
			g.wrong("%s: %v", g.name, err)
		}
		if err != nil && !sleep(ctx, retryPause) {
			return
		}
	}
}

func (g *guest) connect(ctx context.Context) (*client.Client, error) {
	return client.Connect(ctx, client.Options{Servers: g.bus.URLs(g.number), CAFile: g.bus.CA(), Key: g.pair, Name: g.name, MaxPending: 32})
}

func (g *guest) enter(ctx context.Context, do func(*client.Client, *client.Room) error) error {
	c, err := g.connect(ctx)
	if err != nil {
		return err
	}
	defer c.Close()
	asking, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	room, err := c.Room(asking, g.room)
	if errors.Is(err, client.ErrNotFound) { // it has been taken in just now
		return fmt.Errorf("%w: %w", client.ErrUnavailable, err)
	}
	if err != nil {
		return err
	}
	return do(c, room)
}

// passing says whether an error is one that goes by where nodes come and go. Certificates and their CA are replaced meanwhile, too. That a key is
// refused is none: whoever does not know for sure says nothing.
func passing(err error) bool {
	for _, is := range []error{client.ErrUnavailable, client.ErrClosed, client.ErrInvalid, client.ErrBadServer, context.Canceled, context.DeadlineExceeded} {
		if errors.Is(err, is) {
			return true
		}
	}
	return false
}

// scribe writes numbered messages.
type scribe struct {
	*guest
	ahead bool // without waiting for each
	sent  uint64
	last  uint64 // sequence of the last that was acknowledged

	mu    sync.Mutex
	acked map[uint64]uint64 // sequence of each number
}

func (w *scribe) write(ctx context.Context, c *client.Client, room *client.Room, pause time.Duration) error {
	for !w.move.Load() && sleep(ctx, pause) {
		w.sent++
		number, m := w.sent, client.Message{Data: strconv.AppendUint(nil, w.sent, 10)}
		if !w.ahead {
			r, err := room.Publish(ctx, m)
			w.settled(number, r, err)
			continue
		}
		if err := room.PublishAsync(ctx, m, func(r client.Receipt, err error) { w.settled(number, r, err) }); err != nil {
			return err
		}
	}
	return c.Flush(ctx)
}

// settled takes note of what the library says of a message. One that it knows nothing of may be there or not.
func (w *scribe) settled(number uint64, r client.Receipt, err error) {
	if err != nil {
		if !passing(err) || errors.Is(err, client.ErrInvalid) || errors.Is(err, client.ErrBadServer) {
			w.wrong("%s: number %d: %v", w.name, number, err)
		}
		return
	}
	w.mu.Lock()
	w.acked[number] = r.Sequence
	in := w.last < r.Sequence
	w.last = max(w.last, r.Sequence)
	w.mu.Unlock()
	w.library.mu.Lock()
	w.found.Kept++
	w.library.mu.Unlock()
	if !w.ahead && !in {
		w.wrong("%s: number %d is at %d, before the one before it", w.name, number, r.Sequence)
	}
}
