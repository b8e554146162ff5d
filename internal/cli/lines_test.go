// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/internal/console"
)

// line is a command, and what follows it.
type line struct {
	command, rest string
	silent        bool // it prints no result
}

// lines has every command, in an order in which they work on a new bus. DIR stands for a folder that has the seeds of ann, who is the bus's admin, and
// of bob, whose public key is BOB; BUS for the cluster's. What takes a cluster of its own tells only how it is used.
var lines = []line{
	{command: "key new", rest: "--out DIR/carl.nk"}, {command: "key show", rest: "DIR/bob.nk"},
	{command: "context add", rest: "other --server nats://127.0.0.1:1 --key DIR/bob.nk"}, {command: "context list"}, {command: "context show", rest: "other"},
	{command: "context current"}, {command: "context use", rest: "unibus", silent: true}, {command: "context remove", rest: "other --yes", silent: true},
	{command: "token"}, {command: "doctor"},
	{command: "class set", rest: "chat"}, {command: "class list"}, {command: "class show", rest: "chat"},
	{command: "user add", rest: "bob BOB"}, {command: "user list"}, {command: "user show", rest: "bob"}, {command: "user admin", rest: "bob on"},
	{command: "room create", rest: "kitchen --class chat"}, {command: "room list"}, {command: "room show", rest: "kitchen"},
	{command: "member add", rest: "kitchen admin"}, {command: "member list", rest: "kitchen"}, {command: "member set", rest: "kitchen admin --role admin"},
	{command: "audit"},
	{command: "send", rest: "kitchen hello"}, {command: "history", rest: "kitchen"}, {command: "tail", rest: "kitchen --count 1"}, {command: "chat", rest: "kitchen"},
	{command: "reply", rest: "kitchen --echo", silent: true}, {command: "request", rest: "kitchen hello"},
	{command: "writer", rest: "kitchen --ledger DIR/ledger --count 1"}, {command: "verify", rest: "kitchen --ledger DIR/ledger"},
	{command: "bench publish", rest: "kitchen --msgs 1 --yes"}, {command: "bench hear", rest: "kitchen --msgs 1 --yes"},
	{command: "bench history", rest: "kitchen --msgs 1"}, {command: "bench request", rest: "kitchen --msgs 1"},
	{command: "member remove", rest: "kitchen admin --yes", silent: true}, {command: "room delete", rest: "kitchen --yes", silent: true},
	{command: "class delete", rest: "chat --yes", silent: true}, {command: "user remove", rest: "bob --yes", silent: true},
	{command: "cluster init", rest: "--dir DIR/keys"}, {command: "cluster create", rest: "--dir BUS"}, {command: "cluster status", rest: "--dir BUS"},
	{command: "cluster plan", rest: "--dir BUS"}, {command: "cluster ledger", rest: "--dir BUS"}, {command: "cluster grow", rest: "--dir BUS --replicas 1 --yes"},
	{command: "cluster shrink", rest: "--dir BUS --replicas 1 --yes"}, {command: "cluster stop", rest: "--dir BUS"}, {command: "cluster start", rest: "--dir BUS"},
	{command: "cluster adopt", rest: "--help"}, {command: "cluster remove", rest: "unibus-0-0 --help"}, {command: "cluster rescue", rest: "unibus-0-0 --help"},
	{command: "reference"}, {command: "help"}, {command: "completion bash"}, {command: "completion fish"}, {command: "completion powershell"}, {command: "completion zsh"},
}

// TestLines: no command is left out of the list.
func TestLines(t *testing.T) {
	var known []string
	for _, l := range lines {
		known = append(known, l.command)
	}
	var missing []string
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			visit(sub)
		}
		if command := strings.TrimPrefix(c.CommandPath(), "unibus "); !c.HasSubCommands() && !slices.Contains(known, command) {
			missing = append(missing, command)
		}
	}
	root := New()
	root.InitDefaultHelpCmd()
	root.InitDefaultCompletionCmd()
	if visit(root); len(missing) > 0 {
		t.Errorf("commands without a line: %s", strings.Join(missing, ", "))
	}
}

// TestNoTime: a --timeout that leaves no time is wrong use, of every command that has the flag.
func TestNoTime(t *testing.T) {
	t.Setenv("UNIBUS_CONTEXTS", filepath.Join(t.TempDir(), "none.json"))
	timed := 0
	for _, l := range lines {
		if c, _, err := New().Find(strings.Fields(l.command)); err != nil || c.Flag("timeout") == nil {
			continue
		}
		timed++
		for _, given := range []string{"0", "-1s"} {
			root := New()
			root.SetArgs(slices.Concat(strings.Fields(l.command), []string{"--timeout", given}, strings.Fields(strings.TrimSuffix(l.rest, "--help"))))
			var said bytes.Buffer
			root.SetOut(&said)
			want := "--timeout " + strings.ReplaceAll(given+"s", "ss", "s") + ": use a time above 0"
			if code := console.CodeOf(&said, root.ExecuteContext(t.Context())); code != console.ExitUsage || !strings.Contains(said.String(), want) {
				t.Errorf("unibus %s --timeout %s: exit code %d: %s", l.command, given, code, said.String())
			}
		}
	}
	if timed < 40 {
		t.Errorf("only %d commands have the flag", timed)
	}
}
