// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"go/ast"
	"maps"
	"path/filepath"
	"regexp"
	"slices"

	"github.com/unibus/unibus/internal/console"
)

// exits are the exit codes of a program: constants Exit..., and a text that explains one in each line.
type exits struct {
	program, dir, about string
	line                *regexp.Regexp
	text                func([]*ast.File) string
}

var allExits = []exits{
	{
		"unibus", "internal/console", "`unibus verify` ends with 6 or 1, `unibus doctor` with 1 when something is not in order.",
		regexp.MustCompile(`(?m)^ +(\d+) +(.+)$`),
		func([]*ast.File) string { return console.ExitHelp },
	},
	{
		"membershipd", "internal/membershipd", "A node ends by itself only when it can't go on.",
		regexp.MustCompile(`(?m)^ +- (\d+): (.+?)\.?$`),
		func(files []*ast.File) (doc string) {
			for _, f := range files {
				doc += f.Doc.Text()
			}
			return doc
		},
	},
}

// writeExits writes a chapter for each program.
func writeExits(t *table, root string) error {
	for _, e := range allExits {
		files, err := parse(filepath.Join(root, e.dir))
		if err != nil {
			return err
		}
		meanings := map[string]string{}
		for _, m := range e.line.FindAllStringSubmatch(e.text(files), -1) {
			meanings[m[1]] = m[2]
		}
		fmt.Fprintf(t, "\n## Exit codes of %s\n\n%s\n\n| code | what it means | remedy |\n|---|---|---|\n", e.program, e.about)
		for _, c := range explained(files, "Exit") {
			if c.name == "ExitHelp" {
				continue
			}
			t.row(e.program+" "+c.value, c.value, meanings[c.value])
			delete(meanings, c.value)
		}
		if len(meanings) > 0 {
			return fmt.Errorf("%s explains exit codes that are no constants: %v", e.dir, slices.Sorted(maps.Keys(meanings)))
		}
	}
	return nil
}
