// SPDX-License-Identifier: Apache-2.0

package load

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nats-io/nats.go"
)

// Miss is an acknowledged write that a reading did not find.
type Miss struct {
	Stream, ID string
	Seq        uint64
	// Age is the time from the acknowledgement to the reading.
	Age time.Duration
	// Replica is the server that was read from, as the stream's leader; empty when any may have answered.
	Replica string
	// Found says what was at the sequence instead.
	Found string
	// Lost is true when it was missing in every reading of a replica that led the stream. What is missing once and there
	// later was a reading from someone who lagged.
	Lost bool
	// Readings is how many readings missed it.
	Readings int
}

// String tells the miss for a log.
func (m Miss) String() string {
	verdict := "a lagging reading"
	if m.Lost {
		verdict = "LOST"
	}
	return fmt.Sprintf("%s: %s sequence %d of %s, acknowledged %v before, missing on %s in %d readings (found: %s)",
		verdict, m.ID, m.Seq, m.Stream, m.Age.Round(time.Millisecond), m.Replica, m.Readings, m.Found)
}

// Duplicate is one write that is stored twice.
type Duplicate struct {
	Stream, ID    string
	First, Second uint64
}

// String tells the duplicate for a log.
func (d Duplicate) String() string {
	return fmt.Sprintf("DUPLICATE: %s stored twice in %s, at %d and %d", d.ID, d.Stream, d.First, d.Second)
}

// Verdict is the outcome of a verification.
type Verdict struct {
	// Replicas were read from, each as leader. Offline ones could not be.
	Replicas, Offline []string
	// Read is the number of messages read, over all replicas.
	Read int
	// Misses are all that a first reading did not find, lost or not.
	Misses     []Miss
	Duplicates []Duplicate
}

// Lost counts writes (not readings) that are lost on some replica.
func (v Verdict) Lost() int {
	ids := map[string]bool{}
	for _, m := range v.Misses {
		if m.Lost {
			ids[m.ID] = true
		}
	}
	return len(ids)
}

// Whole is an error unless that many replicas were read from: what is on the others nobody knows.
func (v Verdict) Whole(replicas int) error {
	if len(v.Replicas) != replicas || len(v.Offline) > 0 {
		return fmt.Errorf("read back from %v, offline %v: %d replicas have to be read from", v.Replicas, v.Offline, replicas)
	}
	return nil
}

// readings is how often something missing is looked for on a replica, a second apart, before it is called lost.
const readings = 4

// Verify makes each replica of the stream its leader in turn and reads back from it everything after the sequence that read has
// for it, which it moves on; nil reads everything. All replicas that are online must be in sync before; writers may go on. Those
// that are offline are left out, so the caller has to ask the Verdict whether it is Whole.
func (l *Ledger) Verify(ctx context.Context, nc *nats.Conn, s Stream, read map[string]uint64) (Verdict, error) {
	var v Verdict
	i, err := s.Info(nc)
	if err != nil {
		return v, fmt.Errorf("verify %s: %w", s.Name, err)
	}
	members := i.online()
	slices.Sort(members)
	v.Offline = i.offline()
	for _, name := range members {
		last, err := l.verifyOn(ctx, nc, s, name, read[name]+1, &v)
		if err != nil {
			return v, fmt.Errorf("verify %s on %s: %w", s.Name, name, err)
		}
		if read != nil {
			read[name] = last
		}
		v.Replicas = append(v.Replicas, name)
	}
	return v, nil
}

// verifyOn reads from one replica as leader, and returns how far. A reading during which the leader changed is worth nothing and is repeated.
func (l *Ledger) verifyOn(ctx context.Context, nc *nats.Conn, s Stream, name string, from uint64, v *Verdict) (uint64, error) {
	for {
		entries := l.entries(s.Name, from) // before the leader is asked: all of them must be there
		before, err := s.Lead(ctx, nc, name)
		if err != nil {
			return 0, err
		}
		r, err := scan(ctx, nc, s, from, before.State.Last)
		if err != nil {
			return 0, err
		}
		misses := r.misses(s, name, entries)
		for range readings - 1 {
			if len(misses) == 0 {
				break
			}
			if !sleep(ctx, time.Second) {
				return 0, fmt.Errorf("look again for %d writes that were missed, %v first: %w", len(misses), misses[0], ctx.Err())
			}
			if err := reread(ctx, nc, s, misses); err != nil {
				return 0, err
			}
		}
		after, err := s.Info(nc)
		if err != nil || after.Cluster.Leader != name || !sameTime(before.Cluster.Since, after.Cluster.Since) {
			if !sleep(ctx, 100*time.Millisecond) {
				return 0, fmt.Errorf("the leader changes again and again: %w", ctx.Err())
			}
			continue
		}
		v.Read += len(r.found)
		v.Misses = append(v.Misses, misses...)
		for _, d := range r.duplicates(s, l) {
			if !slices.Contains(v.Duplicates, d) {
				v.Duplicates = append(v.Duplicates, d)
			}
		}
		return before.State.Last, nil
	}
}

func sameTime(a, b *time.Time) bool { return a == nil || b == nil || a.Equal(*b) }

// reread looks again, one by one, at what a reading missed, and marks as lost what is still missing. Without an answer nothing is
// decided, and that is an error: or a loss would pass for a lagging reading.
func reread(ctx context.Context, nc *nats.Conn, s Stream, misses []Miss) error {
	for k := range misses {
		m := &misses[k]
		r, err := scan(ctx, nc, s, m.Seq, m.Seq)
		if err != nil {
			return fmt.Errorf("look again for %v: %w", m, err)
		}
		if got, ok := r.found[m.Seq]; ok && got == m.ID {
			m.Lost = false
			continue
		}
		m.Readings++
		m.Lost = m.Readings >= readings
	}
	return nil
}

// reading is what one reading found: message id by sequence. A message whose payload does not fit its id has the id "damaged ...".
type reading struct {
	at    time.Time
	from  uint64 // first sequence that was asked for
	found map[uint64]string
}

func (r reading) misses(s Stream, replica string, entries []entry) []Miss {
	var ms []Miss
	for _, e := range entries {
		want := id(e.writer, e.n)
		if got, ok := r.found[e.seq]; !ok || got != want {
			if !ok {
				got = "nothing"
			}
			ms = append(ms, Miss{Stream: s.Name, ID: want, Seq: e.seq, Age: r.at.Sub(e.at), Replica: replica, Found: got, Readings: 1})
		}
	}
	return ms
}

// duplicates finds writes that are stored twice: both within the reading, or one of them at an earlier sequence that the
// ledger knows.
func (r reading) duplicates(s Stream, l *Ledger) []Duplicate {
	var ds []Duplicate
	first := make(map[string]uint64, len(r.found))
	for seq, name := range r.found {
		if other, ok := first[name]; ok {
			ds = append(ds, Duplicate{s.Name, name, min(seq, other), max(seq, other)})
			continue
		}
		first[name] = seq
		if acked := l.sequence(s.Name, name); acked > 0 && acked < r.from {
			ds = append(ds, Duplicate{s.Name, name, acked, seq})
		}
	}
	return ds
}

// identify returns the id of a stored message, or what is wrong with it.
func identify(header nats.Header, data []byte) string {
	name := header.Get(nats.MsgIdHdr)
	if _, _, ok := parseID(name); !ok || !bytes.Equal(data, body(name)) {
		return fmt.Sprintf("damaged %q", name)
	}
	return name
}
