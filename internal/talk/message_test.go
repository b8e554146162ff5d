// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/spf13/cobra"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/natstest"
)

// background is a command line that runs until it ends, or is interrupted.
type background struct {
	t         testing.TB
	interrupt context.CancelFunc
	done      chan int
	mu        sync.Mutex
	out       bytes.Buffer
}

func mustStart(t testing.TB, args ...string) *background {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	b := &background{t: t, interrupt: cancel, done: make(chan int, 1)}
	go func() { b.done <- execute(ctx, strings.NewReader(""), b, b, args...) }()
	t.Cleanup(func() { cancel(); b.done <- <-b.done })
	return b
}

// Write implements io.Writer.
func (b *background) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.Write(p)
}

func (b *background) said() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.out.String()
}

// awaits waits for words.
func (b *background) awaits(words string) {
	b.t.Helper()
	if !natstest.Until(natstest.Patience, func() bool { return strings.Contains(b.said(), words) }) {
		b.t.Fatalf("it does not say %q: %s", words, b.said())
	}
}

// ends expects its end with an exit code.
func (b *background) ends(code int) {
	b.t.Helper()
	got := <-b.done
	if b.done <- got; got != code {
		b.t.Errorf("exit code %d, want %d: %s", got, code, b.said())
	}
}

// TestPipe: each line that is sent is a message, printed in its turn by who follows and by who reads the history.
func TestPipe(t *testing.T) {
	b := mustBus(t)
	tail := mustStart(t, "tail", "kitchen", "-o", "json", "--context", "bob")
	var in, want strings.Builder
	for i := range 300 {
		fmt.Fprintf(&in, "line %d\n", i)
		fmt.Fprintf(&want, "%d\n", i+1)
	}
	in.WriteString("\nno end of line")
	fmt.Fprint(&want, "301\n302\n")
	code, out, said := invoke(t, in.String(), "send", "kitchen")
	if code != 0 || out != want.String() {
		t.Errorf("exit code %d, %s%s", code, out, said)
	}
	tail.awaits(`"text":"no end of line"`)
	tail.interrupt()
	tail.ends(console.ExitInterrupted)
	ann := b.key("ann")
	texts := func(lines string) (texts []string) {
		for line := range strings.Lines(lines) {
			var m messageView
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			if texts = append(texts, m.Text); m.Sender != ann || m.Name != "ann" {
				t.Fatalf("%q is not of ann", line)
			}
		}
		return texts
	}
	sent := strings.Split(in.String(), "\n")
	if got := texts(mustRun(t, "history", "kitchen", "-o", "json")); !slices.Equal(got, sent) {
		t.Errorf("the history has %d messages, %d were sent: %q", len(got), len(sent), got)
	}
	for args, want := range map[string]int{"--last 5": 5, "--limit 7": 7, "--from 301": 2, "--since 1h": 302, "--since 2100-01-01T00:00:00Z": 0} {
		if got := strings.Count(mustRun(t, strings.Fields("history kitchen -o name "+args)...), "\n"); got != want {
			t.Errorf("history %s: %d messages, want %d", args, got, want)
		}
	}
	if got := mustRun(t, "tail", "kitchen", "--last", "2", "--count", "2", "-o", "name"); got != "301\n302\n" {
		t.Errorf("the last two are %q", got)
	}
}

// TestRoomThatForgets: what is said there is heard now or never.
func TestRoomThatForgets(t *testing.T) {
	mustBus(t)
	tail := mustStart(t, "tail", "alarms", "--context", "bob")
	if !natstest.Until(natstest.Patience, func() bool {
		return mustRun(t, "send", "alarms", "fire") == "" && strings.Contains(tail.said(), "ann  fire")
	}) {
		t.Errorf("nothing is heard: %s", tail.said())
	}
}

// TestSenderIsRemoved: who follows a room hears of the end of that, with an exit code.
func TestSenderIsRemoved(t *testing.T) {
	mustBus(t)
	tail := mustStart(t, "tail", "kitchen", "--context", "bob")
	mustRun(t, "send", "kitchen", "hello")
	tail.awaits("hello")
	mustRun(t, "member", "set", "kitchen", "ann", "--role", "reader", "--context", "root")
	if !natstest.Until(natstest.Patience, func() bool {
		code, _, said := invoke(t, "", "send", "kitchen", "again")
		return code == console.ExitFailed && strings.Contains(said, "forbidden")
	}) {
		t.Error("a reader speaks")
	}
	mustRun(t, "member", "remove", "kitchen", "bob", "--yes", "--context", "root")
	tail.ends(console.ExitFailed)
	tail.awaits("ask an admin of the room")
}

