// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// Whoever asks a leader that is cut off may be told that all is as it should be already, when it is not any more. So nothing is answered
// for done that no quorum has taken.
func TestWhatIsDoneAlreadyIsWrittenAgain(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	gone, _ := mustUser(t, s, "ann")
	must(t)(nil, s.RemoveUser(ctx, gone, 0))
	key, _ := mustUser(t, s, "bob")

	alone := mustStore(t, &crashing{JetStream: js}, StoreConfig{}) // it can read, and not write
	expectErr(t, "the removal of a user who is gone", alone.RemoveUser(ctx, gone, 0), errCrash)
	_, err := alone.SetAdmin(ctx, key, false, 0)
	expectErr(t, "making a user what it is", err, errCrash)
	mustRoom(t, s, "lab")
	must(t)(s.MarkDeleting(ctx, "lab", 0))
	_, err = alone.MarkDeleting(ctx, "lab", 0)
	expectErr(t, "the deletion of a room that is being deleted", err, errCrash)
	bob := must(t)(alone.GetUser(ctx, key)).(Record[v1.User])
	expectErr(t, "what is there", Sure(ctx, alone, bob), errCrash)
	must(t)(nil, Sure(ctx, s, bob))
	mustAdmin(t, s, "another")
	must(t)(s.SetAdmin(ctx, key, true, 0))
	expectErr(t, "what was there", Sure(ctx, s, bob), ErrConflict)
}

// What is not there may be so for a leader that is cut off only.
func TestWhatIsNotThereIsAskedOfAQuorum(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	key, _ := mustUser(t, s, "ann")
	nobody, _ := mustKey(t)
	room := mustRoom(t, s, "lab")
	mustRoom(t, s, "old")
	must(t)(s.MarkDeleting(ctx, "old", 0))
	for what, do := range map[string]func(s *Store) error{
		"the removal of nobody":                 func(s *Store) error { return s.RemoveUser(ctx, nobody, 0) },
		"the removal of who is in no room":      func(s *Store) error { return s.RemoveMember(ctx, "lab", key, 0) },
		"the removal from a room that is none":  func(s *Store) error { return s.RemoveMember(ctx, "none", key, 0) },
		"the deletion of a room that is none":   func(s *Store) error { _, err := s.MarkDeleting(ctx, "none", 0); return err },
		"the deletion of a class that is none":  func(s *Store) error { return s.DeleteClass(ctx, "none", 0) },
		"the change of who is in no room":       func(s *Store) error { _, err := s.PutMember(ctx, "lab", key, v1.RoleReader, 7); return err },
		"the change of a user who is not there": func(s *Store) error { _, err := s.SetAdmin(ctx, nobody, true, 0); return err },
		"the change of a class that is none":    func(s *Store) error { _, err := s.PutClass(ctx, DefaultClass("none"), 7); return err },
		"nobody in a room":                      func(s *Store) error { _, err := s.PutMember(ctx, "lab", nobody, v1.RoleReader, 0); return err },
		"a user":                                func(s *Store) error { _, err := s.GetUser(ctx, nobody); return err },
		"a name":                                func(s *Store) error { _, err := s.FindUser(ctx, "nobody"); return err },
		"a member":                              func(s *Store) error { _, err := s.GetMember(ctx, "lab", key); return err },
		"a room":                                func(s *Store) error { _, err := s.GetRoom(ctx, "none"); return err },
		"a room that is being deleted":          func(s *Store) error { _, err := s.OpenRoom(ctx, "old"); return err },
	} {
		expectErr(t, what, do(s), ErrNotFound)
		expectErr(t, what, do(mustStore(t, &crashing{JetStream: js}, StoreConfig{})), errCrash)
	}
	// Another leader knows better.
	put := func() { must(t)(s.PutMember(ctx, "lab", key, v1.RoleReader, 0)) }
	must(t)(nil, mustStore(t, &between{js, v1.HeartbeatKey, put}, StoreConfig{}).RemoveMember(ctx, "lab", key, 0))
	if keys := live(t, s, v1.BucketMembers); len(keys) != 0 {
		t.Errorf("it is still in room %s: %v", room.ID, keys)
	}
	m := must(t)(mustStore(t, &between{js, v1.HeartbeatKey, put}, StoreConfig{}).GetMember(ctx, "lab", key)).(Record[v1.Member])
	if m.Value.Role != v1.RoleReader {
		t.Errorf("read %+v", m)
	}
}

// meeting is a JetStream whose writes wait for each other.
type meeting struct {
	jetstream.JetStream
	wait  sync.WaitGroup
	alone atomic.Bool
}

func (m *meeting) PublishMsg(ctx context.Context, msg *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if isMarker(msg.Header) {
		met := make(chan struct{})
		m.wait.Done()
		go func() { m.wait.Wait(); close(met) }()
		select {
		case <-met:
		case <-time.After(natstest.Patience):
			m.alone.Store(true)
			return nil, errCrash
		}
	}
	return m.JetStream.PublishMsg(ctx, msg, opts...)
}

// A room of very many members would take too long to delete if one waited for the other.
func TestMembersOfARoomAreRemovedAtTheSameTime(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	mustRoom(t, s, "lab")
	for i := range width {
		key, _ := mustUser(t, s, fmt.Sprint("user-", i))
		must(t)(s.PutMember(ctx, "lab", key, v1.RoleMember, 0))
	}
	r := must(t)(s.MarkDeleting(ctx, "lab", 0)).(Record[v1.Room])
	m := &meeting{JetStream: js}
	m.wait.Add(width)
	together := mustStore(t, m, StoreConfig{})
	must(t)(nil, together.removeAll(ctx, v1.MemberKey(r.Value.ID, "*"), func() (bool, error) { return true, nil }))
	if keys := live(t, s, v1.BucketMembers); len(keys) != 0 || m.alone.Load() {
		t.Errorf("left: %v", keys)
	}
}
