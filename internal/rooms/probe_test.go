// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/unibus/unibus/internal/embeddednats"
)

// TestProbes counts the appends that are acknowledged by way of the service.
func TestProbes(t *testing.T) {
	const appends = 3 * probeEvery
	for name, c := range map[string]struct {
		pause  time.Duration // between two appends, by the service's clock
		change func(*Config)
		want   int64
	}{
		"one after the other": {0, nil, 3},
		"on their own":        {probeAfter + time.Millisecond, nil, appends},
		"of another's client": {0, func(c *Config) { c.Map = nil }, appends},
	} {
		t.Run(name, func(t *testing.T) {
			var now, probes atomic.Int64
			now.Store(time.Now().UnixNano())
			b := newBus(t, 1, smallClass(), func(cfg *Config) {
				cfg.Now = func() time.Time { return time.Unix(0, now.Load()) }
				if c.change != nil {
					c.change(cfg)
				}
			})
			nc := b.nodes[0].MustConnect(t, embeddednats.AccountHistory)
			if _, err := nc.Subscribe(b.services[0].acks+"*", func(*nats.Msg) { probes.Add(1) }); err != nil {
				t.Fatal(err)
			}
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
			a := b.client(alice)
			for range appends {
				a.mustAppend(red, "x")
				now.Add(int64(c.pause))
			}
			b.within("the last probe to be counted", func() bool { return probes.Load() >= c.want })
			if n := b.services[0].Counts().InFlight; n != 0 || probes.Load() != c.want {
				t.Errorf("%d probes of %d appends, %d in flight, want %d and none", probes.Load(), appends, n, c.want)
			}
		})
	}
}
