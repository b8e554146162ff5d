// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"fmt"
	"maps"
	"slices"
)

// entry is a message of a room's history. id is the sender's key and the id that it gave.
type entry struct {
	sequence uint64
	id       string
}

func (e entry) String() string { return fmt.Sprintf("%s at %d", e.id, e.sequence) }

// verdict says what is wrong with a history.
type verdict struct{ lost, twice, wrong []string }

// audit judges the whole history of a room by what was answered for before it was read: id and sequence.
func audit(acked map[string]uint64, history []entry) (v verdict) {
	at := make(map[string]uint64, len(history))
	last := uint64(0)
	for _, e := range history {
		if e.sequence <= last {
			v.wrong = append(v.wrong, fmt.Sprintf("%v comes after %d", e, last))
		}
		last = e.sequence
		if before, there := at[e.id]; there {
			v.twice = append(v.twice, fmt.Sprintf("%v and at %d", e, before))
			continue
		}
		at[e.id] = e.sequence
	}
	for _, id := range slices.Sorted(maps.Keys(acked)) {
		switch got, there := at[id]; {
		case !there:
			v.lost = append(v.lost, fmt.Sprintf("%s, answered with %d", id, acked[id]))
		case got != acked[id]:
			v.wrong = append(v.wrong, fmt.Sprintf("%s, answered with %d, is at %d", id, acked[id], got))
		}
	}
	return v
}

// chain is what one who follows log.<room> has: each message names the one before it, and what did not come is read from the history.
type chain struct {
	began       bool
	first, last uint64 // it has all after first up to last
	have        []entry
	filled      int // of them from the history
	wrong       []string
}

// take takes a message of the log. It returns false when the history must be read after last and up to previous, and the message be taken
// again. One that came before is passed over: who takes over the stream's lead may tell again what the one before told.
func (c *chain) take(e entry, previous uint64) bool {
	if !c.began { // whoever begins to follow has nothing before that
		c.began, c.first, c.last = true, previous, previous
	}
	switch {
	case e.sequence <= c.last:
	case previous > c.last:
		return false
	case previous < c.last:
		c.wrong = append(c.wrong, fmt.Sprintf("%v says that %d was before it, which was %d", e, previous, c.last))
		fallthrough
	default:
		c.have, c.last = append(c.have, e), e.sequence
	}
	return true
}

// fill takes messages of the history.
func (c *chain) fill(page []entry) {
	for _, e := range page {
		if c.began && e.sequence > c.last {
			c.have, c.last, c.filled = append(c.have, e), e.sequence, c.filled+1
		}
	}
}

// compare judges a chain by the whole history, which was read after it.
func (c *chain) compare(history []entry) (v verdict) {
	v.wrong = c.wrong
	want := map[entry]bool{}
	for _, e := range history {
		if e.sequence > c.first && e.sequence <= c.last {
			want[e] = true
		}
	}
	seen := map[string]bool{}
	for _, e := range c.have {
		if seen[e.id] {
			v.twice = append(v.twice, e.String())
		} else if !want[e] {
			v.wrong = append(v.wrong, fmt.Sprintf("%v is not in the history", e))
		}
		seen[e.id] = true
		delete(want, e)
	}
	for e := range want {
		v.lost = append(v.lost, e.String())
	}
	slices.Sort(v.lost)
	return v
}
