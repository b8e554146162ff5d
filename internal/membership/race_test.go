// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

func TestNoUpdateIsLost(t *testing.T) {
	t.Run("one replica", func(t *testing.T) {
		_, js := mustOne(t)
		noUpdateIsLost(t, js)
	})
	t.Run("three replicas", func(t *testing.T) { noUpdateIsLost(t, mustSite(t, 4<<20).js[0]) })
}

func noUpdateIsLost(t *testing.T, js jetstream.JetStream) {
	ctx := t.Context()
	const writers, rounds = 8, 10
	c := DefaultClass("c")
	must(t)(mustStore(t, js, StoreConfig{}).PutClass(ctx, c, 0))
	var wg sync.WaitGroup
	var conflicts atomic.Int64
	for range writers {
		s := mustStore(t, js, StoreConfig{})
		wg.Go(func() {
			for done := 0; done < rounds; {
				r, err := s.GetClass(ctx, "c")
				if err == nil {
					r.Value.MaxMessagesPerRoom++
					_, err = s.PutClass(ctx, r.Value, r.Revision)
				}
				switch {
				case err == nil:
					done++
				case errors.Is(err, ErrConflict):
					conflicts.Add(1)
				default:
					t.Error(err)
					return
				}
			}
		})
	}
	wg.Wait()
	r := must(t)(mustStore(t, js, StoreConfig{}).GetClass(ctx, "c")).(Record[v1.Class])
	if want := c.MaxMessagesPerRoom + writers*rounds; r.Value.MaxMessagesPerRoom != want || conflicts.Load() == 0 {
		t.Errorf("%d after %d conflicts, want %d", r.Value.MaxMessagesPerRoom, conflicts.Load(), want)
	}
}

func TestOneOfManyGetsTheName(t *testing.T) {
	_, js := mustOne(t)
	ctx := t.Context()
	s := mustStore(t, js, StoreConfig{})
	for round := range 10 {
		name := fmt.Sprint("ann-", round)
		var wg sync.WaitGroup
		var won atomic.Int64
		for range 6 {
			key, _ := mustKey(t)
			wg.Go(func() {
				_, err := s.CreateUser(ctx, v1.User{Name: name, Key: key})
				switch {
				case err == nil:
					won.Add(1)
				case !errors.Is(err, ErrExists) && !errors.Is(err, ErrConflict):
					t.Error(err)
				}
			})
		}
		wg.Wait()
		list, _, err := s.ListUsers(ctx, "", 0)
		if err != nil {
			t.Fatal(err)
		}
		have := 0
		for _, u := range list {
			if u.Value.Name == name {
				have++
			}
		}
		if int64(have) != won.Load() || have > 1 {
			t.Errorf("%d users have the name %s, and %d were told that they have", have, name, won.Load())
		}
	}
}

// between is a JetStream on which something happens right before one write to a subject that has a part.
type between struct {
	jetstream.JetStream
	part string
	do   func()
}

func (b *between) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if do := b.do; do != nil && strings.Contains(m.Subject, b.part) {
		b.do = nil
		do()
	}
	return b.JetStream.PublishMsg(ctx, m, opts...)
}

