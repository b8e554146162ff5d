// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"strconv"
	"sync"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
)

// reader follows the room of the library from its first message on.
type reader struct {
	*guest
	stays bool // in one connection
	pages bool // reads the history instead of following

	mu     sync.Mutex
	last   uint64                        // sequence of the newest
	got    map[*scribe]map[uint64]uint64 // sequence of each number
	newest map[*scribe]uint64            // number
}

func (r *reader) read(ctx context.Context, room *client.Room) error {
	r.mu.Lock()
	from := r.last + 1
	r.mu.Unlock()
	if r.pages {
		return r.leaf(ctx, room, from)
	}
	return r.follow(ctx, room, from)
}

// leaf reads page after page, each from where the one before says that the next begins.
func (r *reader) leaf(ctx context.Context, room *client.Room, from uint64) error {
	for !r.move.Load() {
		page, end, err := room.History(ctx, v1.HistoryRequest{From: from, Limit: 1 + rand.IntN(100)})
		if err != nil {
			return err
		}
		for _, m := range page {
			r.take(m)
		}
		if n := len(page); n > 0 && end.Next <= page[n-1].Sequence {
			r.wrong("%s is told that the page after %d begins at %d", r.name, page[n-1].Sequence, end.Next)
			return nil
		}
		if from = max(from, end.Next); !end.More && !sleep(ctx, r.pause) {
			return ctx.Err()
		}
	}
	return nil
}

func (r *reader) follow(ctx context.Context, room *client.Room, from uint64) error {
	s, err := room.Subscribe(ctx, client.FromSequence(from))
	if err != nil {
		return err
	}
	defer s.Close()
	for r.stays || !r.move.Load() {
		m, err := s.Next(ctx)
		if err != nil {
			return err
		}
		r.take(m)
	}
	return nil
}

// take judges a message: each comes once and in order, and those of who waits for each in the order of their numbers.
func (r *reader) take(m client.Message) {
	number, err := strconv.ParseUint(string(m.Data), 10, 64)
	var by *scribe
	for _, w := range r.writers {
		if w.key == m.Sender {
			by = w
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if by == nil || err != nil {
		r.wrong("%s was given %q of %s at %d", r.name, m.Data, m.Sender, m.Sequence)
		return
	}
	if m.Sequence <= r.last {
		r.wrong("%s was given number %d of %s at %d after %d", r.name, number, by.name, m.Sequence, r.last)
	}
	r.last = max(r.last, m.Sequence)
	if at, twice := r.got[by][number]; twice {
		r.count(&r.found.Duplicated, "DUPLICATED: %s was given number %d of %s at %d and at %d", r.name, number, by.name, at, m.Sequence)
	} else if !by.ahead && number < r.newest[by] {
		r.wrong("%s was given number %d of %s after a later one", r.name, number, by.name)
	}
	r.got[by][number], r.newest[by] = m.Sequence, max(r.newest[by], number)
}

// compare tells of what was acknowledged and did not come, or elsewhere.
func (r *reader) compare(w *scribe, acked map[uint64]uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for number, sequence := range acked {
		switch at, there := r.got[w][number]; {
		case !there:
			r.count(&r.found.Lost, "LOST: %s was not given number %d of %s, which is acknowledged at %d", r.name, number, w.name, sequence)
		case at != sequence:
			r.wrong("%s was given number %d of %s at %d, and it was acknowledged at %d", r.name, number, w.name, at, sequence)
		}
	}
}

// verify waits until all readers have what was acknowledged before, and judges it.
func (l *library) verify(ctx context.Context, s *soak) error {
	kept := l.findings().Kept
	acked, last := map[*scribe]map[uint64]uint64{}, uint64(0)
	err := s.until(ctx, "writers of the library to go on", func() string {
		if l.findings().Kept <= kept {
			return "nothing is acknowledged"
		}
		return ""
	})
	for _, w := range l.writers {
		w.mu.Lock()
		acked[w], last = maps.Clone(w.acked), max(last, w.last)
		w.mu.Unlock()
	}
	for _, r := range l.readers {
		if err != nil {
			return err
		}
		err = s.until(ctx, r.name+" of the library", func() string {
			r.mu.Lock()
			defer r.mu.Unlock()
			if r.last < last {
				return fmt.Sprintf("it is at %d, and %d is acknowledged", r.last, last)
			}
			return ""
		})
		for w, acks := range acked {
			r.compare(w, acks)
		}
	}
	s.say("  library: %d messages acknowledged, %d lost, %d duplicated", l.findings().Kept, l.findings().Lost, l.findings().Duplicated)
	return errors.Join(err, l.parlour.verify(ctx, s))
}
