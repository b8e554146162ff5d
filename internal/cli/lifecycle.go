// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"

	"github.com/spf13/cobra"
)

func newStart(o *options) *cobra.Command {
	return &cobra.Command{
		Use: "start", Short: "Start the nodes of this machine, and carry on with what was begun", Args: cobra.NoArgs,
		RunE: run(o, func(c *cobra.Command, s *session, _ []string) error {
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
other hosts are not touched. unibus cluster start starts them again.`,
		RunE: run(o, func(c *cobra.Command, s *session, _ []string) error {
			inv, err := s.folder.inventory()
			if err != nil {
				return err
			}
			return s.stopAll(c.Context(), inv)
		}),
	}
}

// stopAll stops all local nodes, the highest place first.
func (s *session) stopAll(ctx context.Context, inv inventory) error {
	var errs []error
	for i := len(inv.Places) - 1; i >= 0; i-- {
		p := inv.Places[i]
		if p.Local == nil || s.launcher.process(i, p.Local.PID) == 0 {
			continue
		}
		if ctx.Err() != nil {
			return failf(exitInterrupted, "interrupted; node-%d and those below it still run", i)
		}
		s.say.line("node-%d is asked to stop", i)
		// Once asked, a node stops; it is waited for even when this program is interrupted.
		if err := s.launcher.stop(context.WithoutCancel(ctx), i, p); err != nil {
			errs = append(errs, err)
			continue
		}
		s.say.line("node-%d has stopped", i)
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("not all nodes were stopped: %w", err)
	}
	return nil
}
