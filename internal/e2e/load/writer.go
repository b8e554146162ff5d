// SPDX-License-Identifier: Apache-2.0

package load

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
)

const (
	// attempt is how long one attempt waits. An attempt in flight while a leader moves may never be answered; a short one
	// and its repetition hide that.
	attempt = 250 * time.Millisecond
	// refusedPause is the wait after an attempt that was refused at once.
	refusedPause = 10 * time.Millisecond
	// patience is how many attempts in a row may fail before the writer tries another node: the one it is connected to may
	// be cut off from the others, which it can't know.
	patience = 6
)

// Writers write to one stream, each over a connection of its own.
type Writers struct {
	ledger *Ledger
	stream Stream
	stop   context.CancelFunc
	done   sync.WaitGroup
	next   []*atomic.Pointer[nats.Conn] // a connection that each writer is to take; nil when it has taken it
}

// WriterConfig is what Start needs.
type WriterConfig struct {
	Ledger *Ledger
	Stream Stream
	// Count is the number of writers.
	Count int
	// First is the number of the first of them: writers that follow others on a stream need numbers of their own.
	First int
	// Pause is the time between two writes of a writer.
	Pause time.Duration
	// Connect makes a connection in the stream's account.
	Connect func() (*nats.Conn, error)
}

// Start sets the writers to work until Halt.
func Start(c WriterConfig) (*Writers, error) {
	ctx, stop := context.WithCancel(context.Background())
	w := &Writers{ledger: c.Ledger, stream: c.Stream, stop: stop}
	for i := range c.Count {
		nc, err := c.Connect()
		if err != nil {
			w.Halt()
			return nil, fmt.Errorf("connect writer %d of %s: %w", i, c.Stream.Name, err)
		}
		next := &atomic.Pointer[nats.Conn]{}
		next.Store(nc)
		w.next = append(w.next, next)
		w.done.Go(func() { w.write(ctx, next, c.First+i, c.Pause) })
	}
	return w, nil
}

// Reconnect gives each writer another connection, which it takes between two attempts: none of its writes waits for that.
func (w *Writers) Reconnect(connect func() (*nats.Conn, error)) error {
	for i, next := range w.next {
		nc, err := connect()
		if err != nil {
			return fmt.Errorf("reconnect writer %d of %s: %w", i, w.stream.Name, err)
		}
		closeAny(next.Swap(nc))
	}
	return nil
}

func closeAny(nc *nats.Conn) {
	if nc != nil {
		nc.Close()
	}
}

// Halt stops the writers and returns when they have stopped. A write in flight then is nobody's: not acknowledged, not lost.
func (w *Writers) Halt() {
	w.stop()
	w.done.Wait()
	for _, next := range w.next {
		closeAny(next.Swap(nil))
	}
	w.ledger.Rest(w.stream.Name)
}

func (w *Writers) write(ctx context.Context, next *atomic.Pointer[nats.Conn], writer int, pause time.Duration) {
	var nc *nats.Conn
	defer func() { closeAny(nc) }()
	for n := 0; ; n++ {
		failed := 0
		for {
			if other := next.Swap(nil); other != nil {
				closeAny(nc)
				nc = other
			}
			seq, err := w.stream.put(ctx, nc, writer, n)
			if err == nil {
				w.ledger.record(w.stream.Name, writer, n, seq)
				break
			}
			if failed++; failed%patience == 0 {
				// Failing to reconnect is not an error here: the client goes on trying by itself.
				_ = nc.ForceReconnect()
			}
			if !sleep(ctx, refusedPause) {
				return
			}
		}
		if !sleep(ctx, pause) {
			return
		}
	}
}

// put makes one attempt at write n and returns the sequence that was acknowledged.
func (s Stream) put(ctx context.Context, nc *nats.Conn, writer, n int) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, attempt)
	defer cancel()
	m := nats.NewMsg(s.subject(writer, n))
	m.Header.Set(nats.MsgIdHdr, id(writer, n))
	m.Data = body(id(writer, n))
	r, err := nc.RequestMsgWithContext(ctx, m)
	if err != nil {
		return 0, fmt.Errorf("publish %s: %w", m.Subject, err)
	}
	var a struct {
		Error  *jetstream.APIError `json:"error"`
		Stream string              `json:"stream"`
		Seq    uint64              `json:"seq"`
	}
	if err := json.Unmarshal(r.Data, &a); err != nil {
		return 0, fmt.Errorf("publish %s: decode acknowledgement: %w", m.Subject, err)
	}
	if a.Error != nil {
		return 0, fmt.Errorf("publish %s: %w", m.Subject, a.Error)
	}
	if a.Stream != s.Name || a.Seq == 0 {
		return 0, fmt.Errorf("publish %s: acknowledged by stream %q with sequence %d", m.Subject, a.Stream, a.Seq)
	}
	return a.Seq, nil
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}
