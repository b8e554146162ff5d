// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"slices"
	"sync"
	"time"
)

// read is a request for history that waits for a reader.
type read struct {
	caller
	class, reply string
	body         []byte
}

// reads are the requests that wait or are being read: so many, and so many of one class, that one which can't be read leaves something
// to the others.
type reads struct {
	limit, ofClass, busyOfClass int // that wait, and of one class that wait, and that are being read

	mu     sync.Mutex
	change sync.Cond
	queue  []read         // the oldest first
	busy   map[string]int // that are being read, by class
	closed bool
}

func newReads(limit, readers int) *reads {
	r := &reads{limit: limit, ofClass: limit - limit/4, busyOfClass: max(1, readers-1), busy: map[string]int{}}
	r.change.L = &r.mu
	return r
}

// push is false when there are as many as may be, and after close: a subscription that took too long to drain may still have some.
func (r *reads) push(q read) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	alike := 0
	for _, other := range r.queue {
		if other.class == q.class {
			alike++
		}
	}
	if r.closed || len(r.queue) >= r.limit || alike >= r.ofClass {
		return false
	}
	q.budget.inFlight.Add(1)
	r.queue = append(r.queue, q)
	r.change.Broadcast()
	return true
}

// next waits for a request whose class has a reader left for it. It is false after close, when none is left.
func (r *reads) next() (read, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for {
		for i, q := range r.queue {
			if r.busy[q.class] < r.busyOfClass {
				r.queue = slices.Delete(r.queue, i, i+1)
				r.busy[q.class]++
				return q, true
			}
		}
		if r.closed && len(r.queue) == 0 {
			return read{}, false
		}
		r.change.Wait()
	}
}

// done is called when a request that next gave is answered.
func (r *reads) done(q read) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.busy[q.class]--; r.busy[q.class] == 0 {
		delete(r.busy, q.class)
	}
	q.budget.inFlight.Add(-1)
	r.change.Broadcast()
}

// expired takes those that wait since a time or longer: nobody would wait for the answer any more by when it came.
func (r *reads) expired(since time.Time) []read {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := 0
	for n < len(r.queue) && !r.queue[n].at.After(since) {
		r.queue[n].budget.inFlight.Add(-1)
		n++
	}
	late := slices.Clone(r.queue[:n])
	r.queue = slices.Delete(r.queue, 0, n)
	r.change.Broadcast() // after close the readers may end now
	return late
}

func (r *reads) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := len(r.queue)
	for _, busy := range r.busy {
		n += busy
	}
	return n
}

// close ends the readers once they have read what was pushed.
func (r *reads) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.change.Broadcast()
}
