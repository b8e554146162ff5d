// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/google/go-cmp/cmp"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
)

var update = flag.Bool("update", false, "write the golden screens anew")

// fake is a bus that notes what it is asked for.
type fake struct {
	node   string
	asked  []string
	saying tea.Cmd // of publish
}

func (f *fake) note(format string, args ...any) tea.Cmd {
	f.asked = append(f.asked, fmt.Sprintf(format, args...))
	return nil
}
func (f *fake) server() string { return f.node }
func (f *fake) rooms() tea.Cmd {
	return func() tea.Msg { return roomsMsg{rooms: []*client.Room{kitchen}} }
}
func (f *fake) members(r *client.Room) tea.Cmd        { return f.note("members %s", r.Name) }
func (f *fake) next(r *client.Room, n uint64) tea.Cmd { return f.note("next %s %d", r.Name, n) }
func (f *fake) watch(r *client.Room) tea.Cmd          { return f.note("watch %s", r.Name) }
func (f *fake) unwatch(room string) tea.Cmd           { return f.note("unwatch %s", room) }
func (f *fake) older(r *client.Room, n uint64) tea.Cmd {
	return f.note("older %s %d", r.Name, n)
}
func (f *fake) publish(r *client.Room, m client.Message) tea.Cmd {
	f.note("publish %s %s", r.Name, m.Data)
	return f.saying
}

var (
	noon     = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	ann, bob = "U" + strings.Repeat("A", v1.UserKeySize-1), "U" + strings.Repeat("B", v1.UserKeySize-1)
	kitchen  = &client.Room{ID: "k", Name: "kitchen", Class: "kept", Role: v1.RoleMember}
	alarms   = &client.Room{ID: "a", Name: "alarms", Role: v1.RoleMember}
)

// mustModel is ann's, in the kitchen, with bob.
func mustModel(t testing.TB, width, height int) (*model, *fake) {
	t.Helper()
	f := &fake{node: "n1"}
	m := newModel(f, ann, "kitchen")
	m.zone, m.now, m.listed = time.UTC, noon, noon
	tell(m, tea.WindowSizeMsg{Width: width, Height: height}, roomsMsg{rooms: []*client.Room{alarms, kitchen}},
		membersMsg{room: "k", members: []v1.MemberView{
			{User: ann, Name: "ann", Member: v1.Member{Role: v1.RoleMember}}, {User: bob, Name: "bob", Member: v1.Member{Role: v1.RoleAdmin}}}})
	if m.open == nil || m.open.Room != kitchen {
		t.Fatal("the kitchen is not shown")
	}
	return m, f
}

func tell(m *model, all ...tea.Msg) {
	for _, msg := range all {
		m.Update(msg)
	}
}

func hear(sequence uint64, sender, id, text string) heardMsg {
	return heardMsg{room: "k", message: client.Message{Sequence: sequence, Time: noon.Add(time.Duration(sequence) * time.Minute), Sender: sender, ID: id, Data: []byte(text)}}
}

func enter(m *model, text string) {
	tell(m, tea.PasteMsg{Content: text}, tea.KeyPressMsg{Code: tea.KeyEnter})
}

// plain is the screen without colours. It has its size, whatever is shown.
func plain(t testing.TB, m *model) string {
	t.Helper()
	content := m.View().Content
	lines := strings.Split(content, "\n")
	if len(lines) != m.height {
		t.Errorf("%d lines of %d:\n%s", len(lines), m.height, content)
	}
	for _, line := range lines {
		if got := ansi.StringWidth(line); got > m.width {
			t.Errorf("a line of %d cells of %d: %q", got, m.width, line)
		}
	}
	return ansi.Strip(content)
}

func expect(t testing.TB, m *model, words string, times int) {
	t.Helper()
	if got := plain(t, m); strings.Count(got, words) != times {
		t.Errorf("%q is not there %d times:\n%s", words, times, got)
	}
}

