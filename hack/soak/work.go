// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/e2e/crowd"
	"github.com/unibus/unibus/internal/e2e/load"
)

// streamBytes is room for everything that a cluster is ever written.
const streamBytes = 256 << 20

// strayPrefix begins the names of streams that live for one round.
const strayPrefix = "STRAY_"

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

// streams are all that have to be in sync.
func (s *soak) streams() []load.Stream {
	var all []load.Stream
	for _, w := range s.work {
		all = append(all, w.stream)
	}
	if s.crowd != nil {
		all = append(all, load.Stream{Name: v1.HistoryStream(crowd.Class)})
	}
	return all
}

// connector returns connections to one member after another.
func (s *soak) connector() func() (*nats.Conn, error) {
	next := 0
	return func() (*nats.Conn, error) {
		next++
		return s.bus.Connect(account, (next-1)%max(s.size, 1))
	}
}

// spread has writers and readers connect anew, to all members alike. Else all stay where they went while the founder was alone, which
// never leaves, and nobody feels what it is like when one's node goes.
func (s *soak) spread() error {
	if s.crowd != nil {
		s.crowd.Spread()
	}
	if s.library != nil {
		s.library.spread()
	}
	writers, readers := s.connector(), s.connector()
	for _, w := range s.work {
		if w.writers != nil {
			if err := w.writers.Reconnect(writers); err != nil {
				return err
			}
		}
		if w.readers != nil {
			if err := w.readers.Reconnect(readers); err != nil {
				return err
			}
		}
	}
	return nil
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
	return s.employ(ctx, load.Stream{Name: fmt.Sprint(strayPrefix, round)})
}

// dismiss ends the work on streams that were made within the round, and deletes them: they were verified.
func (s *soak) dismiss(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Deadline)
	defer cancel()
	nc, err := s.bus.Connect(account, 0)
	if err != nil {
		return err
	}
	defer nc.Close()
	for _, w := range s.work {
		if !strings.HasPrefix(w.stream.Name, strayPrefix) {
			continue
		}
		s.halt(w)
		if _, err := s.readBack(ctx, nc, w); err != nil { // what was written since
			return err
		}
		if err := s.intact(); err != nil {
			return err
		}
		err := s.until(ctx, "stream "+w.stream.Name+" to be deleted", func() string {
			if err := w.stream.Delete(nc); err != nil {
				return err.Error()
			}
			return ""
		})
		if err != nil {
			return err
		}
		s.ledger.Forget(w.stream.Name)
	}
	s.work = slices.DeleteFunc(s.work, func(w *work) bool { return strings.HasPrefix(w.stream.Name, strayPrefix) })
	return nil
}

// rest halts all writers and readers.
func (s *soak) rest() {
	for _, w := range s.work {
		s.halt(w)
	}
}

func (s *soak) halt(w *work) {
	if w.writers != nil {
		w.writers.Halt()
		w.writers = nil
	}
	if w.readers != nil {
		r := w.readers.Halt()
		w.readers = nil
		s.reads.Total += r.Total
		s.reads.Direct += r.Direct
		s.reads.StaleDirect += r.StaleDirect
		s.reads.StaleLeader += r.StaleLeader
		s.reads.OldestStale = max(s.reads.OldestStale, r.OldestStale)
		s.reads.Followed += r.Followed
		s.reads.Rewound += r.Rewound
	}
}
