// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"slices"
	"sync"
	"time"
)

// Level is what a user may do in a room. In the room without an id, which is the bus, Read is to be on the allowlist.
type Level int

// Levels, rising.
const (
	None Level = iota
	Read
	Write
)

// Bounds are how long after the answer to a change some node may still go by what was before.
type Bounds struct {
	// Always is what holds whatever befalls the cluster: the time after which a node that is cut off drops its users, and some more for
	// the machine.
	Always time.Duration
	// Calm holds where nothing has been done to the cluster since the answer.
	Calm time.Duration
}

// Pair is a user, by its key, and a room, by its id.
type Pair struct{ User, Room string }

type change struct {
	level            Level
	called, answered time.Time // answered is zero until it was
}

// span is a time; to is zero while it lasts.
type span struct{ from, to time.Time }

func (s span) covers(from, to time.Time) bool {
	return !s.from.IsZero() && !s.from.After(from) && (s.to.IsZero() || !s.to.Before(to))
}

// Model is who may do what when. Nobody may anything before the first change. It may be used by many goroutines.
type Model struct {
	bounds Bounds

	mu      sync.Mutex
	changes map[Pair][]*change
	calm    []span
}

// NewModel returns a model in which nobody may anything.
func NewModel(b Bounds) *Model { return &Model{bounds: b, changes: map[Pair][]*change{}} }

// Call notes that pairs are about to get a level; call the returned function when that is answered. Until then it may have been done
// or not. The changes of a pair are called one after the other.
func (m *Model) Call(at time.Time, level Level, pairs ...Pair) (answered func(at time.Time)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	c := &change{level: level, called: at}
	for _, p := range pairs {
		m.changes[p] = append(m.changes[p], c)
	}
	return func(at time.Time) {
		m.mu.Lock()
		defer m.mu.Unlock()
		c.answered = at
	}
}

// Calm begins a time in which nothing is done to the cluster; call the returned function when it ends.
func (m *Model) Calm(at time.Time) (end func(at time.Time)) {
	m.mu.Lock()
	defer m.mu.Unlock()
	i := len(m.calm)
	m.calm = append(m.calm, span{from: at})
	return func(at time.Time) {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.calm[i].to = at
	}
}

// isCalm says whether a moment is in a calm time.
func (m *Model) isCalm(at time.Time) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.ContainsFunc(m.calm, func(s span) bool { return s.covers(at, at) })
}

// settled is when every node goes by a change.
func (m *Model) settled(c *change) (at time.Time, ok bool) {
	if c.answered.IsZero() {
		return at, false
	}
	calm := c.answered.Add(m.bounds.Calm)
	for _, s := range m.calm {
		if s.covers(c.answered, calm) {
			return calm, true
		}
	}
	return c.answered.Add(m.bounds.Always), true
}

// May returns the least and the most that some node may have let a pair do at some moment of a time that is past.
func (m *Model) May(p Pair, from, to time.Time) (least, most Level) {
	m.mu.Lock()
	defer m.mu.Unlock()
	least, most = Write, None
	also := func(l Level) { least, most = min(least, l), max(most, l) }
	all := m.changes[p]
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].called.After(to) {
			continue
		}
		also(all[i].level)
		if at, ok := m.settled(all[i]); ok && !at.After(from) {
			return least, most // what was before is past
		}
	}
	also(None)
	return least, most
}

// Now is the level that was called for last.
func (m *Model) Now(p Pair) Level {
	m.mu.Lock()
	defer m.mu.Unlock()
	if all := m.changes[p]; len(all) > 0 {
		return all[len(all)-1].level
	}
	return None
}
