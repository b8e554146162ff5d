// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/internal/console"
)

// TestUsage: wrong use has its exit code and says where help is, for all commands.
func TestUsage(t *testing.T) {
	t.Setenv("UNIBUS_CONTEXTS", filepath.Join(t.TempDir(), "none.json"))
	for args, want := range map[string]string{
		"rom list": "is room meant?", "cluster shrnk": "is shrink meant?",
		"send": "it is used as: unibus send ROOM [TEXT|-]; see unibus send --help", "user add ann": "unibus user add --help", "nonsense": "unibus --help", "room nonsense": "unibus room --help",
		"tail kitchen --nonsense": "unibus tail --help", "history kitchen --last x": "unibus history --help",
	} {
		root := New()
		root.SetArgs(strings.Fields(args))
		var said bytes.Buffer
		if code := console.CodeOf(&said, root.ExecuteContext(t.Context())); code != console.ExitUsage || !strings.Contains(said.String(), want) {
			t.Errorf("unibus %s: exit code %d: %s", args, code, said.String())
		}
	}
}

// TestHelp: every command that does something says how it is used, by an example. unibus cluster came before that rule.
func TestHelp(t *testing.T) {
	var visit func(c *cobra.Command)
	visit = func(c *cobra.Command) {
		for _, sub := range c.Commands() {
			if sub.Name() != "cluster" && !sub.Hidden {
				visit(sub)
			}
		}
		if c.Short == "" || !c.HasSubCommands() && !c.Hidden && c.Example == "" {
			t.Errorf("%s has no example or no summary", c.CommandPath())
		}
	}
	visit(New())
}

// TestReference: the document of the commands is the one that this program would write.
func TestReference(t *testing.T) {
	root := New()
	root.SetArgs([]string{"reference"})
	var out bytes.Buffer
	root.SetOut(&out)
	if err := root.ExecuteContext(t.Context()); err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile("../../docs/cli.md")
	if err != nil || out.String() != string(want) {
		t.Errorf("docs/cli.md is not up to date (%v): run make generate", err)
	}
}
