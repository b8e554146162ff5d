// SPDX-License-Identifier: Apache-2.0

package rooms

import "sync"

// read is a request for history that waits for a reader.
type read struct {
	user, room, reply string
	body              []byte
}

// reads are the requests that wait or are being read: so many, and so many of one user, that nobody takes all readers for long.
type reads struct {
	queue   chan read
	perUser int

	mu     sync.Mutex
	total  int
	users  map[string]int
	closed bool
}

func newReads(limit, perUser int) *reads {
	return &reads{queue: make(chan read, limit), perUser: perUser, users: map[string]int{}}
}

// push is false when there are as many as may be, and after close: a subscription that took too long to drain may still have some.
func (r *reads) push(q read) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.users[q.user] >= r.perUser {
		return false
	}
	select {
	case r.queue <- q:
	default:
		return false
	}
	r.users[q.user]++
	r.total++
	return true
}

// done is called when a request that was pushed is answered.
func (r *reads) done(q read) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.total--
	if r.users[q.user]--; r.users[q.user] == 0 {
		delete(r.users, q.user)
	}
}

func (r *reads) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

// close ends the readers once they have read what was pushed.
func (r *reads) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	close(r.queue)
}
