// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/hack/devcluster/internal/cluster"
	"github.com/unibus/unibus/hack/devcluster/internal/machine"
)

func (a *app) node() *cobra.Command {
	cmd := &cobra.Command{Use: "node", Short: "Stop, kill, pause or cut off a node, and mend it"}
	var grace time.Duration
	stop := a.fault("stop", "Shut a node down: kubelet, then its containers, then the rest", func(ctx context.Context, c *cluster.Cluster, n int) error {
		return c.StopNode(ctx, n, grace)
	})
	stop.Flags().DurationVar(&grace, "grace", 30*time.Second, "how long containers may take to end")
	var from []string
	cut := a.fault("cut", "Cut a node off the network, from all or from some", func(ctx context.Context, c *cluster.Cluster, n int) error {
		var others []int
		for _, name := range from {
			other, err := number(name)
			if err != nil {
				return fmt.Errorf("--from: %w", err)
			}
			others = append(others, other)
		}
		return c.CutNode(ctx, n, others)
	})
	cut.Flags().StringSliceVar(&from, "from", nil, "cut it from these only: numbers of nodes, or control for the control plane")
	cmd.AddCommand(stop, cut,
		a.fault("start", "Start a node that was stopped or killed, and wait until it is Ready", func(ctx context.Context, c *cluster.Cluster, n int) error {
			return c.StartNode(ctx, n)
		}),
		a.fault("kill9", "Take a node away at once, as when its power fails; its disk stays", func(ctx context.Context, c *cluster.Cluster, n int) error {
			return c.KillNode(ctx, n)
		}),
		a.fault("heal", "End all cuts of a node", func(ctx context.Context, c *cluster.Cluster, n int) error {
			return c.HealNode(ctx, n)
		}),
		a.fault("pause", "Stop every process of a node where it is (SIGSTOP)", func(ctx context.Context, c *cluster.Cluster, n int) error {
			return c.PauseNode(ctx, n)
		}),
		a.fault("resume", "Let a node that was paused go on (SIGCONT)", func(ctx context.Context, c *cluster.Cluster, n int) error {
			return c.ResumeNode(ctx, n)
		}),
		a.exec())
	return cmd
}

// fault is a command that does something to a node.
func (a *app) fault(verb, short string, do func(context.Context, *cluster.Cluster, int) error) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " N",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			c, err := a.running()
			if err != nil {
				return err
			}
			return do(cmd.Context(), c, n)
		},
	}
}

func (a *app) exec() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "exec N COMMAND ...",
		Short:   "Run a program of the host within a node (0 or control: the control plane)",
		Example: "  devcluster node exec 1 ip addr",
		Args:    cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			n, err := number(args[0])
			if err != nil {
				return err
			}
			c, err := a.existing()
			if err != nil {
				return err
			}
			dir, err := c.NodeDir(n)
			if err != nil {
				return err
			}
			inside, err := machine.Enter(cmd.Context(), dir, args[1:]...)
			if err != nil {
				return err
			}
			return become(inside)
		},
	}
	// Flags after the node are the program's.
	cmd.Flags().SetInterspersed(false)
	return cmd
}

// number reads 2, node2 or control.
func number(text string) (int, error) {
	if text == "control" {
		return 0, nil
	}
	n, err := strconv.Atoi(strings.TrimPrefix(text, "node"))
	if err != nil || n < 0 {
		return 0, fmt.Errorf("node %q: use its number, like 2", text)
	}
	return n, nil
}
