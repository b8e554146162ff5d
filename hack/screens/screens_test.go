// SPDX-License-Identifier: Apache-2.0

package screens

import (
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/e2e/proc"
	"github.com/unibus/unibus/internal/natstest"
)

var write = flag.Bool("write", false, "draw the screens into docs")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	// limit is how long anything may take on a slow and busy machine.
	limit = 2 * time.Minute
	// each is how many messages everybody says, before how many of them the node is killed.
	each, before = 14, 5
)

// lab is a cluster of three nodes on this machine, with a room that two people are in.
type lab struct {
	t      *testing.T
	dir    string
	unibus string
}

func mustLab(t *testing.T) *lab {
	t.Helper()
	bin, err := proc.Build(t.Context(), t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t, t.TempDir(), bin.Unibus}
	t.Setenv("UNIBUS_CONTEXTS", l.file("contexts.json"))
	l.run("key", "new", "--out", l.file("ann.nk"))
	t.Cleanup(func() { l.run("cluster", "stop", "--dir", l.file("bus")) })
	l.run("cluster", "create", "--dir", l.file("bus"), "--name", "bus", "--replicas", "3", "--admin", l.file("ann.nk"))
	add := strings.Fields(l.status().AddContext)
	l.run(add[1:]...)
	l.run("class", "set", "chat")
	l.run("room", "create", "lobby", "--class", "chat")
	l.run("room", "create", "alarms")
	l.run("user", "add", "bob", strings.TrimSpace(l.run("key", "new", "--out", l.file("bob.nk"))))
	for _, room := range []string{"lobby", "alarms"} {
		l.run("member", "add", room, "admin")
		l.run("member", "add", room, "bob")
	}
	return l
}

func (l *lab) file(name string) string { return filepath.Join(l.dir, name) }

// run runs unibus and returns what it prints.
func (l *lab) run(args ...string) string {
	l.t.Helper()
	var said strings.Builder
	cmd := exec.Command(l.unibus, args...)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		l.t.Fatalf("unibus %s: %v\n%s%s", strings.Join(args, " "), err, out, said.String())
	}
	return string(out)
}

type clusterStatus struct {
	AddContext string
	Nodes      []struct {
		Server  string
		Process int
	}
	Streams []struct{ Stream, Leader string }
}

func (l *lab) status() (s clusterStatus) {
	l.t.Helper()
	if err := json.Unmarshal([]byte(l.run("cluster", "status", "--dir", l.file("bus"), "-o", "json")), &s); err != nil {
		l.t.Fatal(err)
	}
	return s
}

// chat is the line that opens the room.
func (l *lab) chat(key string) string {
	return console.Word(l.unibus) + " chat lobby --context bus --key " + console.Word(l.file(key))
}

var connected = regexp.MustCompile(`connected to (\S+)`)

// mustChat opens the chat of somebody, and returns the node that it is connected to.
func (l *lab) mustChat(x *terminal, key string) (node string) {
	l.t.Helper()
	x.run(l.chat(key))
	natstest.Within(l.t, limit, "the room and its members", func() bool {
		screen := x.screen()
		if m := connected.FindStringSubmatch(status(screen)); m != nil {
			node = m[1]
		}
		return node != "" && strings.Contains(plain(screen), "Members (2)")
	})
	return node
}

var numbered = regexp.MustCompile(`(admin|bob): (number \d+\b)( …)?`)

// said are the numbered messages that a screen shows, in order, and how many of them wait to be acknowledged.
func said(screen []string) (all []string, pending int) {
	for _, m := range numbered.FindAllStringSubmatch(plain(screen), -1) {
		if all = append(all, m[1]+": "+m[2]); m[3] != "" {
			pending++
		}
	}
	return all, pending
}

// types types numbered messages, each once the one before it is on the screen.
func types(t *testing.T, x *terminal, name string, from, to int) {
	for i := from; i <= to; i++ {
		text := fmt.Sprintf("number %d", i)
		x.enters(text)
		if !natstest.Until(limit, func() bool { all, _ := said(x.screen()); return slices.Contains(all, name+": "+text) }) {
			t.Errorf("%s does not see %q:\n%s", name, text, plain(x.screen()))
			return
		}
	}
}

func both(ann, bob func()) {
	var wg sync.WaitGroup
	wg.Go(ann)
	wg.Go(bob)
	wg.Wait()
}