// TestScreens holds screens against those that people have looked at.
func TestScreens(t *testing.T) {
	for name, c := range map[string]struct {
		width, height int
		dark          bool
	}{"dark": {80, 24, true}, "light": {80, 24, false}, "narrow": {40, 16, true}} {
		m, _ := mustModel(t, c.width, c.height)
		m.paint(c.dark)
		for i := range 3 {
			tell(m, hear(uint64(i+1), bob, "", fmt.Sprintf("message %d", i)))
		}
		tell(m, hear(1500, ann, "", "日本語 and an emoji 👩‍🍳, in a message that is so long that it goes on in lines of its own, none of them too long"),
			hear(1501, "U"+strings.Repeat("C", v1.UserKeySize-1), "", "two\nlines"))
		tell(m, tickMsg(noon.Add(1502*time.Minute)))
		enter(m, "this one failed")
		enter(m, "this one is on its way")
		tell(m, sentMsg{room: "k", id: m.open.own[0].id, err: errors.New("too large")})
		m.input.SetValue("what is typed")
		plain(t, m)
		got := strings.ReplaceAll(m.View().Content, "\x1b", "␛") + "\n"
		path := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestSizes: no size of the screen makes it fail.
func TestSizes(t *testing.T) {
	m, _ := mustModel(t, 80, 24)
	for i := range 40 {
		tell(m, hear(uint64(i+1), bob, "", strings.Repeat("日本語 long ", i)))
	}
	for width := 1; width < 100; width += 3 {
		for height := 1; height < 40; height += 5 {
			tell(m, tea.WindowSizeMsg{Width: width, Height: height}, tea.KeyPressMsg{Code: tea.KeyPgUp})
			plain(t, m)
		}
	}
}

// TestOnceEach: a message is shown once, pending until it is acknowledged, whatever comes first.
func TestOnceEach(t *testing.T) {
	m, f := mustModel(t, 80, 24)
	tell(m, hear(1, bob, "", "before"), hear(1, bob, "", "before"))
	expect(t, m, "before", 1)
	enter(m, "one")
	enter(m, "two")
	expect(t, m, "one …", 1)
	expect(t, m, "two …", 1)
	one, two := m.open.own[0].id, m.open.own[1].id
	if n := m.unsent(); n != 2 || slices.Contains(f.asked, "publish kitchen two") || !slices.Contains(f.asked, "publish kitchen one") {
		t.Errorf("%d are on their way, not one after the other: %v", n, f.asked)
	}
	tell(m, sentMsg{room: "k", id: one, receipt: client.Receipt{Sequence: 2}})
	expect(t, m, "one …", 0)
	expect(t, m, "ann: one", 1)
	if !slices.Contains(f.asked, "publish kitchen two") {
		t.Errorf("the second is not sent: %v", f.asked)
	}
	tell(m, hear(2, ann, one, "one"), hear(3, ann, two, "two"))
	expect(t, m, "two …", 0)
	tell(m, sentMsg{room: "k", id: two, receipt: client.Receipt{Sequence: 3, Duplicate: true}}, hear(3, ann, two, "two"))
	for _, words := range []string{"ann: one", "ann: two"} {
		expect(t, m, words, 1)
	}
	if m.unsent() != 0 || len(m.open.outbox) != 0 {
		t.Error("something is still on its way")
	}
}

// TestOnceEachWhereNothingIsKept: also there, where who speaks may not hear it.
func TestOnceEachWhereNothingIsKept(t *testing.T) {
	m, f := mustModel(t, 80, 24)
	tell(m, tea.KeyPressMsg{Code: tea.KeyTab})
	for _, echoFirst := range []bool{false, true} {
		enter(m, "fire")
		id := m.open.own[0].id
		echo := heardMsg{room: "a", message: client.Message{Sender: ann, ID: id, Data: []byte("fire")}}
		sent := sentMsg{room: "a", id: id}
		if tell(m, sent, echo); echoFirst {
			tell(m, echo, sent)
		}
		expect(t, m, "fire", 1)
		m.open.heard = nil
	}
	if !slices.Contains(f.asked, "next alarms 0") {
		t.Errorf("the room is not heard: %v", f.asked)
	}
}

// TestPause: the end of a connection is told, with the seconds, and its return.
func TestPause(t *testing.T) {
	m, f := mustModel(t, 80, 24)
	expect(t, m, "connected to n1 as ann", 1)
	f.node = ""
	tell(m, tickMsg(noon), tickMsg(noon.Add(3*time.Second)))
	expect(t, m, "reconnecting, 3 s as ann", 1)
	f.node = "n2"
	tell(m, tickMsg(noon.Add(4*time.Second)))
	expect(t, m, "connected to n2 after a pause of 4.0 s", 1)
	tell(m, tickMsg(noon.Add(time.Minute)))
	expect(t, m, "connected to n2 as ann", 1)
}

// TestScroll: going back reads older messages, and what is read stays where it is when something new is said.
func TestScroll(t *testing.T) {
	m, f := mustModel(t, 80, 24)
	for i := range 60 {
		tell(m, hear(uint64(i+101), bob, "", fmt.Sprintf("message %d!", i+101)))
	}
	expect(t, m, "message 160!", 1)
	for range 2 {
		tell(m, tea.KeyPressMsg{Code: tea.KeyPgUp})
	}
	read := strings.Split(plain(t, m), "\n")[1:22]
	tell(m, hear(161, bob, "", "news"))
	if diff := cmp.Diff(read, strings.Split(plain(t, m), "\n")[1:22]); diff != "" {
		t.Errorf("it moves: %s", diff)
	}
	for range 3 {
		tell(m, tea.KeyPressMsg{Code: tea.KeyPgUp})
	}
	if !slices.Contains(f.asked, "older kitchen 101") {
		t.Fatalf("nothing older is read: %v", f.asked)
	}
	expect(t, m, "looking for older", 1)
	tell(m, olderMsg{room: "k", messages: []client.Message{hear(7, bob, "", "the first").message, hear(101, bob, "", "again").message}},
		tea.KeyPressMsg{Code: tea.KeyPgUp})
	expect(t, m, "the first", 1)
	expect(t, m, "again", 0)
	expect(t, m, "nothing older is kept", 1)
	for range 9 {
		tell(m, tea.KeyPressMsg{Code: tea.KeyPgDown})
	}
	expect(t, m, "news", 1)
}

// TestRooms: what is said in a room that is not looked at is counted, and the end of membership is told.
func TestRooms(t *testing.T) {
	m, f := mustModel(t, 80, 24)
	tell(m, tea.KeyPressMsg{Code: tea.KeyTab}, hear(1, bob, "", "tea is ready"))
	expect(t, m, "kitchen         1", 1)
	tell(m, tea.KeyPressMsg{Code: tea.KeyTab, Mod: tea.ModShift})
	expect(t, m, "bob: tea is ready", 1)
	tell(m, heardMsg{room: "k", err: fmt.Errorf("next: %w", client.ErrForbidden)})
	expect(t, m, "you are not in this room any more", 1)
	tell(m, roomsMsg{rooms: []*client.Room{alarms, kitchen}}, hear(2, bob, "", "welcome"))
	if !slices.Contains(f.asked, "next kitchen 1") {
		t.Errorf("it is not read from where it ended: %v", f.asked)
	}
	expect(t, m, "not in this room", 0)
	m.open.Room = &client.Room{ID: "k", Name: "kitchen", Class: "kept", Role: v1.RoleReader}
	enter(m, "hello")
	expect(t, m, "you only read in this room", 1)
}

var colours = regexp.MustCompile("\x1b\\[[0-9;]*m")

// obeyed is what is left for a terminal to obey on a screen, besides colours.
func obeyed(m *model) string {
	return strings.Map(func(r rune) rune {
		if r != '\n' && (!unicode.IsPrint(r) && r != '\u200d' || r == utf8.RuneError) {
			return r
		}
		return -1
	}, colours.ReplaceAllString(m.View().Content, ""))
}

// evil is what terminals obey: titles, colours, the clipboard, the cursor, the order of letters.
const evil = "\x1b]0;title\x07\x1b[31m\x1b[2J\x1b]52;c;AAAA\x1b\\\r\b\u009b5A\u202e\u0007\xffx"

// TestNothingIsObeyed: whatever others write, wherever, is only shown.
func TestNothingIsObeyed(t *testing.T) {
	m, f := mustModel(t, 120, 24)
	f.node = evil
	tell(m, roomsMsg{rooms: []*client.Room{kitchen, {ID: "e", Name: evil, Role: v1.RoleMember}}},
		membersMsg{room: "k", members: []v1.MemberView{{User: bob, Name: evil, Member: v1.Member{Role: v1.Role(evil)}}}},
		hear(1, bob, "", strings.TrimSuffix(evil, "\xffx")), hear(2, bob, "", evil), hear(3, evil, evil, "\x1b[31mred"),
		tickMsg(noon), heardMsg{room: "k", err: errors.New(evil)})
	if left := obeyed(m); left != "" {
		t.Errorf("on the screen: %q", left)
	}
	enter(m, "mine")
	tell(m, sentMsg{room: "k", id: m.open.own[0].id, err: errors.New(evil)}, membersMsg{room: "k", err: errors.New(evil)}, tea.PasteMsg{Content: evil})
	if left := obeyed(m); left != "" {
		t.Errorf("on the screen: %q", left)
	}
	expect(t, m, `\x1b[31mred`, 1)
}

func FuzzScreen(f *testing.F) {
	f.Add(evil, evil, 80)
	f.Fuzz(func(t *testing.T, text, name string, width int) {
		m, _ := mustModel(t, max(width%200, 1), 24)
		tell(m, membersMsg{room: "k", members: []v1.MemberView{{User: bob, Name: name}}}, hear(1, bob, "", text), tea.KeyPressMsg{Code: tea.KeyPgUp})
		if left := obeyed(m); left != "" {
			t.Errorf("on the screen: %q", left)
		}
		plain(t, m)
	})
}
