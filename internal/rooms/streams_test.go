// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// Remove removes the stream of a class with all that it holds.
func Remove(ctx context.Context, js jetstream.JetStream, class string) error {
	return js.DeleteStream(ctx, v1.HistoryStream(class))
}

func mustConfig(t *testing.T, js jetstream.JetStream, class string) jetstream.StreamConfig {
	t.Helper()
	s, err := js.Stream(t.Context(), v1.HistoryStream(class))
	if err != nil {
		t.Fatal(err)
	}
	return s.CachedInfo().Config
}

// updates hears of every change of streams.
func updates(t *testing.T, js jetstream.JetStream) func() int {
	t.Helper()
	sub, err := js.Conn().SubscribeSync("$JS.EVENT.ADVISORY.STREAM.*.>")
	if err != nil {
		t.Fatal(err)
	}
	return func() int {
		for n := 0; ; n++ {
			if _, err := sub.NextMsg(300 * time.Millisecond); err != nil {
				return n
			}
		}
	}
}

func TestEnsure(t *testing.T) {
	node := natstest.MustFound(t, natstest.Options{})
	js := node.MustJetStream(t)
	heard := updates(t, js)
	class := smallClass()
	ctx := t.Context()
	if err := Ensure(ctx, js, class, 1); err != nil {
		t.Fatal(err)
	}
	want := jetstream.StreamConfig{Name: "HISTORY_small", Subjects: []string{"h.small.*"}, MaxConsumers: -1, MaxMsgs: -1, MaxBytes: class.MaxBytes,
		MaxMsgsPerSubject: class.MaxMessagesPerRoom, MaxMsgSize: class.MaxMessageBytes, Replicas: 1, Duplicates: v1.DuplicateWindow, AllowDirect: true,
		DenyDelete: true, RePublish: &jetstream.RePublish{Source: "h.small.*", Destination: "log.{{wildcard(1)}}"}}
	is := mustConfig(t, js, "small")
	is.Metadata = nil
	if diff := cmp.Diff(want, is); diff != "" {
		t.Error(diff)
	}
	if n := heard(); n != 1 {
		t.Errorf("%d changes, want 1", n)
	}
	// Nothing differs, whatever the number of replicas that is asked for.
	for _, replicas := range []int{1, 3} {
		if err := Ensure(ctx, js, class, replicas); err != nil {
			t.Fatal(err)
		}
	}
	if n := heard(); n != 0 {
		t.Errorf("%d changes where nothing differs", n)
	}
	for _, change := range []func(*v1.Class){
		func(c *v1.Class) { c.MaxBytes *= 2 }, func(c *v1.Class) { c.MaxBytes /= 4 }, func(c *v1.Class) { c.MaxMessagesPerRoom = 7 },
		func(c *v1.Class) { c.MaxMessageBytes = 99 }, func(c *v1.Class) { c.MaxAge = time.Second }, func(c *v1.Class) { c.MaxAge = 0 },
		func(c *v1.Class) { c.Full = v1.FullRefuses }, func(c *v1.Class) { c.Full = v1.FullRolls },
	} {
		change(&class)
		if err := Ensure(ctx, js, class, 1); err != nil {
			t.Errorf("%+v: %v", class, err)
		}
		is := mustConfig(t, js, "small")
		if is.MaxBytes != class.MaxBytes || is.MaxMsgsPerSubject != class.MaxMessagesPerRoom || is.MaxMsgSize != class.MaxMessageBytes || is.MaxAge != class.MaxAge ||
			(is.Discard == jetstream.DiscardNew) != (class.Full == v1.FullRefuses) || is.DiscardNewPerSubject != (class.Full == v1.FullRefuses) || is.Replicas != 1 {
			t.Errorf("%+v is %+v", class, is)
		}
	}
	if err := errors.Join(Retire(ctx, js, "small", gone), Retire(ctx, js, "small", gone), Purge(ctx, js, "small", red)); err != nil {
		t.Error(err)
	}
	if _, err := js.Stream(ctx, "HISTORY_small"); !errors.Is(err, jetstream.ErrStreamNotFound) {
		t.Errorf("after its removal: %v", err)
	}
}

