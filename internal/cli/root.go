// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/talk"
)

const about = `unibus is a bus for messages between people and programs. This command talks on it, manages who may, and forms, grows, shrinks and repairs its
cluster without Kubernetes.

Begin with a key (unibus key new), have an admin add it (unibus user add), and say once where the bus is (unibus context add).

`

// New returns the unibus command.
func New() *cobra.Command {
	root := &cobra.Command{
		Use: "unibus", Short: "Talk on a bus, manage who may, and form its cluster", Version: version(),
		Long:         about + console.ExitHelp,
		SilenceUsage: true, SilenceErrors: true,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return console.Failf(console.ExitUsage, "%w; see %s --help", err, c.CommandPath())
	})
	// pflag puts all values of a switch into its name.
	cobra.AddTemplateFunc("plain", func(usages string) string { return strings.ReplaceAll(usages, "[=true|false]", "             ") })
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "FlagUsages", "FlagUsages | plain"))
	root.AddCommand(talk.New()...)
	root.AddCommand(newCluster(), newReference(root))
	usageErrors(root)
	return root
}

// Version is set by the linker (-X); otherwise the module's version is told.
var Version = ""

// version is what the build says of itself.
func version() string {
	i, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	out := Version
	if out == "" {
		out = i.Main.Version
	}
	for _, s := range i.Settings {
		if s.Key == "vcs.revision" {
			out += " " + s.Value
		}
	}
	return out + " " + i.GoVersion
}

func newCluster() *cobra.Command {
	o := &options{}
	c := &cobra.Command{
		Use: "cluster", Short: "Manage a cluster of nodes on this machine or on others",
		Long: `A cluster is described by one folder (--dir): its identity record, the inventory, two keys, and for each node on this
machine its store, configuration and log. Every command may be interrupted or killed at any point; run again, it goes on. Two runs
may work at the same time. A later grow or shrink replaces an earlier one that was stopped half way.

The folder's operator.nk and order.nk are secret: who has them administers the cluster. Back up the folder; a lost record.json has
to be restored, since nothing is founded a second time.

` + console.ExitHelp,
		PersistentPreRunE: func(*cobra.Command, []string) error { return o.check() },
	}
	f := c.PersistentFlags()
	f.StringVar(&o.dir, "dir", "./unibus", "folder of the cluster")
	f.StringVarP(&o.output, "output", "o", console.FormatTable, "format of the result: table, json or yaml; what is said meanwhile then goes to standard error")
	f.BoolVarP(&o.yes, "yes", "y", false, "go on without asking")
	f.DurationVar(&o.timeout, "timeout", 10*time.Minute, "how long the change may take; what was done stays done")
	f.StringVar(&o.ledger, "ledger", ledgerFull, "what is read before and after a change: full (every message), quick (counts and sequences), none")
	c.AddCommand(newInit(o), newCreate(o), newAdopt(o), newStatus(o), newPlan(o), newGrow(o), newShrink(o), newRemove(o), newRescue(o),
		newStart(o), newStop(o), newLedger(o))
	return c
}

// usageErrors gives wrong arguments the exit code of wrong use, for all commands.
func usageErrors(c *cobra.Command) {
	if args := c.Args; args != nil {
		c.Args = func(c *cobra.Command, given []string) error {
			if err := args(c, given); err != nil {
				return console.Failf(console.ExitUsage, "%w; it is used as: %s; see %s --help", err, strings.TrimSuffix(c.UseLine(), " [flags]"), c.CommandPath())
			}
			return nil
		}
	}
	if c.HasSubCommands() && c.RunE == nil {
		c.Args = cobra.ArbitraryArgs
		c.RunE = func(c *cobra.Command, given []string) error {
			if len(given) > 0 {
				meant := ""
				c.SuggestionsMinimumDistance = 2 // letters
				if near := c.SuggestionsFor(given[0]); len(near) > 0 {
					meant = "; is " + strings.Join(near, " or ") + " meant?"
				}
				return console.Failf(console.ExitUsage, "unknown command %q%s; see %s --help", given[0], meant, c.CommandPath())
			}
			return c.Help()
		}
	}
	for _, sub := range c.Commands() {
		usageErrors(sub)
	}
}

// run opens the cluster for a command and closes it at the end.
func run(o *options, do func(*cobra.Command, *session, []string) error) func(*cobra.Command, []string) error {
	return runWith(o, nil, do)
}

// runWith is run with the files that n brings.
func runWith(o *options, n *nodeFlags, do func(*cobra.Command, *session, []string) error) func(*cobra.Command, []string) error {
	return func(c *cobra.Command, args []string) error {
		s, err := open(c, o, n)
		if err != nil {
			return err
		}
		defer s.close()
		err = console.Interrupted(c.Context(), do(c, s, args))
		var e *console.Error
		if errors.As(err, &e) && (e.Code == console.ExitInterrupted || e.Code == console.ExitTimeout) {
			return console.Failf(e.Code, "%w\n  go on with: %s", e.Err, c.CommandPath()+" "+again(c, args))
		}
		return err
	}
}

// again repeats the flags and arguments of a command.
func again(c *cobra.Command, args []string) string {
	var out []string
	for _, name := range []string{"dir", "replicas", "timeout"} {
		if f := c.Flag(name); f != nil && f.Changed {
			out = append(out, fmt.Sprintf("--%s %s", name, f.Value))
		}
	}
	return strings.Join(append(out, args...), " ")
}
