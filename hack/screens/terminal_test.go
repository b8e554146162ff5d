// SPDX-License-Identifier: Apache-2.0

package screens

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/charmbracelet/x/ansi"

	"github.com/unibus/unibus/internal/natstest"
)

// columns and rows are those of a terminal that nobody has made larger.
const (
	columns = 80
	rows    = "24"
)

// terminals are windows of a tmux of their own.
type terminals struct {
	t      *testing.T
	socket string
}

func mustTerminals(t *testing.T) *terminals {
	t.Helper()
	if _, err := exec.LookPath("tmux"); err != nil {
		natstest.Lacks(t, "tmux is not there: install it with apt-get install tmux")
	}
	dir, err := os.MkdirTemp("", "tmux") // t.TempDir may be too long for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &terminals{t, filepath.Join(dir, "s")}
}

// tmux runs a command of tmux, none of which waits for anything, and returns what it prints.
func (w *terminals) tmux(args ...string) string {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "tmux", append([]string{"-u", "-f", "/dev/null", "-S", w.socket}, args...)...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "TMUX=")
	out, err := cmd.CombinedOutput()
	if err != nil {
		w.t.Fatalf("tmux %s: %v: %s", strings.Join(args, " "), errors.Join(err, ctx.Err()), out)
	}
	return string(out)
}

// terminal is one of them.
type terminal struct {
	*terminals
	name string
}

// mustOpen opens a terminal with a dark or a light background, in which a shell's line runs.
func (w *terminals) mustOpen(name, line string, dark bool) *terminal {
	w.t.Helper()
	x := &terminal{w, name}
	w.tmux("new-session", "-d", "-s", name, "-x", fmt.Sprint(columns), "-y", rows, "cat")
	if name == "ann" {
		w.t.Cleanup(func() { w.tmux("kill-server") })
		w.tmux("set-option", "-g", "default-terminal", "tmux-256color")
		w.tmux("set-option", "-g", "status", "off")
		w.tmux("set-option", "-g", "remain-on-exit", "on")
	}
	style := "bg=#ffffff,fg=#1a1a1a"
	if dark {
		style = "bg=#161616,fg=#d8d8d8"
	}
	w.tmux("set-option", "-w", "-t", name, "window-style", style)
	x.resize(rows)
	x.run(line)
	return x
}

// run runs a line in place of what runs there.
func (x *terminal) run(line string) { x.tmux("respawn-pane", "-k", "-t", x.name, line) }

func (x *terminal) resize(rows string) {
	x.tmux("resize-window", "-t", x.name, "-x", fmt.Sprint(columns), "-y", rows)
}

func (x *terminal) press(key string) { x.tmux("send-keys", "-t", x.name, key) }

// enters types a line.
func (x *terminal) enters(text string) {
	x.tmux("send-keys", "-t", x.name, "-l", text)
	x.press("Enter")
}

// expectEnd expects that what runs there ends, and ends well.
func (x *terminal) expectEnd() {
	x.t.Helper()
	dead := ""
	if !natstest.Until(limit/4, func() bool {
		x.tmux("run-shell", "-b", "true") // tmux misses the end of a child now and then, this one's too (-b: it is not waited for), until another one ends
		dead = strings.TrimSpace(x.tmux("display-message", "-p", "-t", x.name, "#{pane_dead} #{pane_dead_status}"))
		return len(strings.Fields(dead)) > 1 // the terminal is closed a moment before the status is there
	}) || dead != "1 0" {
		x.t.Errorf("%s's chat did not end well (%s):\n%s", x.name, dead, plain(x.screen()))
	}
}

// screen is all lines as they are now, with colours.
func (x *terminal) screen() []string {
	return strings.Split(strings.TrimSuffix(x.tmux("capture-pane", "-p", "-e", "-N", "-t", x.name), "\n"), "\n")
}

// plain is a screen without colours.
func plain(screen []string) string { return ansi.Strip(strings.Join(screen, "\n")) }

// status is its last line.
func status(screen []string) string { return ansi.Strip(screen[len(screen)-1]) }
