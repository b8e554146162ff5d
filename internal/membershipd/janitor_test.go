// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
)

// withinStream waits until the stream of a class is as it should be; nil for one that is not there.
func withinStream(t *testing.T, js jetstream.JetStream, class, what string, is func(*jetstream.StreamInfo) bool) {
	t.Helper()
	natstest.Within(t, limit, "the stream of class "+class+" to "+what, func() bool {
		s, err := js.Stream(t.Context(), v1.HistoryStream(class))
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return is(nil)
		}
		return err == nil && is(s.CachedInfo())
	})
}

// mustClass makes a class, or changes it at a revision, and returns the new one.
func mustClass(t *testing.T, store *membership.Store, name string, bytes int64, full v1.FullPolicy, revision uint64) uint64 {
	t.Helper()
	c := membership.DefaultClass(name)
	c.MaxBytes, c.Full = bytes, full
	r, err := store.PutClass(t.Context(), c, revision)
	if err != nil {
		t.Fatal(err)
	}
	return r.Revision
}

// has says that there is a stream of that size.
func has(bytes int64) func(*jetstream.StreamInfo) bool {
	return func(s *jetstream.StreamInfo) bool { return s != nil && s.Config.MaxBytes == bytes }
}

// TestStreamsFollowClasses: classes are made, resized, refused for lack of space and removed by their records alone.
func TestStreamsFollowClasses(t *testing.T) {
	n := mustRun(t, planFor(t, "n0", t.TempDir(), nil)) // its store takes 256 MiB
	mustBecome(t, "/readyz", 200, n)
	store := mustStore(t, n)
	js := mustJetStream(t, n.mustConnect(t, embeddednats.AccountHistory))
	put := func(name string, bytes int64, revision uint64) uint64 {
		t.Helper()
		return mustClass(t, store, name, bytes, v1.FullRolls, revision)
	}
	gone := func(s *jetstream.StreamInfo) bool { return s == nil }

	first := put("first", 32<<20, 0)
	withinStream(t, js, "first", "be there", has(32<<20))
	first = put("first", 64<<20, first)
	withinStream(t, js, "first", "be larger", has(64<<20))

	// 256 MiB, less the buckets and the reserve, are not enough for both: the later name waits, and later classes are made all the same.
	second := put("second", 150<<20, 0)
	put("third", 4<<20, 0)
	withinStream(t, js, "third", "be there", has(4<<20))
	withinStream(t, js, "second", "be refused", gone)
	first = put("first", 8<<20, first)
	withinStream(t, js, "second", "be there once there is space", has(150<<20))

	if _, err := js.Publish(t.Context(), v1.HistoryKept("second", "X"), []byte("kept")); err != nil {
		t.Fatal(err)
	}
	for name, revision := range map[string]uint64{"first": first, "second": second} {
		if err := store.DeleteClass(t.Context(), name, revision); err != nil {
			t.Fatal(err)
		}
	}
	withinStream(t, js, "first", "be removed with its class", gone)
	put("fourth", 4<<20, 0)
	withinStream(t, js, "fourth", "be there, in a later round", has(4<<20))
	withinStream(t, js, "second", "be kept, since it holds something", func(s *jetstream.StreamInfo) bool { return s != nil && s.State.Msgs == 1 })
}

// TestAClassHoldsWhatItHeld: a class that refuses drops nothing when it is made smaller, so that others don't get that space.
func TestAClassHoldsWhatItHeld(t *testing.T) {
	n := mustRun(t, planFor(t, "n0", t.TempDir(), nil)) // its store takes 256 MiB
	mustBecome(t, "/readyz", 200, n)
	store := mustStore(t, n)
	js := mustJetStream(t, n.mustConnect(t, embeddednats.AccountHistory))
	put := func(name string, bytes int64, revision uint64) uint64 {
		t.Helper()
		return mustClass(t, store, name, bytes, v1.FullRefuses, revision)
	}
	held := put("held", 48<<20, 0)
	withinStream(t, js, "held", "be there", has(48<<20))
	for range 700 {
		if _, err := js.Publish(t.Context(), v1.HistoryKept("held", "X"), make([]byte, 60<<10)); err != nil {
			t.Fatal(err)
		}
	}
	put("held", 1<<20, held)
	withinStream(t, js, "held", "be smaller, with all that it has", func(s *jetstream.StreamInfo) bool {
		return has(1<<20)(s) && s.State.Msgs == 700
	})
	put("big", 160<<20, 0)
	put("later", 1<<20, 0)
	withinStream(t, js, "later", "be there", has(1<<20))
	withinStream(t, js, "big", "be refused", func(s *jetstream.StreamInfo) bool { return s == nil })
	stream, err := js.Stream(t.Context(), v1.HistoryStream("held"))
	if err == nil {
		err = stream.Purge(t.Context())
	}
	if err != nil {
		t.Fatal(err)
	}
	withinStream(t, js, "big", "be there once there is space", has(160<<20))
}
