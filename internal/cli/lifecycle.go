// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/internal/console"
)

func newStart(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "start", Short: "Start the nodes of this machine, and carry on with what was begun", Args: cobra.NoArgs,
		RunE: run(o, func(c *cobra.Command, s *session, _ []string) error {
			if _, err := s.folder.update(c.Context(), func(inv *inventory) error { inv.Stopped = false; return nil }); err != nil {
				return err
			}
			end, err := s.drive(c.Context(), o.timeout)
			if err != nil {
				return err
			}
			return s.finish(result{Plan: plan{From: end.inv.Replicas, To: end.inv.Replicas, Steps: []planStep{}}, Status: view(end)})
		}),
	}
}

func newStop(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "stop", Short: "Stop the nodes of this machine; nothing else changes", Args: cobra.NoArgs,
		Long: `Asks each node of this machine to hand over what it leads and to end, one after another, the one at the highest place first. Nodes on
other hosts are not touched. A run that is changing the cluster meanwhile ends. unibus cluster start starts them again.`,
		RunE: run(o, func(c *cobra.Command, s *session, _ []string) error {
			return s.stopAll(c.Context())
		}),
	}
}

// stopAll stops all local nodes, the highest place first. That they are to stay stopped is written down before: another run that starts
// nodes ends instead of starting them again.
func (s *session) stopAll(ctx context.Context) error {
	inv, err := s.folder.update(ctx, func(inv *inventory) error {
		inv.Stopped = inv.startsNodes()
		return nil
	})
	if err != nil {
		return err
	}
	var errs []error
	for i := max(len(inv.Places), inv.Size) - 1; i >= 0; i-- { // a place may be about to be made
		if i < len(inv.Places) && inv.Places[i].Local == nil {
			continue
		}
		if ctx.Err() != nil {
			return console.Failf(console.ExitInterrupted, "interrupted; node-%d and those below it still run", i)
		}
		again, runs := false, false
		// Once asked, a node stops; it is waited for even when this program is interrupted.
		err := s.launcher.stopIf(ctx, context.WithoutCancel(ctx), i, func(now inventory) bool {
			if again = !now.Stopped; again {
				return false
			}
			if runs = s.launcher.started(i, now.Places[i]); runs {
				s.say.line("node-%d is asked to stop", i)
			}
			return true
		})
		switch {
		case again:
			return errors.New("another run has started this cluster meanwhile; to stop it after all, run unibus cluster stop again")
		case err != nil && ctx.Err() != nil:
			return console.Failf(console.ExitInterrupted, "interrupted; node-%d and those below it may still run: %w", i, err)
		case err != nil:
			errs = append(errs, err)
		case runs:
			s.say.line("node-%d has stopped", i)
		}
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("not all nodes were stopped: %w", err)
	}
	return nil
}
