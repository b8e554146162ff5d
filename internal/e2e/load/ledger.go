// SPDX-License-Identifier: Apache-2.0

package load

import (
	"fmt"
	"sync"
	"time"
)

// ack is one acknowledgement. seq is 0 while the write has none.
type ack struct {
	seq uint64
	at  time.Time
}

// book is what was acknowledged on one stream, by writer and number.
type book struct {
	writers [][]ack
	acked   int
	last    map[int]time.Time // last acknowledgement of each writer whose time is measured
}

// Gap is a time in which a writer of a stream had nothing acknowledged. It is counted by writer, as a client feels it: one that is cut
// short with its node waits, while others whose nodes stay write on.
type Gap struct {
	Stream   string
	Writer   int
	From, To time.Time
	// Planned is true when no fault was at work in any part of it.
	Planned bool
}

// Length is how long the gap lasted.
func (g Gap) Length() time.Duration { return g.To.Sub(g.From) }

// String tells the gap for a log.
func (g Gap) String() string {
	kind := "in a fault"
	if g.Planned {
		kind = "planned"
	}
	return fmt.Sprintf("%v without an acknowledgement for writer %d of %s from %s (%s)",
		g.Length().Round(time.Millisecond), g.Writer, g.Stream, g.From.Format("15:04:05.000"), kind)
}

type window struct{ from, to time.Time } // to is zero while it is open

// Ledger remembers acknowledged writes and each writer's times without any. It is safe for concurrent use.
type Ledger struct {
	mu     sync.Mutex
	now    func() time.Time
	books  map[string]*book
	closed int // acknowledged on streams that were forgotten
	faults []window
	gaps   []Gap
}

// gapFloor keeps the list of gaps short: what is shorter interests nobody.
const gapFloor = 100 * time.Millisecond

// NewLedger returns an empty ledger.
func NewLedger() *Ledger { return &Ledger{now: time.Now, books: map[string]*book{}} }

func (l *Ledger) record(stream string, writer, n int, seq uint64) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.books[stream]
	if b == nil {
		b = &book{last: map[int]time.Time{}}
		l.books[stream] = b
	}
	for len(b.writers) <= writer {
		b.writers = append(b.writers, nil)
	}
	for len(b.writers[writer]) <= n {
		b.writers[writer] = append(b.writers[writer], ack{})
	}
	now := l.now()
	b.writers[writer][n] = ack{seq, now}
	b.acked++
	l.measure(stream, b, writer, now)
	b.last[writer] = now
}

// measure notes the time since the writer's last acknowledgement as a gap.
func (l *Ledger) measure(stream string, b *book, writer int, now time.Time) {
	last, measured := b.last[writer]
	if !measured || now.Sub(last) < gapFloor {
		return
	}
	l.gaps = append(l.gaps, Gap{Stream: stream, Writer: writer, From: last, To: now, Planned: !l.faulty(last, now)})
}

func (l *Ledger) faulty(from, to time.Time) bool {
	for _, w := range l.faults {
		if w.from.Before(to) && (w.to.IsZero() || w.to.After(from)) {
			return true
		}
	}
	return false
}

// Fault begins a time in which gaps are the fault's and not the cluster's; call the returned function once the cluster is
// well again and all writers have writes acknowledged.
func (l *Ledger) Fault() (end func()) {
	l.mu.Lock()
	defer l.mu.Unlock()
	i := len(l.faults)
	l.faults = append(l.faults, window{from: l.now()})
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.faults[i].to = l.now()
	}
}

// Rest stops measuring the time of a stream's writers until their next acknowledgements: they were halted on purpose.
func (l *Ledger) Rest(stream string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.books[stream]; b != nil {
		now := l.now()
		for w := range b.last {
			l.measure(stream, b, w, now)
		}
		clear(b.last)
	}
}

// Forget drops a stream that was verified and deleted; its writes stay in the sum.
func (l *Ledger) Forget(stream string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.books[stream]; b != nil {
		l.closed += b.acked
		delete(l.books, stream)
	}
}

// Acknowledged is the number of acknowledged writes of all streams, ever.
func (l *Ledger) Acknowledged() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := l.closed
	for _, b := range l.books {
		n += b.acked
	}
	return n
}

// LastAck is when each writer of the stream had something acknowledged since; zero when none ever had or all rest.
func (l *Ledger) LastAck(stream string) time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	var oldest time.Time
	if b := l.books[stream]; b != nil {
		for _, at := range b.last {
			if oldest.IsZero() || at.Before(oldest) {
				oldest = at
			}
		}
	}
	return oldest
}

// Longest returns the longest gap that ended at or after since, of all and of the planned ones. A gap that is still open counts.
func (l *Ledger) Longest(since time.Time) (all, planned Gap) {
	l.mu.Lock()
	defer l.mu.Unlock()
	now := l.now()
	gaps := l.gaps
	for name, b := range l.books {
		for w, last := range b.last {
			gaps = append(gaps[:len(gaps):len(gaps)], Gap{name, w, last, now, !l.faulty(last, now)})
		}
	}
	for _, g := range gaps {
		if g.To.Before(since) {
			continue
		}
		if g.Length() > all.Length() {
			all = g
		}
		if g.Planned && g.Length() > planned.Length() {
			planned = g
		}
	}
	return all, planned
}

// Planned returns the planned gaps of at least that length that ended at or after since.
func (l *Ledger) Planned(since time.Time, atLeast time.Duration) []Gap {
	l.mu.Lock()
	defer l.mu.Unlock()
	var found []Gap
	for _, g := range l.gaps {
		if g.Planned && !g.To.Before(since) && g.Length() >= atLeast {
			found = append(found, g)
		}
	}
	return found
}

// entry is one acknowledged write.
type entry struct {
	writer, n int
	ack
}

// entries returns a copy of the stream's acknowledged writes with sequence at least from.
func (l *Ledger) entries(stream string, from uint64) []entry {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.books[stream]
	if b == nil {
		return nil
	}
	var es []entry
	for w, acks := range b.writers {
		for n, a := range acks {
			if a.seq >= from && a.seq > 0 {
				es = append(es, entry{w, n, a})
			}
		}
	}
	return es
}

// pick returns an acknowledged write of the stream: the newest of a random writer, or any when old is true.
func (l *Ledger) pick(stream string, random func(n int) int, old bool) (entry, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.books[stream]
	if b == nil || len(b.writers) == 0 {
		return entry{}, false
	}
	w := random(len(b.writers))
	acks := b.writers[w]
	if len(acks) == 0 {
		return entry{}, false
	}
	n := len(acks) - 1
	if old {
		n = random(len(acks))
	}
	return entry{w, n, acks[n]}, acks[n].seq > 0
}

// sequence is where the write with that id was acknowledged, 0 when it was not.
func (l *Ledger) sequence(stream, name string) uint64 {
	writer, n, ok := parseID(name)
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.books[stream]
	if !ok || b == nil || writer >= len(b.writers) || n >= len(b.writers[writer]) {
		return 0
	}
	return b.writers[writer][n].seq
}