// TestChat: two people type at the same time, and the node that one of them is connected to is killed. Both see everything once and in one
// order, the pause is shown, and the room has all of it once.
func TestChat(t *testing.T) {
	windows := mustTerminals(t)
	l := mustLab(t)
	ann, bob := windows.mustOpen("ann", "cat", true), windows.mustOpen("bob", "cat", false)
	l.mustChat(bob, "bob.nk")
	// The leader of what the room keeps is killed: then it is longest that nobody takes anything.
	s := l.status()
	leader := ""
	for _, stream := range s.Streams {
		if stream.Stream == "HISTORY/HISTORY_chat" {
			leader = stream.Leader
		}
	}
	node := ""
	for range 20 {
		if node = l.mustChat(ann, "ann.nk"); node == leader {
			break
		}
	}
	both(func() { types(t, ann, "admin", 1, before) }, func() { types(t, bob, "bob", 1, before) })
	for _, n := range s.Nodes {
		if n.Server == node {
			if err := syscall.Kill(n.Process, syscall.SIGKILL); err != nil {
				t.Fatalf("kill %s, process %d: %v", node, n.Process, err)
			}
		}
	}
	var typing sync.WaitGroup
	typing.Go(func() {
		both(func() { types(t, ann, "admin", before+1, each) }, func() { types(t, bob, "bob", before+1, each) })
	})
	var pause []string
	told := regexp.MustCompile("reconnecting|waiting for the room|moved to|after a pause of")
	if *write && node == leader { // it may be too short to be seen, but then there is nothing to draw
		told = regexp.MustCompile(`reconnecting, [1-9]|waiting for the room, [1-9]|after a pause of`)
	}
	natstest.Within(t, limit, "the pause on the screen", func() bool { pause = ann.screen(); return told.MatchString(status(pause)) })
	t.Logf("killed %s (the room's leader is %s), then it said: %s", node, leader, status(pause))
	typing.Wait()

	whole := func(x *terminal) (all []string) {
		natstest.Within(t, limit, "all messages, acknowledged", func() bool {
			var pending int
			all, pending = said(x.screen())
			return pending == 0 && slices.Contains(all, fmt.Sprintf("admin: number %d", each)) && slices.Contains(all, fmt.Sprintf("bob: number %d", each))
		})
		return all
	}
	whole(ann)
	whole(bob)
	enlarge(t, ann)
	enlarge(t, bob)
	annSees, bobSees := whole(ann), whole(bob)
	if diff := cmp.Diff(annSees, bobSees); diff != "" {
		t.Errorf("they see different things, -ann +bob:\n%s", diff)
	}
	expectAll(t, "ann's screen", annSees)
	if theirs := status(ann.screen()); strings.Contains(theirs, node) {
		t.Errorf("ann is still connected to the node that was killed: %s", theirs)
	}
	for x, ink := range map[*terminal]string{ann: "48;5;236", bob: "48;5;254"} {
		if heading := x.screen()[0]; !strings.Contains(heading, ink) {
			t.Errorf("the screen of %s has other colours than are read well on its background: %q", x.name, heading)
		}
		x.press("Escape")
		x.expectEnd()
	}
	l.run("cluster", "start", "--dir", l.file("bus")) // names are asked for at the API that the context knows
	expectAll(t, "the history", l.history())
	if *write && !t.Failed() {
		mustDraw(t, "chat-pause.svg", pause, true)
	}
}

// enlarge makes a screen so large that it shows all from the first message on, which it does a moment later.
func enlarge(t *testing.T, x *terminal) {
	x.resize("60")
	natstest.Within(t, limit, "a larger screen, with the first messages", func() bool {
		all, _ := said(x.screen())
		return slices.Contains(all, "admin: number 1") && slices.Contains(all, "bob: number 1")
	})
}

func mustDraw(t *testing.T, name string, screen []string, dark bool) {
	t.Helper()
	if err := os.WriteFile(filepath.Join("..", "..", "docs", name), []byte(draw(screen, columns, dark)), 0o644); err != nil {
		t.Fatal(err)
	}
}

// history is what the room keeps.
func (l *lab) history() (all []string) {
	l.t.Helper()
	for line := range strings.Lines(l.run("history", "lobby", "--context", "bus", "--last", strconv.Itoa(4*each))) {
		all = append(all, strings.Join(strings.Fields(line)[2:], " "))
	}
	for i, text := range all {
		all[i] = strings.Replace(text, " ", ": ", 1)
	}
	return all
}

// expectAll expects everything once, and what one person has said in the order in which it was typed.
func expectAll(t *testing.T, where string, got []string) {
	t.Helper()
	for _, name := range []string{"admin", "bob"} {
		var want, have []string
		for i := range each {
			want = append(want, fmt.Sprintf("%s: number %d", name, i+1))
		}
		for _, text := range got {
			if strings.HasPrefix(text, name+":") {
				have = append(have, text)
			}
		}
		if diff := cmp.Diff(want, have); diff != "" {
			t.Errorf("%s, of %s, -want +got:\n%s", where, name, diff)
		}
	}
	if len(got) != 2*each {
		t.Errorf("%s has %d messages, want %d", where, len(got), 2*each)
	}
}