// What another component decided about where a stream is stays.
func TestEnsureLeavesReplicasAndPlacement(t *testing.T) {
	nodes := natstest.MustCluster(t, 3, natstest.Options{})
	js := nodes[0].MustJetStream(t)
	class := smallClass()
	nodes[0].MustStream(t, "UNRELATED", 3)
	if err := Ensure(t.Context(), js, class, 3); err != nil {
		t.Fatal(err)
	}
	cfg := mustConfig(t, js, class.Name)
	cfg.Placement = &jetstream.Placement{Cluster: "test"}
	if _, err := js.UpdateStream(t.Context(), cfg); err != nil {
		t.Fatal(err)
	}
	if err := Ensure(t.Context(), js, class, 1); err != nil {
		t.Errorf("nothing is to be changed: %v", err)
	}
	class.MaxMessagesPerRoom = 5
	expectError(t, Ensure(t.Context(), js, class, 1), ErrResizing)
	if is := mustConfig(t, js, class.Name); is.Replicas != 3 || is.MaxMsgsPerSubject == 5 {
		t.Errorf("while resized: %d replicas, %d messages", is.Replicas, is.MaxMsgsPerSubject)
	}
	if err := Ensure(t.Context(), js, class, 3); err != nil {
		t.Fatal(err)
	}
	is := mustConfig(t, js, class.Name)
	if is.Replicas != 3 || is.Placement == nil || is.Placement.Cluster != "test" || is.MaxMsgsPerSubject != 5 {
		t.Errorf("replicas %d, placement %+v", is.Replicas, is.Placement)
	}
}

func TestEnsureNoSpace(t *testing.T) {
	for _, n := range []int{1, 3} {
		t.Run(fmt.Sprint(n, " nodes"), func(t *testing.T) {
			nodes := natstest.MustCluster(t, n, natstest.Options{}) // 1 GiB each
			js := nodes[0].MustJetStream(t)
			nodes[0].MustStream(t, "UNRELATED", n)
			class := smallClass()
			class.MaxBytes = 600 << 20
			if err := Ensure(t.Context(), js, class, n); err != nil {
				t.Fatal(err)
			}
			class.MaxBytes = 2 << 30
			other := class
			other.Name = "other"
			expectError(t, Ensure(t.Context(), js, other, n), ErrNoSpace)
			expectError(t, Ensure(t.Context(), js, class, n), ErrNoSpace)
			if is := mustConfig(t, js, class.Name); is.MaxBytes != 600<<20 {
				t.Errorf("the class now has %d bytes", is.MaxBytes)
			}
		})
	}
}

