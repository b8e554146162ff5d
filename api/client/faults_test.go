// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// writer publishes numbered messages, several at a time, until it is stopped. Each must be acknowledged.
type writer struct {
	t    testing.TB
	r    *Room
	next atomic.Int64
	stop chan struct{}
	done sync.WaitGroup
}

func (s *scene) write(r *Room) *writer {
	w := &writer{t: s.t, r: r, stop: make(chan struct{})}
	for range 4 {
		w.done.Go(func() {
			for {
				select {
				case <-w.stop:
					return
				default:
				}
				ctx, cancel := context.WithTimeout(context.Background(), natstest.Patience)
				_, err := r.Publish(ctx, Message{Data: fmt.Append(nil, w.next.Add(1))})
				if cancel(); err != nil {
					w.t.Errorf("publish: %v", err)
					return
				}
			}
		})
	}
	return w
}

// end returns how many messages were acknowledged: those of 1 to that number.
func (w *writer) end() int {
	close(w.stop)
	w.done.Wait()
	return int(w.next.Load())
}

// more waits until that many more messages are acknowledged, but for those on their way.
func (w *writer) more(n int64) {
	w.t.Helper()
	from := w.next.Load()
	natstest.Within(w.t, natstest.Patience, "writers go on", func() bool { return w.next.Load() > from+n })
}

// expectAll takes messages until each from 1 to n has come, and fails if one comes twice or out of order.
func expectAll(t testing.TB, what string, s *Subscription, n int) {
	t.Helper()
	seen, last := make([]bool, n+1), uint64(0)
	for range n {
		ctx, cancel := context.WithTimeout(context.Background(), natstest.Patience)
		m, err := s.Next(ctx)
		cancel()
		if err != nil {
			missing := 0
			for _, was := range seen[1:] {
				if !was {
					missing++
				}
			}
			t.Fatalf("%s: %d of %d are missing: %v", what, missing, n, err)
		}
		i, err := strconv.Atoi(string(m.Data))
		if err != nil || i < 1 || i > n || seen[i] || m.Sequence <= last {
			t.Fatalf("%s: %q at %d after %d, the second time: %v", what, m.Data, m.Sequence, last, err == nil && i > 0 && i <= n && seen[i])
		}
		seen[i], last = true, m.Sequence
	}
}

// on is the number of the node that a client is connected to.
func (b *bus) on(c *Client) int {
	b.t.Helper()
	at := -1
	natstest.Within(b.t, natstest.Patience, "connected", func() bool {
		for i, x := range b.nodes {
			if c.nc.IsConnected() && c.Server() == x.Config.ServerName {
				at = i
			}
		}
		return at >= 0
	})
	return at
}

// Nodes are killed and stopped, one after the other, under who writes and who listens: nothing that was acknowledged is missing, nothing
// comes twice, and nobody is told of an error.
func TestNodesComeAndGo(t *testing.T) {
	s := mustScene(t, 3)
	writes, reads := s.client(s.ann, nil), s.client(s.bob, nil)
	w := s.write(writes.mustRoom(t, "kept"))
	from := reads.mustRoom(t, "kept").mustSubscribe(t, FromSequence(1))
	slow := reads.mustRoom(t, "kept").mustSubscribe(t, FromSequence(1))
	for round, end := range []func(int){s.kill, s.quit, s.kill, s.quit} {
		at := s.on([]*Client{writes, reads}[round/2])
		w.more(100)
		end(at)
		w.more(100)
		s.back(at)
		s.nodes[at].WithinSync(t)
	}
	n := w.end()
	t.Logf("%d messages", n)
	expectAll(t, "at last", slow, n)
	expectAll(t, "all the while", from, n)
	expectAll(t, "afterwards", s.client(s.bob, nil).mustRoom(t, "kept").mustSubscribe(t, FromSequence(1)), n)
}

// A planned stop is not seen by who speaks where nothing is kept, and every word is heard by who is elsewhere.
func TestPlannedStopIsInvisible(t *testing.T) {
	s := mustScene(t, 3)
	speaks := s.client(s.ann, nil)
	at := s.on(speaks)
	elsewhere := s.urls()
	elsewhere = append(elsewhere[:at:at], elsewhere[at+1:]...)
	hears := s.client(s.bob, func(o *Options) { o.Servers = elsewhere }).mustRoom(t, "live").mustSubscribe(t, StartNow())
	natstest.Within(t, natstest.Patience, "one is heard", func() bool { // what is listened to takes a moment to be known on other nodes
		mustPublish(t, speaks.mustRoom(t, "live"), "0")
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := hears.Next(ctx)
		return err == nil
	})
	w := s.write(speaks.mustRoom(t, "live"))
	w.more(100)
	s.quit(at)
	w.more(100)
	n := w.end()
	seen := map[string]bool{"0": true}
	for len(seen) <= n {
		ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
		m, err := hears.Next(ctx)
		cancel()
		if err != nil {
			t.Fatalf("%d of %d were heard: %v", len(seen)-1, n, err)
		}
		if string(m.Data) != "0" && seen[string(m.Data)] {
			t.Fatalf("%s was heard twice", m.Data)
		}
		seen[string(m.Data)] = true
	}
}

