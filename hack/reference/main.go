// SPDX-License-Identifier: Apache-2.0

// Command reference writes docs/refusals.md, docs/errors.md, docs/metrics.md, docs/http.md, docs/cli.md, docs/configuration.md and
// docs/conditions.md from the sources: every refusal, every call for a person and every condition with its remedy, every error, code and finding,
// every metric, every request, every setting. None can be forgotten, and none can differ from what the programs say.
//
//	reference ROOT-OF-THE-REPOSITORY
package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// chapter is a kind of refusal: the calls of one function in one package.
type chapter struct {
	title, about string
	dir, call    string
	// remedy and message are the places of the arguments; remedy is -1 when the message has it.
	remedy, message int
	// flagged is set where the first argument is the flag that is in front of the message.
	flagged bool
}

var chapters = []chapter{
	{
		title: "A node refuses a configuration",
		about: "`membershipd` ends with one line for each problem, before it has touched anything.",
		dir:   "internal/daemonconfig", call: "refuse", remedy: 1, message: 2, flagged: true,
	},
	{
		title: "A node refuses a disk or a way to form",
		about: "`membershipd` ends with this message and leaves the disk as it is. Trying again does not help.",
		dir:   "internal/formation", call: "refuse", remedy: 0, message: 1,
	},
	{
		title: "A node refuses an order",
		about: "The control endpoint answers with this message; `unibus cluster` shows it, looks again and goes on. It stays only when a person " +
			"has to act.",
		dir: "internal/formation", call: "deny", remedy: -1, message: 1,
	},
	{
		title: "Scaling needs a person",
		about: "`unibus cluster` ends with this message and exit code 3. Nothing was touched; the same command goes on once it is remedied.",
		dir:   "internal/scaling", call: "person", remedy: 0, message: 1,
	},
	{
		title: "Scaling waits",
		about: "`unibus cluster` shows this message and looks again. It ends with exit code 3 and the remedy when nothing has changed for two " +
			"minutes.",
		dir: "internal/scaling", call: "wait", remedy: 0, message: 1,
	},
}

func main() {
	if err := run(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "reference:", err)
		os.Exit(1)
	}
}

func run(args []string) error {
	if len(args) != 1 {
		return fmt.Errorf("usage: reference ROOT-OF-THE-REPOSITORY")
	}
	var out strings.Builder
	out.WriteString("<!-- Written by hack/reference (make generate). Do not edit. -->\n\n# Refusals and remedies\n\n" +
		"What a node or a driver says when it does not go on, and what to do. `…` stands for a name, a number or another error.\n" +
		"[Troubleshooting](troubleshooting.md) goes from symptoms to causes.\n")
	for _, c := range chapters {
		rows, err := c.rows(args[0])
		if err != nil {
			return fmt.Errorf("%s: %w", c.dir, err)
		}
		if len(rows) == 0 {
			return fmt.Errorf("%s has no call of %s: correct the chapters", c.dir, c.call)
		}
		fmt.Fprintf(&out, "\n## %s\n\n%s\n\n", c.title, c.about)
		if c.remedy >= 0 {
			out.WriteString("| it says | remedy |\n|---|---|\n")
		} else {
			out.WriteString("| it says |\n|---|\n")
		}
		out.WriteString(strings.Join(rows, ""))
	}
	if err := os.WriteFile(filepath.Join(args[0], "docs", "refusals.md"), []byte(out.String()), 0o644); err != nil {
		return err
	}
	for _, write := range []func(string) error{writeCLI, writeMetrics, writeHTTP, writeConfiguration, writeErrors, writeConditions} {
		if err := write(args[0]); err != nil {
			return err
		}
	}
	return nil
}
