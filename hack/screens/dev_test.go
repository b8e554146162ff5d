// SPDX-License-Identifier: Apache-2.0

package screens

import (
	"context"
	"regexp"
	"strings"
	"testing"

	"github.com/unibus/unibus/internal/e2e/proc"
	"github.com/unibus/unibus/internal/natstest"
)

// chatLine is a line that a node for trying out says is to be pasted.
var chatLine = regexp.MustCompile(`(?m)^ {4}(\S.* chat .*)$`)

// mustTry starts a node for trying out, and returns the lines that open a chat.
func mustTry(t *testing.T) (lines []string) {
	t.Helper()
	bin, err := proc.Build(t.Context(), t.TempDir(), false)
	if err != nil {
		t.Fatal(err)
	}
	l := &lab{t: t, dir: t.TempDir()}
	t.Setenv("UNIBUS_CONTEXTS", l.file("contexts.json"))
	node, err := proc.Start(proc.Command{Name: "a node for trying out", Path: bin.Membershipd, Env: []string{"UNIBUS_CONTEXTS=" + l.file("contexts.json")}, Log: l.file("log"),
		Args: []string{"--dev", "--store-dir", l.file("unibus-dev"), "--server-name", "laptop", "--port", "0", "--cluster-port", "0", "--control-port", "0", "--api-port", "0", "--http-port", "0"}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), limit)
		defer cancel()
		if err := node.Stop(ctx); err != nil {
			t.Errorf("%v\n%s", err, node.Output())
		}
	})
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	if !node.AwaitOutput(ctx, regexp.MustCompile("Ctrl-C")) {
		t.Fatalf("the node does not serve:\n%s", node.Output())
	}
	for _, found := range chatLine.FindAllStringSubmatch(node.Output(), -1) {
		lines = append(lines, found[1])
	}
	if len(lines) != 2 {
		t.Fatalf("lines to be pasted: %q\n%s", lines, node.Output())
	}
	return lines
}

// TestDev: each of the two lines that `membershipd --dev` prints opens a chat, and each sees what the other says.
func TestDev(t *testing.T) {
	windows := mustTerminals(t)
	lines := mustTry(t)
	admin, guest := windows.mustOpen("ann", lines[0], false), windows.mustOpen("bob", lines[1], true)
	both := func(what, words string) {
		t.Helper()
		for _, x := range []*terminal{admin, guest} {
			natstest.Within(t, limit, what+" on the screen of "+x.name, func() bool {
				screen := plain(x.screen())
				return strings.Contains(screen, words) && !strings.Contains(screen, words+" …")
			})
		}
	}
	both("the room and its members", "Members (2)")
	for _, said := range []struct {
		x          *terminal
		name, text string
	}{
		{admin, "admin", "is there coffee?"}, {guest, "guest", "in five minutes"}, {guest, "guest", "somebody has to fetch the milk, though, and it is not going to be me"},
		{admin, "admin", "on my way"},
	} {
		said.x.enters(said.text)
		both(said.text, said.name+": "+said.text[:min(len(said.text), 30)])
	}
	after := admin.screen()
	for _, x := range []*terminal{admin, guest} {
		x.press("Escape")
		x.expectEnd()
	}
	if *write && !t.Failed() {
		mustDraw(t, "chat.svg", after, false)
	}
}
