// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
)

// TestUnread: what is said in rooms that were never looked at is counted, and shown where nothing is kept.
func TestUnread(t *testing.T) {
	m, f := mustModel(t, 80, 24)
	cellar := &client.Room{ID: "c", Name: "cellar", Class: "kept", Role: v1.RoleMember}
	tell(m, roomsMsg{rooms: []*client.Room{alarms, cellar, kitchen}})
	for _, want := range []string{"watch cellar", "next alarms 0"} {
		if !slices.Contains(f.asked, want) {
			t.Errorf("it did not ask for %q: %v", want, f.asked)
		}
	}
	tell(m, newsMsg{room: "c", sender: bob}, newsMsg{room: "c", sender: ann}, newsMsg{room: "c", sender: bob}, newsMsg{room: "c", err: client.ErrSlow},
		heardMsg{room: "a", message: client.Message{Sender: bob, Data: []byte("fire")}})
	expect(t, m, "cellar          2", 1)
	expect(t, m, "alarms          1", 1)
	tell(m, tea.KeyPressMsg{Code: tea.KeyTab, Mod: tea.ModShift}, newsMsg{room: "c", sender: bob})
	expect(t, m, "cellar (", 1)
	expect(t, m, "cellar          1", 0)
	if !slices.Contains(f.asked, "next cellar 0") || f.asked[len(f.asked)-1] != "unwatch c" {
		t.Errorf("it is watched beside being followed: %v", f.asked)
	}
	tell(m, tea.KeyPressMsg{Code: tea.KeyTab, Mod: tea.ModShift})
	expect(t, m, "bob: fire", 1)
	asked := len(f.asked)
	tell(m, newsMsg{room: "gone"}, newsMsg{room: "k", err: client.ErrClosed})
	for _, a := range f.asked[asked:] {
		if a != "unwatch gone" && a != "unwatch k" {
			t.Errorf("it asked for %q", a)
		}
	}
}

// TestManyRooms: there is a bound to how many are followed.
func TestManyRooms(t *testing.T) {
	m, f := mustModel(t, 80, 24)
	rooms := []*client.Room{alarms, kitchen}
	for i := range 2 * mostFollowed {
		rooms = append(rooms, &client.Room{ID: fmt.Sprint(i), Name: fmt.Sprint("room", i), Class: "kept"})
	}
	f.asked = nil
	if tell(m, roomsMsg{rooms: rooms}); len(f.asked) != mostFollowed-2 {
		t.Errorf("%d rooms are watched", len(f.asked))
	}
}

// TestWatchingGoesOn after what may pass.
func TestWatchingGoesOn(t *testing.T) {
	m, f := mustModel(t, 80, 24)
	tell(m, roomsMsg{rooms: []*client.Room{kitchen, {ID: "c", Name: "cellar", Class: "kept"}}})
	_, do := m.Update(newsMsg{room: "c", err: errors.New("no answer")})
	f.asked = nil
	if tell(m, do()); !slices.Equal(f.asked, []string{"watch cellar"}) {
		t.Errorf("it asked for %v", f.asked)
	}
}

// TestTakenInAgain: a room that the user was taken out of is watched again when it is listed again, before it was looked at and after.
func TestTakenInAgain(t *testing.T) {
	m, f := mustModel(t, 80, 24)
	rooms := roomsMsg{rooms: []*client.Room{{ID: "c", Name: "cellar", Class: "kept"}, kitchen}}
	out := fmt.Errorf("next: %w", client.ErrForbidden)
	tell(m, rooms, newsMsg{room: "c", err: out})
	f.asked = nil
	if tell(m, rooms, rooms); !slices.Equal(f.asked, []string{"watch cellar"}) {
		t.Errorf("it asked for %v", f.asked)
	}
	tell(m, tea.KeyPressMsg{Code: tea.KeyTab}, heardMsg{room: "c", err: out})
	expect(t, m, outside, 1)
	f.asked = nil
	if tell(m, rooms, rooms); !slices.Equal(f.asked, []string{"next cellar 0"}) {
		t.Errorf("it asked for %v", f.asked)
	}
	expect(t, m, outside, 0)
}

// TestWaiting: a message that nobody takes is told, though there is a connection.
func TestWaiting(t *testing.T) {
	m, f := mustModel(t, 80, 24)
	enter(m, "hello")
	tell(m, tickMsg(noon.Add(slowAfter/2)))
	expect(t, m, "connected to n1 as ann", 1)
	tell(m, tickMsg(noon.Add(2*time.Second)))
	expect(t, m, "connected to n1, waiting for the room, 2 s as ann", 1)
	tell(m, sentMsg{room: "k", id: m.open.own[0].id}, tickMsg(noon.Add(3*time.Second)))
	expect(t, m, "connected to n1 after a pause of 3.0 s as ann", 1)
	f.node = "n2"
	tell(m, tickMsg(noon.Add(4*time.Second)))
	expect(t, m, "moved to n2 as ann", 1)
	tell(m, tickMsg(noon.Add(time.Minute)))
	expect(t, m, "connected to n2 as ann", 1)
}

