// SPDX-License-Identifier: Apache-2.0

package benchmark

import (
	"context"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestQuantiles: a quantile is right to a sixteenth, whatever the times are.
func TestQuantiles(t *testing.T) {
	var h histogram
	var all []time.Duration
	random := rand.New(rand.NewPCG(1, 2))
	for range 10_000 {
		d := time.Duration(16 + random.Int64N(1<<random.IntN(40)))
		h.add(d)
		all = append(all, d)
	}
	slices.Sort(all)
	if h.total() != 10_000 || h.max.Load() != int64(all[9999]) {
		t.Errorf("%d times, at most %d, want %d", h.total(), h.max.Load(), all[9999])
	}
	for _, q := range []float64{0.01, 0.5, 0.99, 1} {
		want := all[int(q*10_000)-1].Seconds()
		if got := h.quantile(q); got < want || got > want*17/16+1e-9 {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	h.add(-time.Second) // of a clock that was set
	h.add(1<<63 - 1)
	if got := h.quantile(1); got != time.Duration(1<<63-1).Seconds() {
		t.Errorf("the longest time there is: %v", got)
	}
}

// TestClaims: no message is said twice or left out, and none is begun when it is over.
func TestClaims(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	r := &run{Config: Config{Messages: 10}, ctx: ctx}
	var got []uint64
	for first, n := r.claim(4); n > 0; first, n = r.claim(4) {
		got = append(got, first, n)
	}
	if want := []uint64{1, 4, 5, 4, 9, 2}; !slices.Equal(got, want) {
		t.Errorf("claimed %v, want %v", got, want)
	}
	r.Messages = 0
	if first, n := r.claim(4); first != 11 || n != 4 {
		t.Errorf("without an end: %d from %d", n, first)
	}
	cancel()
	if _, n := r.claim(1); n != 0 {
		t.Error("a message is begun when it is over")
	}
}

func TestIDs(t *testing.T) {
	r := &run{prefix: IDPrefix + "a-", epoch: time.Now()}
	n, sent, ok := r.mine(r.id(7))
	if n != 7 || !ok || sent.Before(r.epoch) {
		t.Errorf("%d, %v, %v", n, sent, ok)
	}
	for _, id := range []string{"", "bench-b-7-1", "bench-a-7", "bench-a-7-", "bench-a-x-1", "bench-a-7-1-1"} {
		if _, _, ok := r.mine(id); ok {
			t.Errorf("%q is taken for an own one", id)
		}
	}
}
