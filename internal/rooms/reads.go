// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"sync"
	"time"
)

// read is a request for history that waits for a reader.
type read struct {
	caller
	class, reply string
	body         []byte
}

// reads are the requests that wait or are being read. Each class has a queue and a reader of its own, and takes more readers from those that
// all share: so none has to wait for others, however many of them can't be read.
type reads struct {
	limit, shared int // that wait of one class, and that are being read beside one of each class
	read          func(read)

	mu      sync.Mutex
	lanes   map[string]*lane // by class; an empty one is forgotten
	beside  int              // readers of a class beside its own, of all classes
	closed  bool
	readers sync.WaitGroup
}

// lane is what there is of one class.
type lane struct {
	queue []read // the oldest first
	busy  int    // that are being read
}

func newReads(limit, readers int, do func(read)) *reads {
	return &reads{limit: limit, shared: readers - 1, read: do, lanes: map[string]*lane{}}
}

// push is false when as many of the class wait as may, and after close: a subscription that took too long to drain may still have some.
func (r *reads) push(q read) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lanes[q.class]
	if l == nil {
		l = &lane{}
	}
	if r.closed || len(l.queue) >= r.limit {
		return false
	}
	r.lanes[q.class] = l
	q.budget.inFlight.Add(1)
	l.queue = append(l.queue, q)
	if l.busy == 0 || r.beside < r.shared {
		r.readers.Go(r.work)
	}
	return true
}

// work is a reader: it reads until nothing is left that it may read. What waits then is of classes that have readers, each of which looks
// for more.
func (r *reads) work() {
	for q, ok := r.next(); ok; q, ok = r.next() {
		r.read(q)
		r.done(q)
	}
}

// next takes the oldest request whose class has a reader left for it.
func (r *reads) next() (q read, ok bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var from *lane
	for _, l := range r.lanes {
		if len(l.queue) > 0 && (l.busy == 0 || r.beside < r.shared) && (from == nil || l.queue[0].at.Before(from.queue[0].at)) {
			from = l
		}
	}
	if from == nil {
		return read{}, false
	}
	if from.busy++; from.busy > 1 {
		r.beside++
	}
	q, from.queue = from.queue[0], from.queue[1:]
	return q, true
}

// done is called when a request that next gave is answered.
func (r *reads) done(q read) {
	r.mu.Lock()
	defer r.mu.Unlock()
	l := r.lanes[q.class]
	if l.busy--; l.busy > 0 {
		r.beside--
	}
	q.budget.inFlight.Add(-1)
	r.forget(q.class)
}

func (r *reads) forget(class string) {
	if l := r.lanes[class]; l.busy == 0 && len(l.queue) == 0 {
		delete(r.lanes, class)
	}
}

// expired takes those that wait since a time or longer: nobody would wait for the answer any more by when it came.
func (r *reads) expired(since time.Time) (late []read) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for class, l := range r.lanes {
		for len(l.queue) > 0 && !l.queue[0].at.After(since) {
			l.queue[0].budget.inFlight.Add(-1)
			late, l.queue = append(late, l.queue[0]), l.queue[1:]
		}
		r.forget(class)
	}
	return late
}

func (r *reads) len() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, l := range r.lanes {
		n += len(l.queue) + l.busy
	}
	return n
}

// close ends when what was pushed is read.
func (r *reads) close() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.readers.Wait()
}
