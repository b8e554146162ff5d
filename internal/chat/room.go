// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
)

const (
	// mostShown is how much of a message is shown, in bytes.
	mostShown = 4 << 10
	// mostHeard is how many messages of a room are held. The oldest are let go of, and scrolling back reads them again; who has scrolled back so
	// far that what is read would be let go of goes no further, and hears the rest after coming back.
	mostHeard = 2000
)

type state int

const (
	said    state = iota
	pending       // not acknowledged yet
	failed
)

// entry is a message as it is shown.
type entry struct {
	id, sender string
	sequence   uint64
	at         time.Time
	lines      []string // nothing in them moves the cursor or colours the screen
	state      state
	trouble    string // why it failed
}

func newEntry(m client.Message, now time.Time) entry {
	e := entry{id: m.ID, sender: m.Sender, sequence: m.Sequence, at: m.Time}
	if e.at.IsZero() {
		e.at = now
	}
	text, rest := m.Data, 0
	if len(text) > mostShown {
		rest = len(text) - mostShown
		text = text[:mostShown]
		for len(text) > mostShown-utf8.UTFMax && !utf8.Valid(text) {
			text = text[:len(text)-1] // a rune was cut
		}
	}
	if !utf8.Valid(text) {
		e.lines = []string{fmt.Sprintf("(%s of data)", console.Count(uint64(len(m.Data)), "byte"))}
		return e
	}
	for line := range strings.SplitSeq(strings.TrimRight(string(text), "\r\n"), "\n") {
		e.lines = append(e.lines, console.Clean(strings.ReplaceAll(strings.TrimSuffix(line, "\r"), "\t", "    ")))
	}
	if rest > 0 {
		e.lines = append(e.lines, fmt.Sprintf("(and %s more)", console.Count(uint64(rest), "byte")))
	}
	return e
}

// room is what is known of one of the user's rooms.
type room struct {
	*client.Room
	heard     []entry          // in the order of sequences, where there are any
	outbox    []client.Message // not acknowledged; the first is on its way
	sent      time.Time        // since when it is
	back      []client.Message // could not be sent, to be given back
	own       []entry          // the user's own that were not heard yet: acknowledged, pending or failed
	members   []v1.MemberView
	asking    bool // for the members
	entered   bool // it was looked at
	following bool
	newest    uint64 // the highest sequence that was heard
	more      bool   // there may be older ones
	loading   bool
	scroll    int // how many lines from the end the window's end is
	unread    int
	trouble   string
}

// add takes in what was heard, and says whether it is new.
func (r *room) add(e entry, me string) bool {
	if e.sequence > 0 && e.sequence <= r.newest {
		return false
	}
	if e.sender == me && e.id != "" {
		if r.Class == "" && slices.ContainsFunc(r.heard, func(h entry) bool { return h.sender == me && h.id == e.id }) {
			return false // it was shown when a node took it
		}
		r.own = slices.DeleteFunc(r.own, func(o entry) bool { return o.id == e.id })
		r.back = slices.DeleteFunc(r.back, func(b client.Message) bool { return b.ID == e.id }) // it was taken after all
	}
	r.newest = max(r.newest, e.sequence)
	r.heard = append(r.heard, e)
	r.trim()
	return true
}

// full says whether no more can be held without letting go of what is read.
func (r *room) full() bool { return r.scroll > 0 && len(r.heard) >= mostHeard }

// trim lets go of the oldest.
func (r *room) trim() {
	if len(r.heard) > mostHeard && r.scroll == 0 {
		r.heard = slices.Clone(r.heard[len(r.heard)-mostHeard/2:])
		r.more = r.Kept()
	}
}

// prepend takes in older messages.
func (r *room) prepend(older []entry) {
	if len(r.heard) > 0 {
		first := r.heard[0].sequence
		older = slices.DeleteFunc(older, func(e entry) bool { return e.sequence >= first })
	}
	r.heard = append(older, r.heard...)
}

// acknowledged takes in what became of a message of the user's own.
func (r *room) acknowledged(id string, err error) {
	if len(r.outbox) > 0 && r.outbox[0].ID == id {
		if err != nil {
			r.back = append(r.back, r.outbox[0])
		}
		r.outbox = r.outbox[1:]
	}
	for i := range r.own {
		switch {
		case r.own[i].id != id:
		case err != nil:
			r.own[i].state, r.own[i].trouble = failed, console.Clean(err.Error())
		default:
			e := r.own[i]
			e.state = said
			if r.own[i] = e; !r.Kept() { // it may never be heard
				r.own = slices.Delete(r.own, i, i+1)
				r.heard = append(r.heard, e)
			}
			return
		}
	}
}

// oldest is the sequence of the first message that is held, 0 without any.
func (r *room) oldest() uint64 {
	if len(r.heard) == 0 {
		return 0
	}
	return r.heard[0].sequence
}