// A hundred times the connection is lost; nothing is left of it.
func TestReconnects(t *testing.T) {
	s := mustScene(t, 1)
	link, err := natstest.NewLink(fmt.Sprint("127.0.0.1:", s.nodes[0].Config.Port))
	s.must(err)
	t.Cleanup(link.Close)
	c := s.client(s.ann, func(o *Options) {
		o.Servers, o.ReconnectDelay = []string{link.URL().String()}, func(int) time.Duration { return 5 * time.Millisecond }
	})
	c.quiet = time.Hour // it is the new connection that makes one look, and no silence
	r := c.mustRoom(t, "kept")
	sub := r.mustSubscribe(t, StartNow())
	other := s.client(s.bob, nil).mustRoom(t, "kept")
	var goroutines int
	var before, after runtime.MemStats
	for round := range 100 {
		if round == 20 {
			goroutines = runtime.NumGoroutine()
			runtime.GC()
			runtime.ReadMemStats(&before)
		}
		link.Cut()
		natstest.Within(t, natstest.Patience, "the connection is lost", func() bool { return !c.nc.IsConnected() })
		mustPublish(t, other, fmt.Sprint("missed ", round))
		link.Heal()
		expectNext(t, sub, fmt.Sprint("missed ", round))
		mustPublish(t, r, fmt.Sprint("heard ", round))
		expectNext(t, sub, fmt.Sprint("heard ", round))
	}
	natstest.Within(t, natstest.Patience, "goroutines as before", func() bool { return runtime.NumGoroutine() <= goroutines })
	runtime.GC()
	runtime.ReadMemStats(&after)
	grown := int64(after.HeapAlloc) - int64(before.HeapAlloc)
	t.Logf("%d goroutines, heap %d KiB and %d KiB more, the server's included", goroutines, before.HeapAlloc>>10, grown>>10)
	if grown > 1<<20 {
		t.Errorf("80 reconnects took %d bytes", grown)
	}
}

// Who does not keep up reads the rest from the history. What is held in memory meanwhile has a bound.
func TestSlowReader(t *testing.T) {
	const total = 3 * keptAhead
	s := mustScene(t, 1)
	bob := s.client(s.bob, nil)
	sub, live := bob.mustRoom(t, "kept").mustSubscribe(t, StartNow()), bob.mustRoom(t, "live").mustSubscribe(t, StartNow())
	ann := s.client(s.ann, nil)
	r := ann.mustRoom(t, "kept")
	for i := range total {
		s.must(r.PublishAsync(t.Context(), Message{Data: fmt.Append(nil, i)}, func(_ Receipt, err error) {
			if err != nil {
				t.Error(err)
			}
		}))
	}
	s.must(ann.Flush(t.Context()))
	natstest.Within(t, natstest.Patience, "some are dropped", func() bool { n, err := sub.in.sub.Dropped(); return err == nil && n > 0 })
	for i := range total {
		expectNext(t, sub, fmt.Sprint(i))
	}

	r = ann.mustRoom(t, "live")
	for range liveAhead + 1000 {
		s.must(r.PublishAsync(t.Context(), Message{}, func(Receipt, error) {}))
	}
	s.must(ann.Flush(t.Context()))
	natstest.Within(t, natstest.Patience, "some are dropped", func() bool { n, err := live.in.sub.Dropped(); return err == nil && n == 1000 })
	_, err := live.Next(t.Context())
	expectErr(t, "next of a room that keeps none", err, ErrSlow)
	expectNext(t, live, "")
}

// The last that was said before a silence, and was not heard, is found by asking.
func TestLastBeforeASilence(t *testing.T) {
	s := mustScene(t, 1)
	bob := s.client(s.bob, nil)
	bob.quiet = 50 * time.Millisecond
	sub := bob.mustRoom(t, "kept").mustSubscribe(t, StartNow())
	s.must(sub.in.sub.SetPendingLimits(1, keptAheadBytes))
	mustPublish(t, s.client(s.ann, nil).mustRoom(t, "kept"), "1", "2", "3")
	natstest.Within(t, natstest.Patience, "two are dropped", func() bool { n, err := sub.in.sub.Dropped(); return err == nil && n == 2 })
	expectNext(t, sub, "1", "2", "3")
}

