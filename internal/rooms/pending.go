// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"sync"
	"time"
)

// pending are the probes that wait for their acknowledgement.
type pending struct {
	limit int // of appends

	mu      sync.Mutex
	next    uint64
	replies map[uint64]waiting
	appends int             // that they stand for
	classes map[string]int  // appends of each class
	good    map[string]bool // classes whose stream answered the latest probe
}

type waiting struct {
	reply, class string
	deadline     time.Time
	by           *budget
	appends      int // that it stands for
}

func newPending(limit int) *pending {
	return &pending{limit: limit, replies: map[uint64]waiting{}, classes: map[string]int{}, good: map[string]bool{}}
}

// ownPart of the places is a class's own beside what all share: one whose stream does not answer may take all of these, and no other's.
const ownPart = 16

// add returns the number under which take finds it; ok is false when there are as many as may be.
func (p *pending) add(w waiting) (number uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.appends >= p.limit && p.classes[w.class] >= p.limit/ownPart {
		return 0, false
	}
	p.appends += w.appends
	p.classes[w.class] += w.appends
	w.by.inFlight.Add(int32(w.appends))
	p.next++
	p.replies[p.next] = w
	return p.next, true
}

// note says whether the stream of a class answered a probe.
func (p *pending) note(class string, answered bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if answered {
		p.good[class] = true
	} else {
		delete(p.good, class)
	}
}

// answers says whether the stream of a class answered the latest probe.
func (p *pending) answers(class string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.good[class]
}

// take returns who waits, once.
func (p *pending) take(number uint64) (w waiting, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok = p.replies[number]
	if ok {
		p.forget(number, w)
	}
	return w, ok
}

// expired takes all whose deadline is over.
func (p *pending) expired(now time.Time) (late []waiting) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for number, w := range p.replies {
		if !now.Before(w.deadline) {
			late = append(late, w)
			p.forget(number, w)
		}
	}
	return late
}

func (p *pending) forget(number uint64, w waiting) {
	delete(p.replies, number)
	p.appends -= w.appends
	if p.classes[w.class] -= w.appends; p.classes[w.class] == 0 {
		delete(p.classes, w.class)
	}
	w.by.inFlight.Add(-int32(w.appends))
}

// len is about how many appends are on their way.
func (p *pending) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.appends
}
