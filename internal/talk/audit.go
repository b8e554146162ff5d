// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"iter"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
)

var auditColumns = columns[v1.AuditEntry]{
	head: []string{"TIME", "WHO", "ACTION", "OUTCOME", "NODE", "BODY"},
	row: func(e v1.AuditEntry) []string {
		outcome := e.Outcome
		if outcome == "" {
			outcome = "(asked for)"
		}
		return []string{when(e.Time), brief(e.Who), e.Action, outcome, e.Node, string(e.Body)}
	},
	name: func(e v1.AuditEntry) string { return e.ID },
}

func newAudit() *cobra.Command {
	o := &options{}
	c := o.printed(o.linked(&cobra.Command{Use: "audit", Short: "Show what was changed, by whom, and what became of it (admins)", Args: cobra.NoArgs,
		Long:    "Every change is written down before it is made, and again with its outcome. The newest come first.",
		Example: "  unibus audit\n  unibus audit --last 1000 -o json"}))
	last := c.Flags().Int("last", 50, "how many of the newest entries")
	run := lister(o, auditColumns, c, func(ctx context.Context, api *client.API, _ []string) iter.Seq2[v1.AuditEntry, error] {
		return first(*last, api.Audit(ctx))
	}).RunE
	c.RunE = func(c *cobra.Command, args []string) error {
		if *last < 1 {
			return console.Failf(console.ExitUsage, "--last %d: use 1 or more", *last)
		}
		return run(c, args)
	}
	return c
}

// first is the beginning of a sequence.
func first[T any](n int, all iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		left := n
		for v, err := range all {
			if !yield(v, err) || left == 1 {
				return
			}
			left--
		}
	}
}
