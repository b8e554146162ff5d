// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"fmt"
	"sync"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// Findings are what was wrong.
type Findings struct {
	// Leaks are messages and answers that reached who may not have them, and what was taken from who may not give it.
	Leaks int
	// Refused counts what was refused to who may.
	Refused int
	// Lost are messages that were answered for, or sent in a calm time, and that somebody who may have them did not get; Duplicated
	// those that are in a history twice.
	Lost, Duplicated int
	// Wrong counts what is none of these: strange words, an order that is not one.
	Wrong int
	// Changes, Kept and Given count what was judged: changes that were answered, messages that were kept, and messages and pages that
	// reached somebody.
	Changes, Kept, Given int
}

// Bad says whether anything was wrong.
func (f Findings) Bad() bool { return f.Leaks+f.Refused+f.Lost+f.Duplicated+f.Wrong > 0 }

// Add adds what others found.
func (f *Findings) Add(g Findings) {
	f.Leaks, f.Refused, f.Lost, f.Duplicated, f.Wrong = f.Leaks+g.Leaks, f.Refused+g.Refused, f.Lost+g.Lost, f.Duplicated+g.Duplicated, f.Wrong+g.Wrong
	f.Changes, f.Kept, f.Given = f.Changes+g.Changes, f.Kept+g.Kept, f.Given+g.Given
}

// told is how many findings are told in words.
const told = 50

// judge compares what happened with the model, at once where that can be judged at once.
type judge struct {
	*Model
	say func(format string, a ...any)

	mu    sync.Mutex
	found Findings
	words int
}

// count adds to one of the findings and tells it.
func (j *judge) count(which *int, n int, format string, a ...any) {
	if n == 0 {
		return
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	*which += n
	if j.words++; j.words <= told {
		j.say(format, a...)
	}
}

func (j *judge) leak(format string, a ...any)  { j.count(&j.found.Leaks, 1, "LEAK: "+format, a...) }
func (j *judge) wrong(format string, a ...any) { j.count(&j.found.Wrong, 1, "WRONG: "+format, a...) }

func (j *judge) findings() Findings {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.found
}

// heard judges a message that reached a user: both it and who sent it must possibly have been in the room at some moment between the
// sending and the arrival. What was sent while one might, and was held up in buffers since, is nobody's fault.
func (j *judge) heard(who, room, sender, what string, sent, got time.Time) {
	j.mu.Lock()
	j.found.Given++
	j.mu.Unlock()
	if _, most := j.May(Pair{who, room}, sent, got); most < Read {
		j.leak("%s of room %s reached %s, who is not in it; sent %s, got %s", what, room, who, clock(sent), clock(got))
	}
	if _, most := j.May(Pair{sender, room}, sent, got); most < Write {
		j.leak("%s of room %s was taken from %s, who may not write there; sent %s, got %s", what, room, sender, clock(sent), clock(got))
	}
}

// answered judges the answer to a request that needs a level; code is that of the refusal, empty for none. A room that keeps nothing
// says so only to who is in it.
func (j *judge) answered(what, who, room string, need Level, code string, asked, got time.Time) {
	least, most := j.May(Pair{who, room}, asked, got)
	switch code {
	case "", v1.CodeNotKept:
		if most < need {
			j.leak("%s in room %s was granted to %s, who may not; asked %s, answered %s", what, room, who, clock(asked), clock(got))
		}
	case v1.CodeForbidden:
		if least >= need {
			j.count(&j.found.Refused, 1, "REFUSED: %s in room %s to %s, who may; asked %s, answered %s", what, room, who, clock(asked), clock(got))
		}
	case v1.CodeUnavailable, v1.CodeRate:
	default:
		j.wrong("%s in room %s was answered to %s with %s", what, room, who, code)
	}
}

// entered judges a connection that was let in.
func (j *judge) entered(who string, asked, got time.Time) {
	if _, most := j.May(Pair{User: who}, asked, got); most < Read {
		j.leak("%s, who is not on the allowlist, was let in between %s and %s", who, clock(asked), clock(got))
	}
}

func clock(t time.Time) string { return t.Format("15:04:05.000") }

// told in words where messages of a history went wrong.
func (j *judge) audited(room string, v verdict) {
	j.count(&j.found.Lost, len(v.lost), "LOST: of room %s: %s", room, short(v.lost))
	j.count(&j.found.Duplicated, len(v.twice), "DUPLICATED: in room %s: %s", room, short(v.twice))
	j.count(&j.found.Wrong, len(v.wrong), "WRONG: in room %s: %s", room, short(v.wrong))
}

// short tells the first few.
func short(list []string) string {
	const few = 5
	if len(list) > few {
		return fmt.Sprint(list[:few], " and ", len(list)-few, " more")
	}
	return fmt.Sprint(list)
}