func TestWhatHappensBetweenTwoSteps(t *testing.T) {
	_, js := mustOne(t)
	ctx := t.Context()
	s := mustStore(t, js, StoreConfig{})
	store := func(part string, do func()) *Store { return mustStore(t, &between{js, part, do}, StoreConfig{}) }

	t.Run("another takes a claim over before the user is there", func(t *testing.T) {
		a, _ := mustKey(t)
		b, _ := mustKey(t)
		_, err := store(".user.", func() { must(t)(s.CreateUser(ctx, v1.User{Name: "one", Key: b})) }).CreateUser(ctx, v1.User{Name: "one", Key: a})
		expectErr(t, "the first", err, ErrExists)
		_, err = s.GetUser(ctx, a)
		expectErr(t, "the first", err, ErrNotFound)
	})
	t.Run("the user is there before another takes its claim over", func(t *testing.T) {
		a, aHex := mustKey(t)
		b, bHex := mustKey(t)
		must(t)(s.write(ctx, v1.BucketUsers, v1.UserNameKey("two"), nil, []byte(v1.UserKey(aHex)), 0)) // a's claim, and then a crash
		_, err := store(".name.", func() { must(t)(s.CreateUser(ctx, v1.User{Name: "two", Key: a})) }).CreateUser(ctx, v1.User{Name: "two", Key: b})
		expectErr(t, "the second", err, ErrConflict)
		must(t)(s.GetUser(ctx, a))
		if all := live(t, s, v1.BucketUsers); strings.Contains(strings.Join(all, " "), bHex) {
			t.Error("both are there")
		}
	})
	t.Run("a room is made before its class is removed", func(t *testing.T) {
		must(t)(s.PutClass(ctx, DefaultClass("three"), 0))
		err := store(".class.", func() { must(t)(s.CreateRoom(ctx, "three", "three")) }).DeleteClass(ctx, "three", 0)
		expectErr(t, "the removal", err, ErrConflict)
	})
	t.Run("somebody comes into a room whose maker has ended before its class is removed", func(t *testing.T) {
		must(t)(s.PutClass(ctx, DefaultClass("eight"), 0))
		key, _ := mustUser(t, s, "eight")
		come := func() {
			must(t)(s.put(ctx, v1.BucketRooms, v1.RoomKey("eight"), v1.Room{Name: "eight", ID: id("E"), Class: "eight"}, 0))
			must(t)(s.PutMember(ctx, "eight", key, v1.RoleMember, 0))
		}
		expectErr(t, "the removal", store(".class.", come).DeleteClass(ctx, "eight", 0), ErrConflict)
	})
	t.Run("a class is removed before a room of it is made", func(t *testing.T) {
		must(t)(s.PutClass(ctx, DefaultClass("four"), 0))
		_, err := store(".room.", func() { must(t)(nil, s.DeleteClass(ctx, "four", 0)) }).CreateRoom(ctx, "four", "four")
		expectErr(t, "the room", err, ErrNotFound)
		_, err = s.GetRoom(ctx, "four")
		expectErr(t, "the room", err, ErrNotFound)
	})
	t.Run("a user is made again while it is removed", func(t *testing.T) {
		key, _ := mustUser(t, s, "five")
		room := mustRoom(t, s, "five")
		must(t)(s.PutMember(ctx, "five", key, v1.RoleMember, 0))
		again := func() {
			must(t)(s.CreateUser(ctx, v1.User{Name: "five", Key: key}))
			must(t)(s.PutMember(ctx, "five", key, v1.RoleReader, 0))
		}
		must(t)(nil, store(room.ID, again).RemoveUser(ctx, key, 0))
		if m := must(t)(s.GetMember(ctx, "five", key)).(Record[v1.Member]); m.Value.Role != v1.RoleReader {
			t.Errorf("%+v", m)
		}
		if u := must(t)(s.FindUser(ctx, "five")).(Record[v1.User]); u.Value.Key != key {
			t.Errorf("%+v", u)
		}
	})
	t.Run("a member of a user that is gone has nothing from it later", func(t *testing.T) {
		key, hex := mustUser(t, s, "six")
		room := mustRoom(t, s, "six")
		_, err := store(room.ID, func() { must(t)(nil, s.RemoveUser(ctx, key, 0)) }).PutMember(ctx, "six", key, v1.RoleMember, 0)
		if err != nil {
			t.Fatal(err)
		}
		must(t)(s.CreateUser(ctx, v1.User{Name: "six", Key: key}))
		if all := strings.Join(live(t, s, v1.BucketMembers), " "); strings.Contains(all, hex) {
			t.Errorf("it is still in the room: %s", all)
		}
	})
	t.Run("a removal wins over changes", func(t *testing.T) {
		mustAdmin(t, s, "another")
		key, _ := mustUser(t, s, "seven")
		must(t)(nil, store(".user.", func() { must(t)(s.SetAdmin(ctx, key, true, 0)) }).RemoveUser(ctx, key, 0))
		_, err := s.GetUser(ctx, key)
		expectErr(t, "the user", err, ErrNotFound)
	})
}

// TestARoomIsDeletedWhileSomebodyComesIntoIt: whoever deletes it has listed its members before, and never looks again.
func TestARoomIsDeletedWhileSomebodyComesIntoIt(t *testing.T) {
	_, js := mustOne(t)
	ctx := t.Context()
	s := mustStore(t, js, StoreConfig{})
	key, hex := mustUser(t, s, "ann")
	for _, anew := range []bool{true, false} {
		room := mustRoom(t, s, fmt.Sprint("lab-", anew))
		meanwhile := func() {
			r := must(t)(s.MarkDeleting(ctx, room.Name, 0)).(Record[v1.Room])
			must(t)(nil, s.FinishDeletion(ctx, r.Value))
			if anew {
				mustRoom(t, s, room.Name)
			}
		}
		_, err := mustStore(t, &between{js, room.ID, meanwhile}, StoreConfig{}).PutMember(ctx, room.Name, key, v1.RoleMember, 0)
		expectErr(t, room.Name, err, ErrNotFound)
		if all := strings.Join(live(t, s, v1.BucketMembers), " "); strings.Contains(all, hex) {
			t.Errorf("%s: it is still in the room: %s", room.Name, all)
		}
	}
}
