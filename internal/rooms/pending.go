// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"sync"
	"time"
)

// pending are the appends that wait for their acknowledgement.
type pending struct {
	limit int

	mu      sync.Mutex
	next    uint64
	replies map[uint64]waiting
}

type waiting struct {
	reply    string
	deadline time.Time
	by       *budget
}

func newPending(limit int) *pending {
	return &pending{limit: limit, replies: make(map[uint64]waiting, limit)}
}

// add returns the number under which take finds it; ok is false when there are as many as may be.
func (p *pending) add(reply string, deadline time.Time, by *budget) (number uint64, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.replies) >= p.limit {
		return 0, false
	}
	by.inFlight.Add(1)
	p.next++
	p.replies[p.next] = waiting{reply, deadline, by}
	return p.next, true
}

// take returns the reply subject, once.
func (p *pending) take(number uint64) (reply string, ok bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	w, ok := p.replies[number]
	if ok {
		p.forget(number, w)
	}
	return w.reply, ok
}

// expired takes all whose deadline is over.
func (p *pending) expired(now time.Time) (replies []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for number, w := range p.replies {
		if !now.Before(w.deadline) {
			replies = append(replies, w.reply)
			p.forget(number, w)
		}
	}
	return replies
}

func (p *pending) forget(number uint64, w waiting) {
	delete(p.replies, number)
	w.by.inFlight.Add(-1)
}

func (p *pending) len() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.replies)
}
