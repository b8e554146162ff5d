// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

// Reads is what readers have seen.
type Reads struct {
	// Total is the number of answered reads, Direct that of those any replica answers.
	Total, Direct int
	// StaleDirect counts reads of an acknowledged write that a replica did not have yet, StaleLeader those that the
	// stream's leader (or who held itself for it) did not have.
	StaleDirect, StaleLeader int
	// OldestStale is the greatest age, at its reading, of a write that was missed.
	OldestStale time.Duration
	// Followed is the number of messages that the following reader was given; Rewound how often a sequence came that was
	// not greater than the last one.
	Followed, Rewound int
}

// Readers read one stream while it is written: some ask for what was just acknowledged, one follows the stream.
type Readers struct {
	ledger *Ledger
	stream Stream
	stop   context.CancelFunc
	done   sync.WaitGroup
	conn   atomic.Pointer[nats.Conn]
	note   func(string)

	mu   sync.Mutex
	seen Reads
}

// ReaderConfig is what Read needs.
type ReaderConfig struct {
	Ledger *Ledger
	Stream Stream
	// Pause is the time between two reads.
	Pause time.Duration
	// Connect makes a connection in the stream's account.
	Connect func() (*nats.Conn, error)
	// Note is told of each acknowledged write that a reading misses; nil for nobody.
	Note func(string)
}

// Read sets readers to work until Halt.
func Read(c ReaderConfig) (*Readers, error) {
	nc, err := c.Connect()
	if err != nil {
		return nil, fmt.Errorf("connect reader of %s: %w", c.Stream.Name, err)
	}
	ctx, stop := context.WithCancel(context.Background())
	r := &Readers{ledger: c.Ledger, stream: c.Stream, stop: stop, note: c.Note}
	r.conn.Store(nc)
	if r.note == nil {
		r.note = func(string) {}
	}
	r.done.Go(func() { r.look(ctx, c.Pause) })
	r.done.Go(func() { r.follow(ctx) })
	return r, nil
}

// Halt stops the readers and returns what they saw.
func (r *Readers) Halt() Reads {
	r.stop()
	r.done.Wait()
	r.conn.Load().Close()
	return r.seen
}

// Reconnect gives the readers another connection. What they ask meanwhile is not answered, and is asked again.
func (r *Readers) Reconnect(connect func() (*nats.Conn, error)) error {
	nc, err := connect()
	if err != nil {
		return fmt.Errorf("reconnect reader of %s: %w", r.stream.Name, err)
	}
	r.conn.Swap(nc).Close()
	return nil
}

// look reads what was just acknowledged, or anything older, from the leader and, of buckets, from any replica.
func (r *Readers) look(ctx context.Context, pause time.Duration) {
	for i := 0; sleep(ctx, pause); i++ {
		e, ok := r.ledger.pick(r.stream.Name, rand.IntN, i%4 == 3)
		if !ok {
			continue
		}
		direct := r.stream.isBucket() && i%2 == 0
		asked := time.Now()
		found, err := r.ask(ctx, e, direct)
		if err != nil {
			if i%patience == 0 && (errors.Is(err, nats.ErrTimeout) || errors.Is(err, context.DeadlineExceeded)) {
				_ = r.conn.Load().ForceReconnect()
			}
			continue
		}
		r.mu.Lock()
		r.seen.Total++
		if direct {
			r.seen.Direct++
		}
		if !found {
			r.seen.OldestStale = max(r.seen.OldestStale, asked.Sub(e.at))
			if direct {
				r.seen.StaleDirect++
			} else {
				r.seen.StaleLeader++
			}
		}
		r.mu.Unlock()
		if !found {
			r.again(ctx, e, asked, direct)
		}
	}
}

// again asks the leader until a missed write is there, and says how long that took. Whether it is lost is not decided here.
func (r *Readers) again(ctx context.Context, e entry, asked time.Time, direct bool) {
	who := "who held itself for the leader"
	if direct {
		who = "a replica"
	}
	first := fmt.Sprintf("%s of %s, acknowledged %v before, was missed by %s through %s",
		id(e.writer, e.n), r.stream.Name, asked.Sub(e.at).Round(time.Millisecond), who, r.conn.Load().ConnectedServerName())
	for n := 1; time.Since(asked) < 30*time.Second; n++ {
		if found, err := r.ask(ctx, e, false); err == nil && found {
			r.note(fmt.Sprintf("stale read: %s; the leader had it %v later, in reading %d", first, time.Since(asked).Round(time.Millisecond), n+1))
			return
		}
		if !sleep(ctx, 200*time.Millisecond) {
			return
		}
	}
	r.note(fmt.Sprintf("missing for 30 s: %s; the verification will judge", first))
}

// ask reads one write by its sequence. found is false only when an answer says that there is no such message.
func (r *Readers) ask(ctx context.Context, e entry, direct bool) (found bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	request, err := json.Marshal(map[string]uint64{"seq": e.seq})
	if err != nil {
		return false, fmt.Errorf("encode request: %w", err)
	}
	if !direct {
		m, err := r.conn.Load().RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+r.stream.Name, request)
		if err != nil {
			return false, fmt.Errorf("read %d: %w", e.seq, err)
		}
		name, ok, err := stored(m)
		return ok && name == id(e.writer, e.n), err
	}
	m, err := r.conn.Load().RequestWithContext(ctx, "$JS.API.DIRECT.GET."+r.stream.Name, request)
	if err != nil {
		return false, fmt.Errorf("direct read %d: %w", e.seq, err)
	}
	switch m.Header.Get("Status") {
	case "":
		return identify(m.Header, m.Data) == id(e.writer, e.n), nil
	case "404":
		return false, nil
	}
	return false, fmt.Errorf("direct read %d: status %s", e.seq, m.Header.Get("Status"))
}

// follow reads the stream from its beginning as it grows, through a consumer that is made anew when its server is lost.
func (r *Readers) follow(ctx context.Context) {
	var last uint64
	for ctx.Err() == nil {
		err := r.followOnce(ctx, &last)
		if err != nil && !errors.Is(err, context.Canceled) {
			sleep(ctx, 500*time.Millisecond)
		}
	}
}

func (r *Readers) followOnce(ctx context.Context, last *uint64) error {
	js, err := jetstream.New(r.conn.Load())
	if err != nil {
		return fmt.Errorf("JetStream context: %w", err)
	}
	// The library's own attempts don't know ctx, and by default never end where the stream is gone.
	c, err := js.OrderedConsumer(ctx, r.stream.Name, jetstream.OrderedConsumerConfig{
		OptStartSeq: *last + 1, DeliverPolicy: jetstream.DeliverByStartSequencePolicy, MaxResetAttempts: 1,
	})
	if err != nil {
		return fmt.Errorf("make consumer: %w", err)
	}
	for ctx.Err() == nil {
		b, err := c.Fetch(200, jetstream.FetchMaxWait(time.Second))
		if err != nil {
			return fmt.Errorf("fetch: %w", err)
		}
		for m := range b.Messages() {
			meta, err := m.Metadata()
			if err != nil {
				return fmt.Errorf("message without metadata: %w", err)
			}
			r.mu.Lock()
			r.seen.Followed++
			if meta.Sequence.Stream <= *last {
				r.seen.Rewound++
			}
			r.mu.Unlock()
			*last = max(*last, meta.Sequence.Stream)
		}
		if err := b.Error(); err != nil && !errors.Is(err, nats.ErrTimeout) {
			return fmt.Errorf("fetch: %w", err)
		}
	}
	return ctx.Err()
}
