// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/jsadmin"
)

func newStatus(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "status", Short: "Show nodes, members and streams, and what is being waited for", Args: cobra.NoArgs,
		RunE: run(o, func(c *cobra.Command, s *session, _ []string) error {
			ob, err := s.observe(c.Context())
			if err != nil {
				return err
			}
			v := view(ob)
			if o.output != console.FormatTable {
				return console.Encode(s.out, o.output, v)
			}
			v.print(s.out)
			return nil
		}),
	}
}

func newPlan(o *options) *cobra.Command {
	var n nodeFlags
	var replicas int
	c := &cobra.Command{
		Use: "plan", Short: "Show what grow or shrink would do, and do nothing", Args: cobra.NoArgs,
		RunE: runWith(o, &n, func(c *cobra.Command, s *session, _ []string) error {
			inv, err := s.folder.inventory()
			if err != nil {
				return err
			}
			had := inv.TLS
			if c.Flag("replicas").Changed {
				if err := checkSize(replicas); err != nil {
					return err
				}
				inv.Replicas = replicas
			}
			if err := n.join(&inv); err != nil {
				return err
			}
			ob, err := s.observeWith(c.Context(), inv)
			if err != nil {
				return err
			}
			if err := checkNodes(ob, had); err != nil {
				return err
			}
			p := planFor(ob)
			if o.output != console.FormatTable {
				return console.Encode(s.out, o.output, p)
			}
			s.show(p)
			if len(p.Steps) == 0 && p.Blocked == "" {
				fmt.Fprintln(s.out, "Nothing is to be done.")
			}
			return nil
		}),
	}
	n.add(c)
	c.Flags().IntVar(&replicas, "replicas", 0, "number of members to plan for; default: what is wished now")
	return c
}

func newLedger(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "ledger", Short: "Read every stream from its leader and show counts, sequences and digests", Args: cobra.NoArgs,
		RunE: run(o, func(c *cobra.Command, s *session, _ []string) error {
			if o.ledger == ledgerNone {
				return console.Failf(console.ExitUsage, "--ledger none leaves nothing to show")
			}
			ob, err := s.observe(c.Context())
			if err != nil {
				return err
			}
			if ob.Meta == nil {
				return fmt.Errorf("no ledger can be read: %w; see unibus cluster status", ob.NoLeader)
			}
			entries, err := s.read(c.Context(), ob, "now")
			if err != nil {
				return fmt.Errorf("the ledger could not be read: %w", err)
			}
			if o.output != console.FormatTable {
				if entries == nil {
					entries = []jsadmin.LedgerEntry{}
				}
				return console.Encode(s.out, o.output, entries)
			}
			printLedger(s.out, entries)
			return nil
		}),
	}
}