// TestRequestAndReply: a command answers, and what goes wrong with it is told to both.
func TestRequestAndReply(t *testing.T) {
	b := mustBus(t)
	ask := func(want string, code int, in string, args ...string) {
		t.Helper()
		var got int
		var out, said string
		if !natstest.Until(natstest.Patience, func() bool {
			got, out, said = invoke(t, in, append([]string{"request", "kitchen"}, args...)...)
			return !strings.Contains(said, "nobody in the room")
		}) || got != code || !strings.Contains(out+said, want) {
			t.Errorf("%v: exit code %d, want %d with %q: %s%s", args, got, code, want, out, said)
		}
	}
	reply := mustStart(t, "reply", "kitchen", "--context", "bob", "--", "sh", "-c", `read x; case $x in bad) echo "no $x" >&2; exit 3;; esac; echo "$UNIBUS_SENDER $UNIBUS_ROOM $x"`)
	reply.awaits("answering")
	ask(b.key("ann")+" kitchen one\n", 0, "", "one")
	ask(b.key("ann")+" kitchen two\n", 0, "two\n", "-", "--to", "bob")
	ask("no bad (exit status 3)", console.ExitFailed, "", "bad")
	reply.awaits("no bad (exit status 3)")
	reply.interrupt()
	reply.ends(console.ExitInterrupted)
	echo := mustStart(t, "reply", "kitchen", "--echo", "--context", "bob")
	echo.awaits("answering")
	ask(`"text":"three"`, 0, "", "three", "-o", "json")
}

// TestTimeout: what nobody answers ends after --timeout, with its exit code.
func TestTimeout(t *testing.T) {
	mustBus(t)
	reply := mustStart(t, "reply", "kitchen", "--context", "bob", "--", "cat", "/dev/zero")
	reply.awaits("answering")
	if !natstest.Until(natstest.Patience, func() bool {
		code, _, said := invoke(t, "", "request", "kitchen", "x", "--timeout", "300ms")
		return code == console.ExitTimeout && strings.Contains(said, "--timeout gives it longer")
	}) {
		t.Error("a request that nobody answers does not end")
	}
}

// TestCompletion completes what the shell asks for.
func TestCompletion(t *testing.T) {
	mustBus(t)
	complete := func(want string, args ...string) {
		t.Helper()
		code, out, said := invoke(t, "", append([]string{cobra.ShellCompNoDescRequestCmd}, args...)...)
		if got := strings.Split(out, ":")[0]; code != 0 || got != want {
			t.Errorf("%q is completed by %q, want %q: %s", args, got, want, said)
		}
	}
	complete("ann\nbob\nroot\n", "context", "use", "")
	complete("ann\nbob\nroot\n", "send", "--context", "")
	complete("alarms\nkitchen\n", "send", "")
	complete("alarms\nkitchen\n", "tail", "k") // shells choose
	complete("alarms\nkitchen\n", "room", "show", "--context", "root", "")
	complete("ann\nbob\nroot\n", "user", "remove", "--context", "root", "")
	complete("", "user", "remove", "") // ann may not know
	complete("on\noff\n", "user", "admin", "ann", "")
	complete("ann\nbob\n", "member", "set", "kitchen", "")
	complete("reader\nmember\nadmin\n", "member", "set", "kitchen", "ann", "--role", "")
	complete("kept\n", "room", "create", "x", "--class", "")
	complete(strings.Join(formats, "\n")+"\n", "user", "list", "-o", "")
	complete("", "send", "--api", "http://127.0.0.1:1", "")
}

// TestRateIsWaitedFor: lines that come faster than a room takes them wait, and are all kept.
func TestRateIsWaitedFor(t *testing.T) {
	b := mustBus(t)
	b.class("slow", func(c *v1.Class) { c.PublisherRate = 20 })
	_, err := b.store.CreateRoom(t.Context(), "calm", "slow")
	b.must(err)
	mustRun(t, "member", "add", "calm", "ann", "--context", "root")
	code, _, said := invoke(t, strings.Repeat("x\n", 30), "send", "calm", "-o", "name")
	if code != 0 {
		t.Errorf("exit code %d: %s", code, said)
	}
	if got := strings.Count(mustRun(t, "history", "calm", "-o", "name"), "\n"); got != 30 {
		t.Errorf("%d of 30 lines are kept", got)
	}
}