// TestWaitingBeginsWithSending: what was typed long ago and is sent now makes no pause.
func TestWaitingBeginsWithSending(t *testing.T) {
	m, _ := mustModel(t, 80, 24)
	for i := range 4 {
		enter(m, fmt.Sprint("message ", i))
	}
	for i := range 4 { // each takes a while, none of them long
		tell(m, tickMsg(noon.Add(time.Duration(i+1)*slowAfter*3/4)))
		expect(t, m, "connected to n1 as ann", 1)
		tell(m, sentMsg{room: "k", id: m.open.own[i].id})
	}
	expect(t, m, "connected to n1 as ann", 1)
}

// TestBound: however much is said while somebody reads what is old, no more is held than there is room for; it is heard after coming back.
func TestBound(t *testing.T) {
	m, f := mustModel(t, 80, 24)
	for i := range 100 {
		tell(m, hear(uint64(i+1), bob, "", "before"))
	}
	tell(m, tea.KeyPressMsg{Code: tea.KeyPgUp})
	for len(m.open.heard) < mostHeard-10 { // quicker than to hear them
		m.open.heard = append([]entry{m.open.heard[0]}, m.open.heard...)
	}
	said := uint64(100)
	for m.open.following && said < 2*mostHeard {
		said++
		f.asked = nil
		tell(m, hear(said, bob, "", "meanwhile"))
		m.open.following = len(f.asked) > 0
	}
	if n := len(m.open.heard); n > mostHeard {
		t.Errorf("%d messages are held", n)
	}
	f.asked = nil
	m.open.scroll = 1
	tell(m, tea.KeyPressMsg{Code: tea.KeyPgDown})
	if want := fmt.Sprintf("next kitchen %d", said); !slices.Equal(f.asked, []string{want}) {
		t.Errorf("it asked for %v, want %q", f.asked, want)
	}
	tell(m, hear(said+1, bob, "", "afterwards"))
	expect(t, m, "bob: afterwards", 1)
	for len(m.open.heard) < mostHeard {
		m.open.heard = append(m.open.heard, m.open.heard[0])
	}
	m.open.scroll, m.open.more, f.asked = mostHeard-2*m.bodyHeight(), true, nil
	for range 3 {
		tell(m, tea.KeyPressMsg{Code: tea.KeyPgUp})
	}
	if expect(t, m, "older ones: unibus history", 1); len(f.asked) > 0 {
		t.Errorf("it asked for %v", f.asked)
	}
}

// TestGivenBack: what could not be sent is in the input again, with the reason above it, as soon as nothing else is.
func TestGivenBack(t *testing.T) {
	m, f := mustModel(t, 80, 24)
	refuse := func() { tell(m, sentMsg{room: "k", id: m.open.outbox[0].ID, err: client.ErrTooLarge}) }
	typed := func(want string) {
		t.Helper()
		if got := m.input.Value(); got != want {
			t.Errorf("%q is typed, want %q", got, want)
		}
	}
	enter(m, "one")
	enter(m, "two")
	refuse()
	typed("one")
	expect(t, m, "ann: one", 1)
	expect(t, m, "not acknowledged", 1)
	refuse()
	typed("one")
	tell(m, tea.PasteMsg{Content: " more"}, tea.KeyPressMsg{Code: tea.KeyEnter})
	typed("two")
	if !slices.Contains(f.asked, "publish kitchen one more") {
		t.Errorf("it is not sent again: %v", f.asked)
	}
	expect(t, m, "not acknowledged", 0)
	// One that fails in a room that is not looked at waits there, unless it was taken after all.
	tell(m, tea.KeyPressMsg{Code: 'u', Mod: tea.ModCtrl})
	enter(m, "three")
	was, three := m.open, m.open.outbox[1].ID
	tell(m, tea.KeyPressMsg{Code: tea.KeyTab})
	for len(was.outbox) > 0 {
		tell(m, sentMsg{room: "k", id: was.outbox[0].ID, err: client.ErrUnavailable})
	}
	typed("")
	tell(m, hear(1, ann, three, "three"), tea.KeyPressMsg{Code: tea.KeyTab})
	typed("one more")
	tell(m, tea.KeyPressMsg{Code: tea.KeyEnter})
	typed("")
}

// TestStrangers: who is not known when speaking is asked for, once; who has left keeps the name.
func TestStrangers(t *testing.T) {
	m, f := mustModel(t, 80, 24)
	carol := "U" + strings.Repeat("C", v1.UserKeySize-1)
	asked := func(times int) {
		t.Helper()
		if n := len(slices.DeleteFunc(slices.Clone(f.asked), func(a string) bool { return a != "members kitchen" })); n != times {
			t.Errorf("who is in the kitchen was asked for %d times, want %d: %v", n, times, f.asked)
		}
	}
	asked(1)
	tell(m, hear(1, bob, "", "hello"))
	asked(1)
	tell(m, hear(2, carol, "", "hello"), hear(3, carol, "", "again"))
	asked(2)
	expect(t, m, "UCCCCCCCCC…: hello", 1)
	tell(m, membersMsg{room: "k", members: []v1.MemberView{{User: ann, Name: "ann"}, {User: carol, Name: "carol"}}})
	expect(t, m, "carol: hello", 1)
	expect(t, m, "bob: hello", 1)
	expect(t, m, "Members (2)", 1)
	tell(m, hear(4, "U"+strings.Repeat("D", v1.UserKeySize-1), "", "hello"))
	asked(3)
	tell(m, membersMsg{room: "k", err: client.ErrUnavailable}, hear(5, "U"+strings.Repeat("D", v1.UserKeySize-1), "", "hello"))
	asked(3)
}
