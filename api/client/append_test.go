// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

func (a *appends) empty() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.waiting) == 0
}

func TestBounds(t *testing.T) {
	s := mustScene(t, 1)
	for _, c := range []v1.Class{
		{Name: "calm", MaxBytes: 8 << 20, MaxMessagesPerRoom: 1000, MaxMessageBytes: 1 << 10, Full: v1.FullRolls, PublisherRate: 1},
		{Name: "tight", MaxBytes: 8 << 20, MaxMessagesPerRoom: 1, MaxMessageBytes: 1 << 10, Full: v1.FullRefuses},
	} {
		_, err := s.store().PutClass(t.Context(), c, 0)
		s.must(err)
		s.stream(c)
		s.room(c.Name, c.Name, map[nkeys.KeyPair]v1.Role{s.ann: v1.RoleMember})
	}
	ann := s.client(s.ann, nil)
	for name, want := range map[string]error{"calm": ErrRate, "tight": ErrFull} {
		r := ann.mustRoom(t, name)
		mustPublish(t, r, "first")
		_, err := r.Publish(t.Context(), Message{Data: []byte("second")})
		expectErr(t, name, err, want)
	}
}

// Nodes forget ids. What was not answered for so long is not sent again: it could be kept twice.
func TestGivesUpBeforeIDsAreForgotten(t *testing.T) {
	s := mustScene(t, 1)
	ann := s.client(s.ann, nil)
	r := ann.mustRoom(t, "kept")
	s.nodes[0].end() // nobody answers any more
	done := make(chan error, 1)
	s.must(r.PublishAsync(context.Background(), Message{}, func(_ Receipt, err error) { done <- err }))
	ann.out.sweep(time.Now().Add(resendFor - time.Second))
	select {
	case err := <-done:
		t.Fatalf("given up too soon: %v", err)
	default:
	}
	ann.out.sweep(time.Now().Add(v1.DuplicateWindow - time.Second))
	expectErr(t, "publish", <-done, ErrUnavailable)
}

// What nearly all messages are answered is read without reading JSON.
func TestPlainReceipts(t *testing.T) {
	s := mustScene(t, 1)
	r := s.client(s.ann, nil).mustRoom(t, "kept")
	var first uint64
	for _, plain := range []bool{true, false} { // the second is a duplicate
		ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
		defer cancel()
		m, err := r.c.nc.RequestMsgWithContext(ctx, &nats.Msg{Subject: r.keep, Header: nats.Header{v1.HeaderMessageID: {"one"}}, Data: []byte("x")})
		s.must(err)
		sequence, ok := plainReceipt(m.Data)
		receipt, err := readReceipt(m)
		s.must(err)
		if ok != plain || ok && sequence != receipt.Sequence || receipt.Sequence == 0 || receipt.Duplicate == plain {
			t.Errorf("%s is read as %d, %v, and means %+v", m.Data, sequence, ok, receipt)
		}
		if first = max(first, receipt.Sequence); receipt.Sequence != first {
			t.Errorf("the same message is at %d and %d", first, receipt.Sequence)
		}
	}
}

