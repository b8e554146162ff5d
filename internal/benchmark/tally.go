// SPDX-License-Identifier: Apache-2.0

package benchmark

import (
	"context"
	"errors"
	"fmt"
	"math/bits"
	"sync"
	"sync/atomic"
	"time"

	"github.com/unibus/unibus/api/client"
)

// Result is what was measured of one part.
type Result struct {
	What string `json:"what"`
	// Kept says whether the room keeps history.
	Kept bool `json:"kept"`
	// Clients is how many connections took part, Size that of a message's body in bytes, Pending how many messages of a client may have
	// been on their way.
	Clients int `json:"clients"`
	Size    int `json:"size,omitempty"`
	Pending int `json:"pending,omitempty"`
	// Messages were done, Errors are what did not become of messages. FirstError is the first of these.
	Messages   uint64 `json:"messages"`
	Errors     uint64 `json:"errors"`
	FirstError string `json:"firstError,omitempty"`
	// Seconds is from the beginning to the last message, Rate is messages a second, and Megabytes is millions of bytes of bodies a second.
	Seconds   float64 `json:"seconds"`
	Rate      float64 `json:"rate"`
	Megabytes float64 `json:"megabytesPerSecond"`
	// Latency is that of a message: until it is acknowledged, heard or answered; of history, that of a page. There is none where nothing is
	// waited for.
	Latency *Latency `json:"latency,omitempty"`
}

// Latency is in seconds: that of half of the messages is at most P50, and so on. But for Max it is right to a sixteenth.
type Latency struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
	Max float64 `json:"max"`
}

// tally counts what becomes of the messages of one part.
type tally struct {
	r     *run
	is    Result // what is known before
	began time.Time
	of    uint64 // how many there are to be, 0 if that is open

	messages, bytes, errors atomic.Uint64
	last                    atomic.Int64 // when the last was counted, in nanoseconds from the beginning
	times                   histogram
	once                    sync.Once
	first                   string
}

// done counts messages. A zero time stands for no latency.
func (t *tally) done(n uint64, size int, sent time.Time) {
	now := time.Now()
	t.messages.Add(n)
	t.bytes.Add(uint64(size))
	t.last.Store(now.Sub(t.began).Nanoseconds()) // of two at the same time either will do
	if !sent.IsZero() {
		t.times.add(now.Sub(sent))
	}
}

// failed counts messages that came to nothing. What would come again ends the run.
func (t *tally) failed(n uint64, err error) {
	t.errors.Add(n)
	t.once.Do(func() { t.first = err.Error() })
	switch {
	case errors.Is(err, client.ErrRate):
		t.r.rated.Store(true)
	case errors.Is(err, client.ErrUnavailable), errors.Is(err, client.ErrAnswer), errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled),
		errors.Is(err, errLost):
	default:
		t.r.fail(err)
	}
}

// lost counts those of so many of which nothing is known when nothing is waited for any more.
func (t *tally) lost(of uint64) {
	if known := t.messages.Load() + t.errors.Load(); known < of {
		t.failed(of-known, errLost)
	}
}

func (t *tally) result() Result {
	t.once.Do(func() {}) // what comes too late changes nothing any more
	out := t.is
	out.Messages, out.Errors, out.FirstError = t.messages.Load(), t.errors.Load(), t.first
	if out.Seconds = time.Duration(t.last.Load()).Seconds(); out.Seconds > 0 {
		out.Rate, out.Megabytes = float64(out.Messages)/out.Seconds, float64(t.bytes.Load())/1e6/out.Seconds
	}
	if t.times.total() > 0 {
		out.Latency = &Latency{P50: t.times.quantile(0.5), P99: t.times.quantile(0.99), Max: time.Duration(t.times.max.Load()).Seconds()}
	}
	return out
}

// telling tells how far a tally is, until stop is called.
func (t *tally) telling() (stop func()) {
	ctx, cancel := context.WithCancel(t.r.ctx)
	over := make(chan struct{})
	go func() {
		defer close(over)
		tick := time.NewTicker(tellEvery)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
			}
			n, of := t.messages.Load(), ""
			if t.of > 0 {
				of = fmt.Sprintf(" of %d", t.of)
			}
			t.r.Tell(fmt.Sprintf("%s: %d%s messages, %.0f a second, %d errors", t.is.What, n, of, float64(n)/time.Since(t.began).Seconds(), t.errors.Load()))
		}
	}()
	return func() { cancel(); <-over }
}

// histogram counts times, in sixteen steps for each power of two of nanoseconds.
type histogram struct {
	counts [64 * steps]atomic.Uint64
	max    atomic.Int64
}

const steps = 16

func (h *histogram) add(d time.Duration) {
	d = max(d, steps)
	power := bits.Len64(uint64(d)) - 1
	h.counts[power*steps+int(d>>(power-4))%steps].Add(1)
	for was := h.max.Load(); int64(d) > was && !h.max.CompareAndSwap(was, int64(d)); was = h.max.Load() {
	}
}

func (h *histogram) total() (n uint64) {
	for i := range h.counts {
		n += h.counts[i].Load()
	}
	return n
}

// quantile is a time in seconds that a part q of all times is not above, but for a sixteenth.
func (h *histogram) quantile(q float64) float64 {
	left := q * float64(h.total())
	for i := range h.counts {
		if left -= float64(h.counts[i].Load()); left <= 0 {
			upper := uint64(steps+i%steps+1) << (i/steps - 4)
			return time.Duration(min(upper, uint64(h.max.Load()))).Seconds()
		}
	}
	return 0
}
