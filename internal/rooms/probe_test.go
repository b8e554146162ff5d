// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"sync"
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
		"not alone":           {0, func(c *Config) { c.Alone = nil }, 3},
		"of another's client": {0, func(c *Config) { c.Map, c.Alone = nil, nil }, appends},
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

// A lone node maps nothing; when others come it does, and no longer when they have gone or it serves no more.
func TestMapsForOthersOnly(t *testing.T) {
	var others atomic.Bool
	var mapped sync.Map
	b := newBus(t, 1, smallClass(), func(c *Config) {
		mapping := c.Map
		c.Alone = func() bool { return !others.Load() }
		c.Map = func(from, to string) error {
			if mapped.Store(from, to); to == "" {
				mapped.Delete(from)
			}
			return mapping(from, to)
		}
	})
	a := b.client(alice)
	expect := func(when string, want int) {
		t.Helper()
		b.within(when, func() bool {
			n := 0
			mapped.Range(func(any, any) bool { n++; return true })
			return n == want
		})
	}
	for range 2 {
		expect("alone: nothing is mapped", 0)
		a.mustAppend(red, "alone")
		others.Store(true)
		expect("with others: appends and history are", 2)
		a.mustAppend(red, "with others")
		others.Store(false)
	}
	others.Store(true)
	expect("with others again: appends and history are", 2)
	b.stops[0]()
	expect("served no more: nothing is mapped", 0)
}
