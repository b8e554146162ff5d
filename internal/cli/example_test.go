// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
)

// noted stands for the program in a shell: it writes down its arguments.
const noted = `unibus() { local IFS=$'\x1f'; echo "$*" >>calls; }` + "\n"

// calls are the command lines of this program that a line of a shell has. Nothing else is run: the shell finds no other programs.
func calls(dir, line string) (all [][]string, err error) {
	file := filepath.Join(dir, "calls")
	if err := os.RemoveAll(file); err != nil {
		return nil, err
	}
	c := exec.Command("/bin/bash", "-c", noted+line)
	c.Dir, c.Env = dir, []string{"PATH="}
	said, _ := c.CombinedOutput() // what is not found fails
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("it runs nothing of this program: %s", said)
	}
	for call := range strings.Lines(string(b)) {
		all = append(all, strings.Split(strings.TrimSuffix(call, "\n"), "\x1f"))
	}
	return all, nil
}

// check parses a command line as far as can be done without running it.
func check(args []string) error {
	c, rest, err := New().Find(args)
	if err != nil {
		return err
	}
	if err := c.ParseFlags(rest); err != nil {
		return err
	}
	if c.HasSubCommands() {
		return fmt.Errorf("%s is no command by itself", c.CommandPath())
	}
	if err := c.ValidateArgs(c.Flags().Args()); err != nil {
		return err
	}
	return c.ValidateRequiredFlags()
}

// TestExamples: what the examples have of this program are commands, flags and arguments that there are.
func TestExamples(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "job.json"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	try := func(line string) error {
		all, err := calls(dir, line)
		for _, args := range all {
			if err := check(args); err != nil {
				return fmt.Errorf("unibus %q: %w", args, err)
			}
		}
		return err
	}
	for _, bad := range []string{"nothing", "unibus nonsense", "unibus send", "unibus send kitchen a b", "unibus send --nonsense kitchen a", "unibus user add ann",
		"unibus class set chat --bytes many", "unibus token && unibus token x", `curl "$(unibus token x)"`, "unibus send 'kitchen a' | unibus list"} {
		if try(bad) == nil {
			t.Errorf("a good example: %s", bad)
		}
	}
	n := 0
	var each func(*cobra.Command)
	each = func(c *cobra.Command) {
		if c.Hidden {
			return
		}
		for line := range strings.Lines(c.Example) {
			if n++; try(line) != nil {
				t.Errorf("example of %s: %s%v", c.CommandPath(), line, try(line))
			}
		}
		for _, sub := range c.Commands() {
			each(sub)
		}
	}
	each(New())
	if n < 50 {
		t.Errorf("only %d examples", n)
	}
}
