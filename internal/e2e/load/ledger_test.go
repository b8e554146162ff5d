// SPDX-License-Identifier: Apache-2.0

package load

import (
	"testing"
	"time"
)

// TestGaps: a gap is planned unless a fault was at work in any part of it.
func TestGaps(t *testing.T) {
	l := NewLedger()
	now := time.Unix(1000, 0)
	l.now = func() time.Time { return now }
	writes := 0
	after := func(d time.Duration) {
		now = now.Add(d)
		l.record("S", 0, writes, uint64(writes+1))
		writes++
	}
	expect := func(what string, all, planned time.Duration) {
		t.Helper()
		a, p := l.Longest(time.Time{})
		if a.Length() != all || p.Length() != planned {
			t.Errorf("%s: longest gap %v, planned %v; want %v and %v", what, a.Length(), p.Length(), all, planned)
		}
	}
	after(0)
	after(300 * time.Millisecond)
	expect("no fault", 300*time.Millisecond, 300*time.Millisecond)

	now = now.Add(time.Second)
	end := l.Fault() // a second after the last write: the gap is the fault's all the same
	after(4 * time.Second)
	expect("in a fault", 5*time.Second, 300*time.Millisecond)
	end()
	after(500 * time.Millisecond)
	expect("after a fault", 5*time.Second, 500*time.Millisecond)

	now = now.Add(700 * time.Millisecond)
	expect("still open", 5*time.Second, 700*time.Millisecond)
	l.Rest("S")
	now = now.Add(time.Hour)
	after(0)
	expect("halted on purpose", 5*time.Second, 700*time.Millisecond)
	if a, p := l.Longest(now.Add(time.Second)); a.Length() != 0 || p.Length() != 0 {
		t.Errorf("since later: %v and %v", a, p)
	}
	if got := l.Acknowledged(); got != writes {
		t.Errorf("%d acknowledged, want %d", got, writes)
	}
	l.Forget("S")
	if got := l.Acknowledged(); got != writes {
		t.Errorf("%d acknowledged after the stream is forgotten, want %d", got, writes)
	}
}

// TestGapsByWriter: a writer that waits has a gap, however well the others of its stream fare.
func TestGapsByWriter(t *testing.T) {
	l := NewLedger()
	now := time.Unix(1000, 0)
	l.now = func() time.Time { return now }
	seq := uint64(0)
	write := func(writer int) {
		seq++
		l.record("S", writer, int(seq), seq)
	}
	write(0)
	write(1)
	first := now
	for range 20 {
		now = now.Add(100 * time.Millisecond)
		write(0)
	}
	if got := l.LastAck("S"); !got.Equal(first) {
		t.Errorf("the last acknowledgement that all writers have since is of %v, want %v", got, first)
	}
	if _, p := l.Longest(time.Time{}); p.Length() != 2*time.Second || p.Writer != 1 {
		t.Errorf("while writer 1 waits the longest gap is %v, want one of 2 s", p)
	}
	write(1)
	if _, p := l.Longest(time.Time{}); p.Length() != 2*time.Second || p.Writer != 1 {
		t.Errorf("after writer 1 has waited the longest gap is %v, want one of 2 s", p)
	}
	if got := l.LastAck("S"); !got.Equal(now) {
		t.Errorf("the last acknowledgement that all writers have since is of %v, want %v", got, now)
	}
	l.Rest("S")
	if got := l.LastAck("S"); !got.IsZero() {
		t.Errorf("resting, the last acknowledgement is of %v", got)
	}
}
