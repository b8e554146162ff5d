// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

const referenceHead = "<!-- Written by hack/reference (make generate). Do not edit. -->\n\n# The command line\n\n" +
	"`unibus COMMAND --help` tells the same. A flag beats the environment variable that it names, which beats the context.\n"

// newReference is the command that writes docs/cli.md.
func newReference(root *cobra.Command) *cobra.Command {
	return &cobra.Command{Use: "reference", Hidden: true, Args: cobra.NoArgs, Short: "Print all commands as a document",
		RunE: func(c *cobra.Command, _ []string) error {
			var out strings.Builder
			out.WriteString(referenceHead)
			words, codes, _ := strings.Cut(root.Long, "Exit codes:")
			fmt.Fprintf(&out, "\n%s\n\n## Exit codes\n\n```text%s\n```\n", strings.TrimSpace(words), codes)
			d := document{w: &out, shared: map[string]string{}}
			if send, _, err := root.Find([]string{"send"}); err == nil {
				out.WriteString("\n## Flags of all commands that connect to a bus\n\n`unibus chat` and `unibus reply` take no `--output`.\n")
				d.flags(send.PersistentFlags())
				send.PersistentFlags().VisitAll(func(f *pflag.Flag) { d.shared[f.Name] = f.Usage })
			}
			for _, sub := range root.Commands() {
				if !sub.Hidden && sub.Name() != "help" && sub.Name() != "completion" {
					d.describe(sub, 2)
				}
			}
			out.WriteString("\n## unibus completion\n\nPrints what a shell needs to complete commands, contexts, rooms and users: `unibus completion bash --help` tells how it is loaded.\n")
			_, err := fmt.Fprint(c.OutOrStdout(), out.String())
			return err
		}}
}

// document describes commands. Flags that many share are described once.
type document struct {
	w      io.Writer
	shared map[string]string
}

// describe writes a command and those below it.
func (d document) describe(c *cobra.Command, level int) {
	fmt.Fprintf(d.w, "\n%s %s\n\n%s.\n", strings.Repeat("#", level), c.CommandPath(), c.Short)
	if !c.HasSubCommands() {
		fmt.Fprintf(d.w, "\n    %s\n", strings.TrimSuffix(c.UseLine(), " [flags]"))
	}
	if c.Long != "" {
		fmt.Fprintf(d.w, "\n%s\n", strings.TrimSpace(strings.Split(c.Long, "Exit codes:")[0]))
	}
	d.flags(c.LocalFlags())
	if strings.TrimSpace(c.Example) != c.CommandPath() && c.Example != "" {
		fmt.Fprintf(d.w, "\n```text\n%s\n```\n", strings.TrimPrefix(strings.ReplaceAll("\n"+c.Example, "\n  ", "\n"), "\n"))
	}
	for _, sub := range c.Commands() {
		if !sub.Hidden {
			d.describe(sub, level+1)
		}
	}
}

// flags writes a table of the flags that are not told of elsewhere.
func (d document) flags(all *pflag.FlagSet) {
	head := "\n| flag | |\n|---|---|\n"
	all.VisitAll(func(f *pflag.Flag) {
		if f.Name == "help" || f.Hidden || d.shared[f.Name] == f.Usage {
			return
		}
		kind, usage := pflag.UnquoteUsage(f)
		name := strings.TrimSpace("--" + f.Name + " " + strings.TrimSuffix(kind, "[=true|false]"))
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", " + name
		}
		if v := f.DefValue; strings.Trim(v, "0s") != "" && v != "false" && v != "[]" {
			usage += " (default `" + v + "`)"
		}
		fmt.Fprintf(d.w, "%s| `%s` | %s |\n", head, name, strings.NewReplacer("|", `\|`, "<", "&lt;").Replace(usage))
		head = ""
	})
}
