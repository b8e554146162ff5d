// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go/jetstream"
)

// attempt is how long a writer waits for an acknowledgement before it sends the same write again.
const attempt = 250 * time.Millisecond

// writers write to one stream without a pause, each on a connection of its own, and note when each write was
// acknowledged. A write keeps its message id over all its attempts.
type writers struct {
	rest  atomic.Int64 // between two writes of one writer, in nanoseconds
	mu    sync.Mutex
	acks  []time.Time
	ids   []string // of the same writes
	stop  context.CancelFunc
	group sync.WaitGroup
}

// startWriters starts count writers that rest between two writes.
func startWriters(ctx context.Context, b *bus, stream string, count int, rest time.Duration) (*writers, error) {
	ctx, cancel := context.WithCancel(ctx)
	w, set := &writers{stop: cancel}, sets.Add(1)
	w.rest.Store(int64(rest))
	for i := range count {
		nc, js, err := b.jetStream()
		if err != nil {
			w.halt()
			return nil, err
		}
		w.group.Go(func() {
			defer nc.Close()
			for n := 0; ctx.Err() == nil; n++ {
				w.write(ctx, js, stream, fmt.Sprintf("%d-%d-%d-%d", begun.UnixNano(), set, i, n))
				pause(ctx, time.Duration(w.rest.Load()))
			}
		})
	}
	return w, nil
}

var (
	begun = time.Now()
	sets  atomic.Int64 // of writers, which have message ids of their own
)

func (w *writers) write(ctx context.Context, js jetstream.JetStream, stream, id string) {
	for ctx.Err() == nil {
		once, cancel := context.WithTimeout(ctx, attempt)
		_, err := js.Publish(once, stream+".w", payload, jetstream.WithMsgID(id), jetstream.WithRetryAttempts(0))
		cancel()
		if err == nil {
			w.mu.Lock()
			w.acks, w.ids = append(w.acks, time.Now()), append(w.ids, id)
			w.mu.Unlock()
			return
		}
		pause(ctx, 5*time.Millisecond) // it may have been refused at once
	}
}

// halt stops the writers and waits for them.
func (w *writers) halt() {
	w.stop()
	w.group.Wait()
}

// since returns the acknowledgements after a time.
func (w *writers) since(t time.Time) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	i := len(w.acks)
	for i > 0 && w.acks[i-1].After(t) {
		i--
	}
	return append([]time.Time(nil), w.acks[i:]...)
}

// gap returns the longest time without an acknowledgement after from, the one that goes on now included.
func (w *writers) gap(from time.Time) time.Duration {
	longest, last := time.Duration(0), from
	for _, t := range append(w.since(from), time.Now()) {
		longest, last = max(longest, t.Sub(last)), t
	}
	return longest
}

// steady waits until the last second, all of it after the fault, had no gap of 100 ms.
func (w *writers) steady(ctx context.Context, fault time.Time) error {
	return until(ctx, "writes go on", 2*time.Minute, 50*time.Millisecond, func() bool {
		from := time.Now().Add(-time.Second)
		return from.After(fault) && w.gap(from) < 100*time.Millisecond
	})
}
