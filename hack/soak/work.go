// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/unibus/unibus/internal/e2e/load"
)

// streamBytes is room for everything that a cluster is ever written.
const streamBytes = 256 << 20

// work is a stream with its writers and readers.
type work struct {
	stream  load.Stream
	writers *load.Writers // nil when they rest
	readers *load.Readers
	read    map[string]uint64 // up to where each replica was read back
}

// unread has the next verification read everything.
func (s *soak) unread() {
	for _, w := range s.work {
		w.read = map[string]uint64{}
	}
}

func (s *soak) streams() []load.Stream {
	var all []load.Stream
	for _, w := range s.work {
		all = append(all, w.stream)
	}
	return all
}

// connector returns connections that try another place first each time.
func (s *soak) connector() func() (*nats.Conn, error) {
	var next atomic.Int32
	return func() (*nats.Conn, error) { return s.bus.Connect(account, int(next.Add(1)-1)%max(s.size, 1)) }
}

// employ makes streams with one replica and sets writers and readers to work on them.
func (s *soak) employ(ctx context.Context, streams ...load.Stream) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Deadline)
	defer cancel()
	nc, err := s.bus.Connect(account, 0)
	if err != nil {
		return err
	}
	defer nc.Close()
	for _, st := range streams {
		err := s.until(ctx, "stream "+st.Name, func() string {
			ctx, cancel := context.WithTimeout(ctx, time.Second)
			defer cancel()
			if err := st.Create(ctx, nc, 1, streamBytes); err != nil {
				return err.Error()
			}
			return ""
		})
		if err != nil {
			return err
		}
		connect := s.connector()
		w := &work{stream: st, read: map[string]uint64{}}
		s.work = append(s.work, w)
		if w.writers, err = load.Start(load.WriterConfig{Ledger: s.ledger, Stream: st, Count: s.cfg.Writers, Pause: s.cfg.Pause, Connect: connect}); err != nil {
			return err
		}
		w.readers, err = load.Read(load.ReaderConfig{Ledger: s.ledger, Stream: st, Pause: 50 * time.Millisecond, Connect: connect,
			Note: func(n string) { s.say("    %s", n) }})
		if err != nil {
			return err
		}
	}
	return nil
}

// stray makes a stream with one replica, wherever JetStream puts it.
func (s *soak) stray(ctx context.Context, round int) error {
	return s.employ(ctx, load.Stream{Name: fmt.Sprint("STRAY_", round)})
}

// rest halts all writers and readers.
func (s *soak) rest() {
	for _, w := range s.work {
		if w.writers != nil {
			w.writers.Halt()
			w.writers = nil
		}
		if w.readers != nil {
			r := w.readers.Halt()
			w.readers = nil
			s.reads.Total += r.Total
			s.reads.StaleDirect += r.StaleDirect
			s.reads.StaleLeader += r.StaleLeader
			s.reads.OldestStale = max(s.reads.OldestStale, r.OldestStale)
			s.reads.Followed += r.Followed
			s.reads.Rewound += r.Rewound
		}
	}
}
