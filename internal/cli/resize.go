// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"github.com/spf13/cobra"

	"github.com/unibus/unibus/internal/console"
)

func newGrow(o *options) *cobra.Command {
	var n nodeFlags
	var replicas int
	c := &cobra.Command{
		Use: "grow --replicas N", Short: "Grow the cluster in place, under load", Args: cobra.NoArgs,
		Long: `Adds members one at a time, waits until each is current, and then gives every stream a replica on each. Without --node the new
nodes are processes on this machine, on free ports. Writers go on meanwhile. The plan is shown first; a ledger is read before and after.`,
		Example: "  unibus cluster grow --replicas 3 --yes",
		RunE: runWith(o, &n, func(c *cobra.Command, s *session, _ []string) error {
			return s.change(c.Context(), "Grow the cluster as planned?", func(inv *inventory) error {
				if err := checkSize(replicas); err != nil {
					return err
				}
				if replicas < inv.Replicas {
					return console.Failf(console.ExitUsage, "%d members are wished now: to have %d, use unibus cluster shrink", inv.Replicas, replicas)
				}
				inv.Replicas = replicas
				return n.join(inv)
			})
		}),
	}
	n.add(c)
	c.Flags().IntVar(&replicas, "replicas", 0, "number of members: 3 or 5")
	mustBeGiven(c, "replicas")
	return c
}

func newShrink(o *options) *cobra.Command {
	var replicas int
	c := &cobra.Command{
		Use: "shrink --replicas N", Short: "Shrink the cluster in place, under load", Args: cobra.NoArgs,
		Long: `Lets members leave one at a time, the one at the highest place first: its replicas are moved or lowered when all are in sync, its
leaderships handed over, then it is removed while it runs, and stopped. Its disk is kept. The plan is shown first; a ledger is read
before and after.`,
		Example: "  unibus cluster shrink --replicas 1 --yes",
		RunE: run(o, func(c *cobra.Command, s *session, _ []string) error {
			return s.change(c.Context(), "Shrink the cluster as planned?", func(inv *inventory) error {
				if err := checkSize(replicas); err != nil {
					return err
				}
				if replicas > inv.Replicas {
					return console.Failf(console.ExitUsage, "%d members are wished now: to have %d, use unibus cluster grow", inv.Replicas, replicas)
				}
				inv.Replicas = replicas
				return nil
			})
		}),
	}
	c.Flags().IntVar(&replicas, "replicas", 0, "number of members: 1 or 3")
	mustBeGiven(c, "replicas")
	return c
}

// mustBeGiven makes a flag of c required.
func mustBeGiven(c *cobra.Command, flag string) {
	check := c.PreRunE
	c.PreRunE = func(c *cobra.Command, args []string) error {
		if !c.Flag(flag).Changed {
			return console.Failf(console.ExitUsage, "--%s is needed; see %s --help", flag, c.CommandPath())
		}
		if check != nil {
			return check(c, args)
		}
		return nil
	}
}