func TestEnsureTellsWhoDoesNotAnswer(t *testing.T) {
	js := natstest.MustFound(t, natstest.Options{}).MustJetStream(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	expectError(t, Ensure(ctx, js, smallClass(), 1), context.Canceled)
}

func TestPurgeTakesOneRoomOnly(t *testing.T) {
	js := natstest.MustFound(t, natstest.Options{}).MustJetStream(t)
	for _, room := range []string{"", "*", ">", "red", strings.Repeat("*", v1.RoomIDSize)} {
		if err := Purge(t.Context(), js, "small", room); err == nil {
			t.Errorf("room %q was purged", room)
		}
	}
}

func TestRollingClass(t *testing.T) {
	class := smallClass()
	class.MaxMessagesPerRoom = 5
	b := newBus(t, 1, class, nil)
	c := b.client(alice)
	c.fill(3, blue)
	c.fill(9, red)
	messages, _ := c.history(red, v1.HistoryRequest{})
	if diff := cmp.Diff([]string{"4", "5", "6", "7", "8"}, bodies(messages)); diff != "" {
		t.Error(diff)
	}
	if messages, _ := c.history(blue, v1.HistoryRequest{}); len(messages) != 3 {
		t.Errorf("%d messages in the other room, want 3", len(messages))
	}
}

func TestRefusingClass(t *testing.T) {
	class := smallClass()
	class.MaxMessagesPerRoom, class.Full = 5, v1.FullRefuses
	b := newBus(t, 1, class, nil)
	c := b.client(alice)
	c.fill(5, red)
	expectCode(t, c.append(red, "6", v1.HeaderMessageID, "6").Error, v1.CodeFull)
	c.fill(3, blue)
	// A message that was refused is not remembered as kept.
	if err := Purge(t.Context(), b.js, class.Name, red); err != nil {
		t.Fatal(err)
	}
	if a := c.append(red, "6", v1.HeaderMessageID, "6"); a.Error != nil || a.Duplicate {
		t.Errorf("after the purge: %+v", a)
	}
}

// A flood in one room takes from the others what the class says, and no more: its share of the bytes.
func TestFloodTakesItsShareOnly(t *testing.T) {
	for _, full := range []v1.FullPolicy{v1.FullRolls, v1.FullRefuses} {
		t.Run(string(full), func(t *testing.T) {
			class := v1.Class{Name: "flood", MaxBytes: 1 << 20, MaxMessagesPerRoom: 100, MaxMessageBytes: 4 << 10, Full: full}
			b := newBus(t, 1, class, nil)
			if share := class.Share(); share > 0.5 {
				t.Fatalf("share %v", share)
			}
			c := b.client(alice)
			c.fill(20, blue)
			flood := strings.Repeat("x", 4<<10-200)
			for range 500 {
				if a := c.append(red, flood); a.Error != nil && full == v1.FullRolls {
					t.Fatal(a.Error)
				}
			}
			c.fill(20, blue)
			if messages, _ := c.history(blue, v1.HistoryRequest{}); len(messages) != 40 {
				t.Errorf("%d messages in the other room, want 40", len(messages))
			}
		})
	}
}

func gone(context.Context) (bool, error) { return true, nil }

// late is a JetStream that removes streams after something else has happened.
type late struct {
	jetstream.JetStream
	meanwhile func()
}

func (l late) DeleteStream(ctx context.Context, name string) error {
	l.meanwhile()
	return l.JetStream.DeleteStream(ctx, name)
}

// However late a removal comes, it takes nothing of the class of the same name that was made meanwhile, whose history has another name.
func TestRetire(t *testing.T) {
	js := natstest.MustFound(t, natstest.Options{}).MustJetStream(t)
	ctx, class := t.Context(), smallClass()
	again := class
	again.Name = class.Name + "_7"
	ensure := func(c v1.Class) {
		t.Helper()
		if err := Ensure(ctx, js, c, 1); err != nil {
			t.Fatal(err)
		}
	}
	publish := func(c v1.Class) {
		t.Helper()
		if _, err := js.Publish(ctx, v1.HistoryKept(c.Name, red), []byte("kept")); err != nil {
			t.Fatal(err)
		}
	}
	messages := func(c v1.Class) int {
		t.Helper()
		s, err := js.Stream(ctx, v1.HistoryStream(c.Name))
		if errors.Is(err, jetstream.ErrStreamNotFound) {
			return -1
		}
		if err != nil {
			t.Fatal(err)
		}
		return int(s.CachedInfo().State.Msgs)
	}
	ensure(class)
	asked := errors.New("nobody knows")
	if err := Retire(ctx, js, class.Name, func(context.Context) (bool, error) { return false, nil }); err != nil || messages(class) != 0 {
		t.Errorf("of a class that is there: %v, %d messages", err, messages(class))
	}
	expectError(t, Retire(ctx, js, class.Name, func(context.Context) (bool, error) { return false, asked }), asked)
	publish(class)
	expectError(t, Retire(ctx, js, class.Name, gone), ErrHolds)
	if n := messages(class); n != 1 {
		t.Fatalf("%d messages, want the one that it had", n)
	}
	if err := Purge(ctx, js, class.Name, red); err != nil {
		t.Fatal(err)
	}
	if err := Retire(ctx, late{js, func() { ensure(again); publish(again) }}, class.Name, gone); err != nil {
		t.Error(err)
	}
	if messages(class) != -1 || messages(again) != 1 {
		t.Errorf("%d and %d messages, want none of the class that was removed and the one of that which was made again", messages(class), messages(again))
	}
}
