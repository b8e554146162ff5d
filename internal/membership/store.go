// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

var (
	// ErrNotFound is returned for what is not there, or not any more.
	ErrNotFound = errors.New("not found")
	// ErrExists is returned for what was to be made and is there.
	ErrExists = errors.New("already exists")
	// ErrConflict is returned when somebody else wrote meanwhile, or the revision given is not that of the record. Read again.
	ErrConflict = errors.New("changed meanwhile")
	// ErrInUse is returned for a class that rooms use.
	ErrInUse = errors.New("in use")
	// ErrUnavailable is returned when a bucket does not answer. Whether a write took place is not known: make the same call again.
	ErrUnavailable = errors.New("the membership buckets are unavailable")
)

const (
	// patience is how long a bucket's leader may take to answer.
	patience = 5 * time.Second
	// contention is how often a write that must win is tried against others, and breath the time between two attempts: a write of
	// another is in the way until a quorum has it.
	contention, breath = 50, 10 * time.Millisecond
	// fullParts of wholeParts of a bucket are for records that are made; the rest is for changes and removals. In a replicated bucket
	// the server refuses even a removal once it is full, and the heartbeat as well, so that all clients would be dropped.
	fullParts, wholeParts = 7, 8
)

// Record is a value with its revision, which a change of it must give.
type Record[T any] struct {
	Value    T
	Revision uint64

	bucket, key string // where it was read
}

// Counter tells how many there are, for the limits. Directory is one: since it may lag, concurrent writers may get a few past a limit.
type Counter interface {
	CountUsers() int
	CountRooms() int
	// CountRoomsOf counts the rooms that a user is in, CountMembers the users in a room.
	CountRoomsOf(ed25519Hex string) int
	CountMembers(room string) int
}

// StoreConfig says what a Store takes.
type StoreConfig struct {
	Limits Limits
	// Counter counts for Limits. Nil leaves all but the space of the buckets unbounded.
	Counter Counter
	// MaxPayload is the server's limit of a message in bytes, 1 MiB by default.
	MaxPayload int32
	// Now is the clock, time.Now by default.
	Now func() time.Time
}

// Store writes users, rooms, members and classes. It may be used by many goroutines, and in many processes.
//
// A revision of 0 means "whatever is there" for a removal, and "nothing is there" where a value is put. Any method may fail with
// ErrUnavailable.
//
// A change is answered for done once a quorum has taken it, and a method fails with ErrNotFound only if a quorum has it so. What is there,
// lists, and other errors may come from a leader that has been cut off for some seconds and does not know: Sure finds out.
type Store struct {
	js jetstream.JetStream
	c  StoreConfig
}

