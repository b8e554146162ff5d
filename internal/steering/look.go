// SPDX-License-Identifier: Apache-2.0

package steering

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/unibus/unibus/internal/jsadmin"
	"github.com/unibus/unibus/internal/scaling"
)

// JetStream is what one look at it has shown.
type JetStream struct {
	// Meta is nil without a confirmed leader; NoLeader says why.
	Meta     *jsadmin.Meta
	NoLeader error
	Streams  []jsadmin.Stream
	// Blocked is set when so much could not be read that nothing may be decided; Person is true when that needs one.
	Blocked error
	Person  bool
}

// Look asks JetStream for its members and streams.
func Look(ctx context.Context, admin *jsadmin.Admin) (j JetStream) {
	m, err := admin.Meta(ctx)
	if err != nil {
		j.NoLeader = err
		if errors.Is(err, jsadmin.ErrTwoLeaders) {
			j.Blocked, j.Person = err, true
		}
		return j
	}
	j.Meta = &m
	if j.Streams, err = admin.Streams(ctx); err != nil {
		// A stream that is left out is one that may be lost.
		j.Blocked, j.Person = fmt.Errorf("the streams can't be looked at: %w", err), errors.Is(err, jsadmin.ErrForeignAccount)
	}
	return j
}

// Fill enters it into what scaling decides on.
func (j JetStream) Fill(seen *scaling.Observed) {
	if j.Meta == nil {
		return
	}
	seen.Meta = &scaling.Group{Leader: j.Meta.Leader}
	for _, p := range j.Meta.Members {
		seen.Meta.Peers = append(seen.Meta.Peers, scaling.Peer{Name: p.Name, Current: p.Current})
	}
	for _, s := range j.Streams {
		out := scaling.Stream{Account: s.Account, Name: s.Name, Replicas: s.Replicas, Leader: s.Leader}
		for _, r := range s.Members {
			out.Peers = append(out.Peers, scaling.Peer{Name: r.Name, Current: r.Current()})
		}
		seen.Streams = append(seen.Streams, out)
	}
}

// Next decides on what was seen.
func (j JetStream) Next(record *scaling.Record, desired scaling.Desired, seen scaling.Observed) scaling.Step {
	if j.Blocked != nil {
		return scaling.Step{Action: scaling.Wait, Person: j.Person, Reason: j.Blocked.Error(), Remedy: "see the message"}
	}
	return scaling.Next(record, desired, seen)
}

// Quiet measures for how long nothing that is observed has changed. Its zero value has seen nothing.
type Quiet struct {
	last  [sha256.Size]byte
	since time.Time
}

// Measure returns for how long observations have been as this one is; record is anything that changes with the record. How much a replica
// has counts only while it is not in sync: writers that go on don't make a stuck cluster look busy, and a replica that copies is not stuck.
func (q *Quiet) Measure(record any, seen scaling.Observed, j JetStream) time.Duration {
	type copying struct {
		Server   string
		Messages uint64
	}
	var progress []copying
	for _, s := range j.Streams {
		for _, r := range s.Members {
			if !r.Current() {
				progress = append(progress, copying{r.Name, r.Messages})
			}
		}
	}
	now := seen.Now
	seen.Now = time.Time{}
	b, err := json.Marshal([]any{record, seen, progress, j.NoLeader != nil, j.Blocked != nil})
	if last := sha256.Sum256(b); err != nil || last != q.last {
		q.last, q.since = last, now
	}
	return now.Sub(q.since)
}
