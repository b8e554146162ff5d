// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/natstest"
)

// shell runs command lines of unibus on a bus of its own.
type shell struct {
	*lab
	env  []string
	fill *strings.Replacer // what stands for something in lines
}

// mustShell makes a bus of one node with an admin, ann, as the current context says.
func mustShell(t *testing.T) *shell {
	t.Helper()
	s := &shell{lab: mustLab(t)}
	dir := t.TempDir()
	s.env = append(os.Environ(), "UNIBUS_CONTEXTS="+filepath.Join(dir, "contexts.json"), "XDG_CONFIG_HOME="+dir)
	var bob string
	for _, name := range []string{"ann", "bob"} {
		bob = strings.TrimSpace(s.must("key", "new", "--out", filepath.Join(dir, name+".nk")))
	}
	s.fill = strings.NewReplacer("DIR", dir, "BOB", bob, "BUS", s.folder.dir)
	r := s.mustRun("create", "--admin", filepath.Join(dir, "ann.nk"))
	s.must(strings.Fields(r.Status.AddContext)[1:]...)
	return s
}

// start starts a command line, which prints into out.
func (s *shell) start(out io.Writer, args ...string) (c *exec.Cmd, said *bytes.Buffer) {
	s.t.Helper()
	said = new(bytes.Buffer)
	c = exec.Command(s.bin.Unibus, args...)
	c.Env, c.Stdout, c.Stderr, c.SysProcAttr = s.env, out, said, attributes()
	must(s.t, c.Start())
	return c, said
}

// must runs a command line that is to succeed, and returns what it prints.
func (s *shell) must(args ...string) string {
	s.t.Helper()
	var out bytes.Buffer
	c, said := s.start(&out, args...)
	if err := c.Wait(); err != nil {
		s.t.Fatalf("unibus %v: %v: %s", args, err, said)
	}
	return out.String()
}

func (l line) args(fill *strings.Replacer) []string {
	return append(strings.Fields(l.command), strings.Fields(fill.Replace(l.rest))...)
}

// TestFullDisk: each command fails that prints a result which nobody gets, and those that print none don't.
func TestFullDisk(t *testing.T) {
	s := mustShell(t)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	must(t, err)
	defer full.Close()
	var reply *exec.Cmd
	var heard *bytes.Buffer
	others := []line{{command: ""}, {command: "--version"}, {command: "room"}, {command: "send --help"}, {command: "cluster status -o json", rest: "--dir BUS"}}
	for _, l := range slices.Concat(lines, others) {
		args := l.args(s.fill)
		if l.command == "reply" {
			reply, heard = s.start(full, args...)
			continue
		}
		var code int
		var said *bytes.Buffer
		natstest.Within(t, limit, "what unibus "+l.command+" needs", func() bool {
			var c *exec.Cmd
			c, said = s.start(full, args...)
			_ = c.Wait() // its exit code is looked at
			code = c.ProcessState.ExitCode()
			return !strings.Contains(said.String(), "nobody in the room") // who is to answer begins with it
		})
		if l.command == "request" {
			s.expectInterrupted(reply, heard)
		}
		want, words := console.ExitFailed, "no space left on device"
		if l.silent {
			want, words = console.ExitDone, ""
		}
		if code != want || !strings.Contains(said.String(), words) {
			t.Errorf("unibus %v > /dev/full: exit code %d, want %d: %s", args, code, want, said)
		}
	}
}

// expectInterrupted ends a command that ends no other way.
func (s *shell) expectInterrupted(c *exec.Cmd, said *bytes.Buffer) {
	_ = c.Process.Signal(os.Interrupt) // its end is looked at
	_ = c.Wait()
	if code := c.ProcessState.ExitCode(); code != console.ExitInterrupted {
		s.t.Errorf("exit code %d: %s", code, said)
	}
}
