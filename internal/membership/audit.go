// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// AuditLog writes down who changed what. It may be used by many goroutines, and in many processes.
type AuditLog struct {
	js  jetstream.JetStream
	now func() time.Time
}

// NewAuditLog returns one on the stream v1.StreamAudit, through a connection to the membership account. now is time.Now if nil.
func NewAuditLog(js jetstream.JetStream, now func() time.Time) *AuditLog {
	if now == nil {
		now = time.Now
	}
	return &AuditLog{js: js, now: now}
}

// Begin writes down that a change is asked for, and returns the entry with its time and an id, also if it fails, with ErrUnavailable. Then a
// change that gives somebody more than it had must not be made.
func (l *AuditLog) Begin(ctx context.Context, e v1.AuditEntry) (v1.AuditEntry, error) {
	e.ID, e.Time, e.Outcome = rand.Text(), l.now().UTC(), ""
	return e, l.Write(ctx, e)
}

// End writes down what came of a change. It fails with ErrUnavailable.
func (l *AuditLog) End(ctx context.Context, e v1.AuditEntry, outcome string) error {
	e.Time, e.Outcome = l.now().UTC(), outcome
	return l.Write(ctx, e)
}

// Write writes down an entry, of Begin for example, that could not be before. It fails with ErrUnavailable. Within two minutes it is kept once,
// however often it is written.
func (l *AuditLog) Write(ctx context.Context, e v1.AuditEntry) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	b, err := json.Marshal(e)
	if err != nil {
		return fmt.Errorf("write the audit: %w", err)
	}
	if _, err := l.js.Publish(ctx, v1.SubjectAudit, b, jetstream.WithMsgID(e.ID+"."+e.Outcome)); err != nil {
		return fmt.Errorf("%w: write the audit: %w", ErrUnavailable, err)
	}
	return nil
}

// List reads entries, the newest first: the first limit (1,000 if less than 1 or more) of those before what next said of the page
// before, which is empty on the last. It fails with ErrInvalid for any other text, and with ErrUnavailable.
func (l *AuditLog) List(ctx context.Context, after string, limit int) (list []v1.AuditEntry, next string, err error) {
	if limit < 1 || limit > v1.MaxList {
		limit = v1.MaxList
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stream, err := l.js.Stream(ctx, v1.StreamAudit)
	if err != nil {
		return nil, "", fmt.Errorf("%w: read the audit: %w", ErrUnavailable, err)
	}
	state := stream.CachedInfo().State
	sequence := state.LastSeq
	if after != "" {
		n, err := strconv.ParseUint(after, 10, 64)
		if err != nil || n == 0 {
			return nil, "", fmt.Errorf("%w: after %.80q: give what next said of the page before", ErrInvalid, after)
		}
		sequence = min(sequence, n-1)
	}
	oldest := max(state.FirstSeq, 1)
	list = []v1.AuditEntry{}
	for ; sequence >= oldest && len(list) < limit; sequence-- {
		m, err := stream.GetMsg(ctx, sequence)
		if errors.Is(err, jetstream.ErrMsgNotFound) {
			return list, "", nil // the oldest have gone meanwhile
		}
		if err != nil {
			return nil, "", fmt.Errorf("%w: read the audit: %w", ErrUnavailable, err)
		}
		var e v1.AuditEntry
		if err := json.Unmarshal(m.Data, &e); err != nil {
			return nil, "", fmt.Errorf("entry %d of the audit can't be read: %w", sequence, err)
		}
		list = append(list, e)
	}
	if sequence >= oldest {
		next = strconv.FormatUint(sequence+1, 10)
	}
	return list, next, nil
}

// AuditStream is the stream that keeps the audit, of at most that many bytes: then the oldest entries go.
func AuditStream(replicas int, maxBytes int64) jetstream.StreamConfig {
	return jetstream.StreamConfig{Name: v1.StreamAudit, Subjects: []string{v1.SubjectAudit}, Replicas: replicas, MaxBytes: maxBytes,
		Storage: jetstream.FileStorage, Discard: jetstream.DiscardOld, DenyDelete: true, DenyPurge: true}
}