// Whoever is told that nothing was sent may send it anew.
func TestTellsWhetherItWasSent(t *testing.T) {
	s := mustScene(t, 1)
	ann := s.client(s.ann, nil)
	r := ann.mustRoom(t, "kept")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	publish := func() <-chan error {
		done := make(chan error, 1)
		s.must(r.PublishAsync(ctx, Message{}, func(_ Receipt, err error) { done <- err }))
		return done
	}
	s.nodes[0].end() // nobody answers any more
	sent := publish()
	s.kill(0)
	natstest.Within(t, natstest.Patience, "the connection is lost", func() bool { return !ann.nc.IsConnected() })
	unsent := publish()
	for range 3 { // in vain
		ann.out.sweep(time.Now().Add(resendFor / 2))
	}
	cancel()
	for want, done := range map[string]<-chan error{"may or may not be kept": sent, "nothing was sent": unsent} {
		if err := <-done; !strings.Contains(err.Error(), want+": context canceled") {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// While a connection is being made nobody waits for it in vain: contexts end, and what is left is sent when it is there.
func TestPublishesWhileItConnects(t *testing.T) {
	s := mustScene(t, 1)
	ann := s.client(s.ann, nil)
	r := ann.mustRoom(t, "kept")
	ann.dial.turn.Add(1) // as a dial does that is not over
	over := errors.New("over")
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(over)
	_, err := r.Publish(ctx, Message{})
	if expectErr(t, "publish", err, over); err != nil && !strings.Contains(err.Error(), "nothing was sent: over") {
		t.Error(err)
	}
	done := make(chan error, 1)
	s.must(r.PublishAsync(t.Context(), Message{}, func(_ Receipt, err error) { done <- err }))
	ann.arrived(ann.nc)
	s.must(<-done)
}

// Of each message the last is told once, whatever happens meanwhile, and what is acknowledged is kept once, where the receipt says.
func TestEachEndsOnce(t *testing.T) {
	const total, writers = 8000, 4
	s := mustScene(t, 1)
	link, err := natstest.NewLink(fmt.Sprint("127.0.0.1:", s.nodes[0].Config.Port))
	s.must(err)
	t.Cleanup(link.Close)
	c := s.client(s.ann, func(o *Options) {
		o.Servers, o.ReconnectDelay, o.MaxPending = []string{link.URL().String()}, func(int) time.Duration { return 5 * time.Millisecond }, 32
	})
	r := c.mustRoom(t, "kept")
	var ends [total]atomic.Int32
	var kept [total]atomic.Uint64
	var over atomic.Int32
	var all sync.WaitGroup
	for w := range writers {
		all.Go(func() {
			for i := w; i < total; i += writers {
				ctx, cancel := context.WithCancel(context.Background())
				if i%9 == 0 { // some don't wait for long
					time.AfterFunc(time.Duration(i%5)*time.Millisecond, cancel)
				}
				told := func(receipt Receipt, err error) {
					cancel()
					ends[i].Add(1)
					over.Add(1)
					kept[i].Store(receipt.Sequence)
				}
				if err := r.PublishAsync(ctx, Message{Data: fmt.Append(nil, i)}, told); err != nil {
					told(Receipt{}, err)
				}
			}
		})
	}
	for range 10 {
		from := over.Load()
		natstest.Within(t, natstest.Patience, "some end", func() bool { return over.Load() > min(from+total/20, total-1) })
		link.Cut()
		natstest.Within(t, natstest.Patience, "the connection is lost", func() bool { return !c.nc.IsConnected() })
		link.Heal()
	}
	all.Wait()
	s.must(c.Flush(t.Context()))
	sub := s.client(s.bob, nil).mustRoom(t, "kept").mustSubscribe(t, FromSequence(1))
	mustPublish(t, r, "the end")
	at := map[string]uint64{}
	for at["the end"] == 0 {
		ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
		m, err := sub.Next(ctx)
		cancel()
		s.must(err)
		if at[string(m.Data)] > 0 {
			t.Errorf("%s is kept twice", m.Data)
		}
		at[string(m.Data)] = m.Sequence
	}
	acked := 0
	for i := range total {
		sequence := kept[i].Load()
		if n := ends[i].Load(); n != 1 {
			t.Errorf("of message %d the last was told %d times", i, n)
		}
		if sequence > 0 && at[fmt.Sprint(i)] != sequence {
			t.Errorf("message %d is acknowledged at %d, and kept at %d", i, sequence, at[fmt.Sprint(i)])
		}
		if sequence > 0 {
			acked++
		}
	}
	t.Logf("%d of %d are acknowledged", acked, total)
}

// BenchmarkAppend is what a message costs that goes into a history, many being on their way.
func BenchmarkAppend(b *testing.B) {
	s := mustScene(b, 1)
	r := s.client(s.ann, func(o *Options) { o.MaxPending = 256 }).mustRoom(b, "kept")
	m := Message{Data: make([]byte, 128)}
	b.ReportAllocs()
	for b.Loop() {
		s.must(r.PublishAsync(b.Context(), m, func(_ Receipt, err error) {
			if err != nil {
				b.Error(err)
			}
		}))
	}
	s.must(r.c.Flush(b.Context()))
}
