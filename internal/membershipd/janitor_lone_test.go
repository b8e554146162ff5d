// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/rooms"
)

// lone is a janitor whose rounds are the test's.
type lone struct {
	*janitor
	members jetstream.JetStream
	stop    func()        // ends the directory, which goes on with what it knows
	ahead   time.Duration // of the clock
	mu      sync.Mutex
}

func (l *lone) clock() time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return time.Now().Add(l.ahead)
}

func (l *lone) forward(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ahead += d
}

func mustLone(t *testing.T) *lone {
	t.Helper()
	node := natstest.MustFound(t, natstest.Options{})
	nc, history := node.MustConnect(t, embeddednats.AccountMembership), node.MustConnect(t, embeddednats.AccountHistory)
	l := &lone{members: mustJetStream(t, nc)}
	for _, bucket := range []string{v1.BucketUsers, v1.BucketRooms, v1.BucketMembers} {
		if _, err := l.members.CreateKeyValue(t.Context(), jetstream.KeyValueConfig{Bucket: bucket, MaxBytes: smallestBucket}); err != nil {
			t.Fatal(err)
		}
	}
	d := membership.NewDirectory(membership.Config{Heartbeat: 200 * time.Millisecond, Logger: natstest.Logger(), Now: l.clock})
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- d.Run(ctx, nc) }()
	l.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(l.stop)
	var err error
	if l.janitor, err = newJanitor(natstest.Logger(), d, node.Server, nc, history); err != nil {
		t.Fatal(err)
	}
	l.now = l.clock
	natstest.Within(t, limit, "the directory", d.Ready)
	return l
}

func (l *lone) mustRound(t *testing.T) {
	t.Helper()
	if err := l.round(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// mustDelete makes a room, and marks it.
func (l *lone) mustDelete(t *testing.T, name, class string) v1.Room {
	t.Helper()
	_, err := l.store.CreateRoom(t.Context(), name, class)
	if err != nil {
		t.Fatal(err)
	}
	r, err := l.store.MarkDeleting(t.Context(), name, 0)
	if err != nil {
		t.Fatal(err)
	}
	natstest.Within(t, limit, "the mark", func() bool { return len(l.directory.Deleting()) == 1 })
	return r.Value
}

// TestALateJanitorGoesByTheRecords: what it knows is old, and another has gone on.
func TestALateJanitorGoesByTheRecords(t *testing.T) {
	l := mustLone(t)
	revision := mustClass(t, l.store, "old", 8<<20, v1.FullRolls, 0)
	mustClass(t, l.store, "less", 4<<20, v1.FullRolls, 0)
	natstest.Within(t, limit, "the classes", func() bool { return len(l.directory.Classes()) == 2 })
	l.mustRound(t)
	l.stop()
	mustClass(t, l.store, "old", 16<<20, v1.FullRolls, revision)
	mustClass(t, l.store, "new", 4<<20, v1.FullRolls, 0)
	if err := l.store.DeleteClass(t.Context(), "less", 0); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"old", "new"} {
		c, err := l.store.GetClass(t.Context(), name)
		if err == nil {
			err = rooms.Ensure(t.Context(), l.history, c.Value, 1)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := l.history.DeleteStream(t.Context(), v1.HistoryStream("less")); err != nil {
		t.Fatal(err)
	}
	l.mustRound(t)
	for name, bytes := range map[string]int64{"old": 16 << 20, "new": 4 << 20} {
		if s, err := l.history.Stream(t.Context(), v1.HistoryStream(name)); err != nil || s.CachedInfo().Config.MaxBytes != bytes {
			t.Errorf("class %s: %v", name, err)
		}
	}
	if _, err := l.history.Stream(t.Context(), v1.HistoryStream("less")); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("the stream of a class that was deleted came back: %v", err)
	}
}

func TestADeletionMayTakeLongerThanARound(t *testing.T) {
	l := mustLone(t)
	mustClass(t, l.store, "any", 1<<20, v1.FullRolls, 0)
	l.mustDelete(t, "large", "any")
	natstest.Within(t, limit, "the class", func() bool { return len(l.directory.Classes()) == 1 })
	l.limit = 1
	if err := l.round(t.Context()); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("the round had no end: %v", err)
	}
	if _, err := l.store.GetRoom(t.Context(), "large"); !errors.Is(err, membership.ErrNotFound) {
		t.Errorf("the room: %v", err)
	}
}

// TestWhatIsAppendedAfterADeletionGoes: a node that has not heard of the deletion may append for some time.
func TestWhatIsAppendedAfterADeletionGoes(t *testing.T) {
	l := mustLone(t)
	mustClass(t, l.store, "keep", 1<<20, v1.FullRefuses, 0)
	natstest.Within(t, limit, "the class", func() bool { return len(l.directory.Classes()) == 1 })
	room := l.mustDelete(t, "lab", "keep")
	l.mustRound(t)
	if _, err := l.history.Publish(t.Context(), v1.HistoryKept("keep", room.ID), []byte("late")); err != nil {
		t.Fatal(err)
	}
	held := func() uint64 {
		s, err := l.history.Stream(t.Context(), v1.HistoryStream("keep"))
		if err != nil {
			t.Fatal(err)
		}
		return s.CachedInfo().State.Msgs
	}
	natstest.Within(t, limit, "the room's end", func() bool { return len(l.directory.Deleting()) == 0 })
	l.mustRound(t)
	if held() != 1 {
		t.Error("purged again before others have heard")
	}
	l.forward(purgeAgain)
	l.mustRound(t)
	if held() != 0 || len(l.deleted) != 0 {
		t.Error("what was appended after the deletion stays")
	}
}

// TestMarkersMakeRoom: users come and go for longer than the bucket has space for.
func TestMarkersMakeRoom(t *testing.T) {
	l := mustLone(t)
	come := func(n int) (string, error) {
		pair, err := nkeys.CreateUser()
		if err != nil {
			t.Fatal(err)
		}
		key, err := pair.PublicKey()
		if err != nil {
			t.Fatal(err)
		}
		_, err = l.store.CreateUser(t.Context(), v1.User{Name: fmt.Sprint("user-", n), Key: key})
		return key, err
	}
	full := 0
	for n := 0; full == 0; n++ {
		key, err := come(n)
		switch {
		case errors.Is(err, membership.ErrLimit):
			full = n
		case err != nil:
			t.Fatal(err)
		default:
			if err := l.store.RemoveUser(t.Context(), key, 0); err != nil {
				t.Fatal(err)
			}
		}
	}
	natstest.Within(t, limit, "the last removal", func() bool { return l.directory.State().Users == 0 })
	l.mustRound(t)
	if _, err := come(full); !errors.Is(err, membership.ErrLimit) {
		t.Errorf("markers were purged that are new: %v", err)
	}
	l.forward(2 * time.Hour)
	l.mustRound(t)
	if _, err := come(full); err != nil {
		t.Errorf("no user can be made after %d that are gone: %v", full, err)
	}
}