// What was not heard is read before what was heard after it; what was read is not given again when it is heard.
func TestGapAndOverlap(t *testing.T) {
	s := mustScene(t, 1)
	bob := s.client(s.bob, nil)
	bob.quiet = time.Hour
	sub, ann := bob.mustRoom(t, "kept").mustSubscribe(t, StartNow()), s.client(s.ann, nil).mustRoom(t, "kept")
	s.must(sub.in.sub.SetPendingLimits(1, keptAheadBytes))
	mustPublish(t, ann, "1", "2", "3")
	natstest.Within(t, natstest.Patience, "two are dropped", func() bool { n, err := sub.in.sub.Dropped(); return err == nil && n == 2 })
	expectNext(t, sub, "1")
	mustPublish(t, ann, "4")
	expectNext(t, sub, "2", "3", "4")

	s.must(sub.in.sub.SetPendingLimits(keptAhead, keptAheadBytes))
	mustPublish(t, ann, "5", "6")
	natstest.Within(t, natstest.Patience, "both are heard", func() bool { n, _, err := sub.in.sub.Pending(); return err == nil && n == 2 })
	sub.behind = true
	expectNext(t, sub, "5", "6")
	mustPublish(t, ann, "7")
	expectNext(t, sub, "7")
}

func TestRemoved(t *testing.T) {
	s := mustScene(t, 3)
	bob := s.client(s.bob, func(o *Options) { o.RefusedFor = time.Second })
	kept, live, other := bob.mustRoom(t, "kept"), bob.mustRoom(t, "live"), bob.mustRoom(t, "other")
	subs := map[string]*Subscription{"kept": kept.mustSubscribe(t, StartNow()), "live": live.mustSubscribe(t, StartNow())}
	stays := other.mustSubscribe(t, StartNow())
	waits := map[string]chan error{}
	for name, sub := range subs {
		waits[name] = make(chan error, 1)
		go func() { _, err := sub.Next(context.Background()); waits[name] <- err }()
		s.must(s.store().RemoveMember(t.Context(), name, public(s.bob), 0))
	}
	answers := make(chan error, 1)
	go func() {
		answers <- other.Respond(context.Background(), "", func(context.Context, Message) (Message, error) { return Message{}, nil })
	}()
	for name, wait := range waits {
		expectErr(t, "who is removed from "+name, <-wait, ErrForbidden)
	}
	_, err := kept.Publish(t.Context(), Message{})
	expectErr(t, "publish", err, ErrForbidden)
	_, err = live.Publish(t.Context(), Message{})
	expectErr(t, "publish", err, ErrForbidden)
	_, err = kept.Subscribe(t.Context(), StartNow())
	expectErr(t, "subscribe", err, ErrForbidden)
	ann := s.client(s.ann, nil)
	natstest.Within(t, natstest.Patience, "the other room goes on", func() bool {
		mustPublish(t, ann.mustRoom(t, "other"), "still")
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := stays.Next(ctx)
		return err == nil
	})

	s.must(s.store().RemoveUser(t.Context(), public(s.bob), 0))
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	for err = nil; err == nil; { // what was said before may still come
		_, err = stays.Next(ctx)
	}
	expectErr(t, "next of who is removed", err, ErrRemoved)
	expectErr(t, "respond of who is removed", <-answers, ErrRemoved)
	_, err = kept.Publish(ctx, Message{})
	expectErr(t, "publish", err, ErrRemoved)
	_, err = live.Publish(ctx, Message{})
	expectErr(t, "publish", err, ErrRemoved)
	_, err = bob.Rooms(ctx)
	expectErr(t, "rooms", err, ErrRemoved)
	_, err = Connect(ctx, Options{Servers: s.urls(), Key: s.bob})
	expectErr(t, "connect", err, ErrRemoved)

	// Taken back in, the same client goes on.
	s.within("user bob", func(ctx context.Context) error {
		_, err := s.store().CreateUser(ctx, v1.User{Name: "bob", Key: public(s.bob)})
		return err
	})
	natstest.Within(t, natstest.Patience, "in again", func() bool {
		_, err := bob.Rooms(ctx)
		if err != nil && !errors.Is(err, ErrRemoved) {
			t.Fatal(err)
		}
		return err == nil
	})
}
