// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// history is the name of a class's history as the leader knows it.
func history(t testing.TB, s *Store, class string) string {
	t.Helper()
	return must(t)(s.GetKept(t.Context(), class)).(v1.Class).Name
}

func expectGone(t testing.TB, s *Store, want map[string]bool) {
	t.Helper()
	for history, want := range want {
		if got := must(t)(s.Gone(t.Context(), history)).(bool); got != want {
			t.Errorf("history %s is gone: %v, want %v", history, got, want)
		}
	}
}

// Each class of a name has a history of its own, which no other ever has, and keeps it through changes.
func TestClassesOfANameHaveHistoriesOfTheirOwn(t *testing.T) {
	_, js := mustOne64(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	had := map[string]bool{}
	for range 3 {
		c := must(t)(s.PutClass(ctx, DefaultClass("c"), 0)).(Record[v1.Class])
		name := history(t, s, "c")
		if _, again := had[name]; again {
			t.Fatalf("the history %s is used again", name)
		}
		had[name] = false
		expectGone(t, s, had)
		c.Value.MaxMessagesPerRoom++
		c = must(t)(s.PutClass(ctx, c.Value, c.Revision)).(Record[v1.Class])
		room := must(t)(s.CreateRoom(ctx, "r", "c")).(Record[v1.Room]) // which writes the class as well
		if got := history(t, s, "c"); got != name {
			t.Errorf("the history is %s after changes, and was %s", got, name)
		}
		must(t)(s.MarkDeleting(ctx, "r", 0))
		must(t)(nil, s.FinishDeletion(ctx, room.Value))
		must(t)(nil, s.DeleteClass(ctx, "c", 0))
		had[name] = true
		expectGone(t, s, had)
	}
	if !had["c"] || len(had) != 3 {
		t.Errorf("histories %v, want that of the first class to have its name", had)
	}
	expectGone(t, s, map[string]bool{"never": true, "never_7": true, "No Class": true})
}

// What tells classes of a name apart is not purged with the markers of what else was removed.
func TestMarkersOfClassesStay(t *testing.T) {
	_, js := mustOne64(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	var c clock
	conf := quick
	conf.Now = c.now
	w := newWatched(conf).mustRun(t, js).withinReady(t)
	must(t)(s.PutClass(ctx, DefaultClass("c"), 0))
	first := history(t, s, "c")
	must(t)(nil, s.DeleteClass(ctx, "c", 0))
	for i := 0; !filled(must(t)(s.info(ctx, v1.BucketRooms)).(*jetstream.StreamInfo), pressedParts); i++ {
		room := mustRoom(t, s, fmt.Sprint("r-", i))
		must(t)(s.MarkDeleting(ctx, room.Name, 0))
		must(t)(nil, s.FinishDeletion(ctx, room))
	}
	w.within(t, "all seen", func() bool { return w.State().Rooms == 0 && len(w.known(v1.BucketRooms, true)) > 1 })
	c.forward(markerAge + time.Minute)
	w.within(t, "a proof", func() bool { return w.Age() < time.Second })
	if n := purgeMarkers(t, s, w.Directory); n == 0 {
		t.Fatal("nothing was purged")
	}
	must(t)(s.PutClass(ctx, DefaultClass("c"), 0))
	if again := history(t, s, "c"); again == first {
		t.Errorf("a second class has the history %s of the first", again)
	}
}

// A directory that is behind takes no class for a room's that was there before the room.
func TestADirectoryKnowsAClassThatIsNewerThanTheRoom(t *testing.T) {
	x := newTable(t)
	put := func(after uint64) { x.tell(v1.BucketRooms, v1.ClassKey("c"), class{DefaultClass("c"), after}) }
	room := func(name, class, letter string) v1.Room {
		r := v1.Room{Name: name, ID: id(letter), Class: class}
		x.tell(v1.BucketRooms, v1.RoomKey(name), r)
		return r
	}
	expect := func(what string, r v1.Room, want string) {
		t.Helper()
		c, ok := x.Kept(r.ID)
		if ok != (want != "") || ok && c.Name != want {
			t.Errorf("%s: the history of room %s is %q, %v; want %q", what, r.Name, c.Name, ok, want)
		}
	}
	unsettled := func(want ...v1.Room) {
		t.Helper()
		if diff := cmp.Diff(want, x.Unsettled()); diff != "" {
			t.Errorf("unsettled: %s", diff)
		}
	}
	put(0)
	old := room("old", "c", "A")
	expect("made", old, "")
	unsettled(old)
	put(0)
	expect("settled", old, "c")
	mute := room("mute", "", "B")
	expect("keeps nothing", mute, "")
	unsettled()
	if got := x.History("c") + x.History("d"); got != "c" {
		t.Errorf("histories of classes: %q", got)
	}
	// What has happened since is shown in the order of the newest records: the room of the class that was made again comes before it.
	anew := room("anew", "c", "C")
	expect("of a class that is not known yet", anew, "")
	unsettled(anew)
	put(9)
	expect("of a class that was made again", anew, "c_9")
	unsettled()
	if c, ok := x.Class("c"); !ok || c.Name != "c" || x.History("c") != "c_9" {
		t.Errorf("class %+v has the history %s", c, x.History("c"))
	}
	x.tell(v1.BucketRooms, v1.RoomKey("anew"), nil)
	expect("of a room that is gone", anew, "")
}

// The rooms that are unsettled are kept as a set, which is at any time what a look at all rooms would find.
func TestUnsettledIsWhatALookAtAllRoomsFinds(t *testing.T) {
	x := newTable(t)
	random := rand.New(rand.NewPCG(1, 2))
	b, found := x.buckets[slices.Index(buckets, v1.BucketRooms)], 0
	for step := range 5000 {
		n := random.IntN(6)
		name, class := fmt.Sprint("r", n), []string{"", "c", "d"}[random.IntN(3)]
		switch random.IntN(10) {
		case 0, 1, 2, 3:
			x.tell(v1.BucketRooms, v1.RoomKey(name), v1.Room{Name: name, ID: id(string(rune('A' + n + 6*random.IntN(2)))), Class: class, Deleting: random.IntN(4) == 0})
		case 4:
			x.tell(v1.BucketRooms, v1.RoomKey(name), nil)
		case 5, 6, 7:
			x.tell(v1.BucketRooms, v1.ClassKey("c"), DefaultClass("c"))
		case 8:
			x.tell(v1.BucketRooms, v1.ClassKey([]string{"c", "d"}[random.IntN(2)]), []any{nil, "{", DefaultClass("d")}[random.IntN(3)])
		case 9: // the bucket was made anew, and counts from 1 again
			b.remade(time.Unix(int64(step), 0), 0)
			x.seq = 0
			b.begin()
		}
		want := map[string]struct{}{}
		for id, r := range x.index.rooms {
			if _, ok := x.Kept(id); !ok && r.Class != "" && !r.Deleting {
				want[id] = struct{}{}
			}
		}
		found += len(want)
		if diff := cmp.Diff(want, x.index.unsettled); diff != "" {
			t.Fatalf("step %d: %s", step, diff)
		}
	}
	if found == 0 {
		t.Error("no room was unsettled")
	}
}

// Whoever made a room may have ended before it wrote the class: then others do.
func TestARoomIsSettledByOthers(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	must(t)(s.PutClass(ctx, DefaultClass("c"), 0))
	w := newWatched(quick).mustRun(t, js).withinReady(t)
	key, _ := mustUser(t, s, "ann")
	for what, settle := range map[string]func(v1.Room) error{
		"the janitor":             func(r v1.Room) error { return s.Settle(ctx, r) },
		"who takes somebody into": func(r v1.Room) error { _, err := s.PutMember(ctx, r.Name, key, v1.RoleReader, 0); return err },
	} {
		r := v1.Room{Name: "lab", ID: id("L"), Class: "c"}
		was := must(t)(s.get(ctx, v1.BucketRooms, v1.RoomKey("lab"))).(entry)
		must(t)(s.put(ctx, v1.BucketRooms, v1.RoomKey("lab"), r, was.revision))
		w.within(t, what+": a room whose maker has ended", func() bool { return len(w.Unsettled()) == 1 })
		if _, ok := w.Kept(r.ID); ok {
			t.Error("its history is taken from a class that may be another")
		}
		must(t)(nil, settle(r))
		w.within(t, what+": the class", func() bool { _, ok := w.Kept(r.ID); return ok && len(w.Unsettled()) == 0 })
		must(t)(s.MarkDeleting(ctx, "lab", 0))
		must(t)(nil, s.FinishDeletion(ctx, r))
	}
	expectErr(t, "a room that is gone", s.Settle(ctx, v1.Room{Name: "lab"}), ErrNotFound)
}
