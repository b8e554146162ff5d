// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"fmt"
	"io"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/chat"
	"github.com/unibus/unibus/internal/console"
)

// TestChatInLines: without a terminal, chat prints what was said and is said, says what it is given, and ends with that.
func TestChatInLines(t *testing.T) {
	mustBus(t)
	for i := range 12 {
		mustRun(t, "send", "kitchen", fmt.Sprintf("message %d", i+1))
	}
	said := func(lines string) string {
		return regexp.MustCompile(`(?m)^\S+ \S+  `).ReplaceAllString(lines, "")
	}
	code, out, told := invoke(t, "one\n\x1b[31mtwo", "chat", "kitchen", "--context", "bob")
	want := "bob  one\nbob  \\x1b[31mtwo\n"
	for i := 12; i > 2; i-- {
		want = fmt.Sprintf("ann  message %d\n", i) + want
	}
	if code != 0 || said(out) != want {
		t.Errorf("exit code %d, %s%s, want %s", code, said(out), told, want)
	}
	if code, out, told = invoke(t, "", "chat", "kitchen"); code != 0 || strings.Count(out, "\n") != 10 {
		t.Errorf("without input: exit code %d, %s%s", code, out, told)
	}
	if code, out, told = invoke(t, "smoke\nfire\n", "chat", "alarms"); code != 0 || said(out) != "ann  smoke\nann  fire\n" {
		t.Errorf("where nothing is kept: exit code %d, %s%s", code, out, told)
	}
	expectFailure(t, console.ExitUsage, "unibus chat ROOM", "chat")
	expectFailure(t, console.ExitFailed, "ask one of its admins", "chat", "nowhere")
}

// TestEcho: one's own messages of this run are told from all others, and one that never comes back is not waited for without end.
func TestEcho(t *testing.T) {
	kept, alarms := echo{room: &client.Room{Class: "kept"}, me: "U"}, echo{room: &client.Room{Name: "alarms"}, me: "U", run: "run"}
	for _, c := range []struct {
		e    echo
		m    client.Message
		want uint64
	}{
		{kept, client.Message{Sequence: 7, Sender: "V", ID: "run-3"}, 7}, {alarms, client.Message{Sender: "U", ID: alarms.id(3)}, 3},
		{alarms, client.Message{Sender: "V", ID: alarms.id(3)}, 0}, {alarms, client.Message{Sender: "U", ID: "other-3"}, 0},
		{alarms, client.Message{Sender: "U"}, 0}, {alarms, client.Message{Sender: "U", ID: "run-x"}, 0},
	} {
		if got := c.e.number(c.m); got != c.want {
			t.Errorf("%+v is number %d, want %d", c.m, got, c.want)
		}
	}
	var told strings.Builder
	if code := console.CodeOf(&told, alarms.await(t.Context(), time.Millisecond)); code != console.ExitTimeout || !strings.Contains(told.String(), "room alarms") {
		t.Errorf("exit code %d, %s", code, told.String())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := kept.await(ctx, time.Millisecond); err != nil {
		t.Error(err)
	}
}

// onScreen is a running screen of ann's, and the keys that she presses.
type onScreen struct {
	*background
	keys io.WriteCloser
	done chan error
}

func mustShow(t *testing.T, b *bus) *onScreen {
	t.Helper()
	key := client.SeedFile(b.file("ann"))
	c, err := client.Connect(t.Context(), client.Options{Servers: []string{b.server}, Key: key})
	b.must(err)
	api, err := client.NewAPI(client.Options{API: b.url, Key: key})
	b.must(err)
	in, keys := io.Pipe()
	s := &onScreen{background: &background{t: t}, keys: keys, done: make(chan error, 1)}
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		err := chat.Run(ctx, chat.Config{Client: c, API: api, Room: "kitchen", In: in, Out: s, Width: 80, Height: 24})
		c.Close()
		api.Close()
		s.done <- err
	}()
	t.Cleanup(func() { cancel(); s.done <- <-s.done; keys.Close() })
	s.awaits("Members (2)")
	return s
}

func (s *onScreen) press(keys string) {
	s.t.Helper()
	if _, err := io.WriteString(s.keys, keys); err != nil {
		s.t.Fatal(err)
	}
}

// quits presses Ctrl-C, and expects a good end.
func (s *onScreen) quits() {
	s.t.Helper()
	s.press("\x03")
	err := <-s.done
	if s.done <- err; err != nil {
		s.t.Error(err)
	}
}

// TestChatOnScreen: what is typed is said, and what others say is shown, with their names.
func TestChatOnScreen(t *testing.T) {
	b := mustBus(t)
	mustRun(t, "send", "kitchen", "an old message", "--context", "bob")
	screen := mustShow(t, b)
	screen.awaits("an old message")
	screen.press("tea is ready\r")
	b.within("what was typed in the history", func() bool { return strings.Contains(mustRun(t, "history", "kitchen"), "ann  tea is ready") })
	mustRun(t, "send", "kitchen", "thank you", "--context", "bob")
	screen.awaits("thank you")
	screen.press("\t")
	screen.awaits("keeps nothing")
	screen.quits()
	if got := strings.Count(mustRun(t, "history", "kitchen"), "tea is ready"); got != 1 {
		t.Errorf("it was said %d times", got)
	}
}

// TestChatGoesBack: to the first message that is kept, though others' messages lie in between.
func TestChatGoesBack(t *testing.T) {
	b := mustBus(t)
	r, err := b.store.CreateRoom(t.Context(), "cellar", "kept")
	b.must(err)
	_, err = b.store.PutMember(t.Context(), "cellar", b.key("ann"), v1.RoleMember, 0)
	b.must(err)
	b.within("ann in the cellar", func() bool { _, _, ok := b.dir.Role(b.key("ann"), r.Value.ID); return ok })
	say := func(room, text string, times int) {
		if code, _, said := invoke(t, strings.Repeat(text+"\n", times), "send", room); code != 0 {
			t.Fatal(said)
		}
	}
	mustRun(t, "send", "kitchen", "the very first")
	say("cellar", "elsewhere", 300)
	say("kitchen", "on and on", 150)
	screen := mustShow(t, b)
	b.within("the first message", func() bool {
		screen.press("\x1b[5~")
		return strings.Contains(screen.said(), "the very first") && strings.Contains(screen.said(), "nothing older is kept")
	})
	if strings.Contains(screen.said(), "elsewhere") {
		t.Error("it shows another room's messages")
	}
	screen.quits()
}