// NewStore returns a Store on the buckets of a connection to the membership account. It fails with ErrInvalid for bad limits.
func NewStore(js jetstream.JetStream, c StoreConfig) (*Store, error) {
	var err error
	if c.Limits, err = c.Limits.Check(); err != nil {
		return nil, err
	}
	if c.MaxPayload <= 0 {
		c.MaxPayload = 1 << 20
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return &Store{js: js, c: c}, nil
}

func streamOf(bucket string) string { return "KV_" + bucket }

func subjectOf(bucket, key string) string { return "$KV." + bucket + "." + key }

// entry is what a bucket's leader has for a key. The zero entry is a key that never was; a key that was removed has its marker's
// revision, and the marker's text as value.
type entry struct {
	value    []byte
	revision uint64
	live     bool
}

// get asks the bucket's leader. jetstream's KV would ask any replica, which may lag.
func (s *Store) get(ctx context.Context, bucket, key string) (entry, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ask, err := json.Marshal(map[string]string{"last_by_subj": subjectOf(bucket, key)})
	if err != nil {
		return entry{}, fmt.Errorf("read %s: %w", key, err)
	}
	m, err := s.js.Conn().RequestWithContext(ctx, "$JS.API.STREAM.MSG.GET."+streamOf(bucket), ask)
	if err != nil {
		return entry{}, fmt.Errorf("%w: read %s of %s: %w", ErrUnavailable, key, bucket, err)
	}
	var answer struct {
		Error   *jetstream.APIError `json:"error"`
		Message *struct {
			Sequence uint64 `json:"seq"`
			Header   []byte `json:"hdrs"`
			Data     []byte `json:"data"`
		} `json:"message"`
	}
	if err := json.Unmarshal(m.Data, &answer); err != nil {
		return entry{}, fmt.Errorf("read %s of %s: %w", key, bucket, err)
	}
	switch {
	case answer.Error != nil && answer.Error.ErrorCode == jetstream.JSErrCodeMessageNotFound:
		return entry{}, nil
	case answer.Error != nil:
		return entry{}, fmt.Errorf("%w: read %s of %s: %w", ErrUnavailable, key, bucket, answer.Error)
	case answer.Message == nil:
		return entry{}, fmt.Errorf("read %s of %s: an answer without a message", key, bucket)
	}
	e := entry{value: answer.Message.Data, revision: answer.Message.Sequence, live: true}
	if len(answer.Message.Header) > 0 {
		h, err := nats.DecodeHeadersMsg(answer.Message.Header)
		if err != nil {
			return entry{}, fmt.Errorf("read %s of %s: %w", key, bucket, err)
		}
		e.live = !isMarker(h)
	}
	return e, nil
}

// isMarker says whether a message with these headers removes its key.
func isMarker(h nats.Header) bool {
	op := h.Get(headerOperation)
	return op == "DEL" || op == "PURGE" || h.Get("Nats-Marker-Reason") != ""
}

const headerOperation = "KV-Operation"

// write puts a message if the key has that revision. It fails with ErrConflict.
func (s *Store) write(ctx context.Context, bucket, key string, h nats.Header, value []byte, revision uint64) (uint64, error) {
	return s.writeIf(ctx, bucket, key, h, value, revision, jetstream.WithExpectLastSequencePerSubject(revision))
}

// sure returns an error that says what was read of a key at a revision, if a quorum has it so too: a leader that is cut off may not know
// better. It does so by a heartbeat that is taken only if the key has that revision, and fails with ErrConflict if it has not.
func (s *Store) sure(ctx context.Context, bucket, key string, revision uint64, is error) error {
	_, err := s.writeIf(ctx, bucket, v1.HeartbeatKey, nil, nil, revision,
		jetstream.WithExpectLastSequenceForSubject(revision, subjectOf(bucket, key)))
	return cmp.Or(err, is)
}

func (s *Store) writeIf(ctx context.Context, bucket, key string, h nats.Header, value []byte, revision uint64, is jetstream.PublishOpt) (uint64, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	if h == nil {
		h = nats.Header{}
	}
	ack, err := s.js.PublishMsg(ctx, &nats.Msg{Subject: subjectOf(bucket, key), Header: h, Data: value}, is)
	if err == nil {
		return ack.Sequence, nil
	}
	var refused *jetstream.APIError
	if errors.As(err, &refused) && (refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence ||
		refused.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant) {
		return 0, fmt.Errorf("%w: %s of %s is not at revision %d; read it again", ErrConflict, key, bucket, revision)
	}
	return 0, fmt.Errorf("%w: write %s of %s: %w", ErrUnavailable, key, bucket, err)
}

// Sure fails with ErrConflict unless a quorum has a record as it was read from a Store. It is for who answers by what is there, without a
// change.
func Sure[T any](ctx context.Context, s *Store, r Record[T]) error {
	return s.sure(ctx, r.bucket, r.key, r.Revision, nil)
}

func (s *Store) put(ctx context.Context, bucket, key string, value any, revision uint64) (uint64, error) {
	b, err := json.Marshal(value)
	if err != nil {
		return 0, fmt.Errorf("write %s of %s: %w", key, bucket, err)
	}
	return s.write(ctx, bucket, key, nil, b, revision)
}

// del writes a marker, with a text for whoever finishes the removal. It is never longer than the record.
func (s *Store) del(ctx context.Context, bucket, key, text string, revision uint64) error {
	_, err := s.write(ctx, bucket, key, nats.Header{headerOperation: {"DEL"}}, []byte(text), revision)
	return err
}

// load reads a record that must be there. It fails with ErrNotFound, and gives the marker's revision even so.
func load[T any](ctx context.Context, s *Store, bucket, key string) (Record[T], error) {
	r := Record[T]{bucket: bucket, key: key}
	e, err := s.get(ctx, bucket, key)
	if err != nil {
		return r, err
	}
	if r.Revision = e.revision; !e.live {
		return r, fmt.Errorf("%w: %s", ErrNotFound, strings.ReplaceAll(key, ".", " "))
	}
	if err := json.Unmarshal(e.value, &r.Value); err != nil {
		return r, fmt.Errorf("record %s of %s can't be read, remove it: %w", key, bucket, err)
	}
	return r, nil
}

// loadAt is load of the record at a revision, 0 for any. It fails with ErrNotFound, for sure, and ErrConflict.
func loadAt[T any](ctx context.Context, s *Store, bucket, key string, revision uint64) (r Record[T], err error) {
	err = insist(ctx, func() error {
		if r, err = load[T](ctx, s, bucket, key); errors.Is(err, ErrNotFound) {
			return s.sure(ctx, bucket, key, r.Revision, err)
		}
		return err
	})
	if err == nil && revision != 0 && r.Revision != revision {
		return r, fmt.Errorf("%w: %s is at revision %d, not %d; read it again", ErrConflict, key, r.Revision, revision)
	}
	return r, err
}

func (s *Store) info(ctx context.Context, bucket string, opts ...jetstream.StreamInfoOpt) (*jetstream.StreamInfo, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stream, err := s.js.Stream(ctx, streamOf(bucket))
	if err != nil {
		return nil, fmt.Errorf("%w: look at bucket %s: %w", ErrUnavailable, bucket, err)
	}
	info := stream.CachedInfo()
	if len(opts) > 0 {
		if info, err = stream.Info(ctx, opts...); err != nil {
			return nil, fmt.Errorf("%w: look at bucket %s: %w", ErrUnavailable, bucket, err)
		}
	}
	if leaderless(info) { // then any replica answers
		return nil, fmt.Errorf("%w: bucket %s has no leader", ErrUnavailable, bucket)
	}
	return info, nil
}

func leaderless(i *jetstream.StreamInfo) bool { return i.Cluster != nil && i.Cluster.Leader == "" }

// spare fails with ErrLimit when the bucket is so full that only changes and removals are taken.
func (s *Store) spare(ctx context.Context, bucket string) error {
	info, err := s.info(ctx, bucket)
	if err != nil {
		return err
	}
	if filled(info, fullParts) {
		return fmt.Errorf("%w: bucket %s holds %d of %d bytes, and the rest is kept for changes and removals; what removals have left "+
			"behind is purged an hour later, and an operator may give the bucket more", ErrLimit, bucket, info.State.Bytes, info.Config.MaxBytes)
	}
	return nil
}

// filled says whether a bucket holds more than so many of wholeParts of what it may.
func filled(i *jetstream.StreamInfo, parts uint64) bool {
	most := i.Config.MaxBytes
	return most > 0 && i.State.Bytes > uint64(most)/wholeParts*parts
}
