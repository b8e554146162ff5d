// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/unibus/unibus/hack/devcluster/internal/machine"
	"github.com/unibus/unibus/hack/devcluster/internal/network"
	"github.com/unibus/unibus/hack/devcluster/internal/poll"
)

// onNode does something to a node, with the cluster held.
func (c *Cluster) onNode(ctx context.Context, n int, what string, do func(dir string) error) error {
	release, err := c.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	if err := c.NeedUp(); err != nil {
		return err
	}
	if n < 1 || n > c.Config.Nodes {
		return c.noNode(n)
	}
	return c.step(network.NodeName(n), what, func() error { return do(c.path(network.NodeName(n))) })
}

// StopNode shuts a node down in order: kubelet first, which would start again what ends, then the containers, which have
// until grace is over, then the node. A node that does not run is left alone.
func (c *Cluster) StopNode(ctx context.Context, n int, grace time.Duration) error {
	return c.onNode(ctx, n, "stop", func(dir string) error {
		if machine.Find(dir) == 0 {
			return nil
		}
		if err := machine.Send(dir, "kubelet", syscall.SIGTERM); err != nil {
			return err
		}
		if err := machine.Send(dir, "", syscall.SIGCONT); err != nil { // it may be paused, and would not end
			return err
		}
		if err := poll.Until(ctx, func() error { return running(dir, "kubelet") }); err != nil {
			return err
		}
		if _, err := machine.Contained(dir, syscall.SIGTERM); err != nil {
			return err
		}
		graceful, cancel := context.WithTimeout(ctx, grace)
		defer cancel()
		err := poll.Until(graceful, func() error {
			left, err := machine.Contained(dir, 0)
			if err == nil && left > 0 {
				err = fmt.Errorf("%d containers run", left)
			}
			return err
		})
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return c.powerOff(ctx, n)
	})
}

func running(dir, name string) error {
	states, err := machine.List(dir)
	if err != nil {
		return err
	}
	for _, s := range states {
		if s.Name == name && s.Ended == "" {
			return fmt.Errorf("%s runs", name)
		}
	}
	return nil
}

// KillNode takes a node away at once, as when its power fails: kubelet, containerd and all containers, and its network.
// Its disk stays.
func (c *Cluster) KillNode(ctx context.Context, n int) error {
	return c.onNode(ctx, n, "kill -9", func(string) error { return c.powerOff(ctx, n) })
}

func (c *Cluster) powerOff(ctx context.Context, n int) error {
	name := network.NodeName(n)
	if err := machine.Send(c.path(room), name, syscall.SIGKILL); err != nil {
		return err
	}
	return poll.Until(ctx, func() error {
		if left := machine.Members(c.nodeSpec(n).Cgroup); len(left) > 0 {
			return fmt.Errorf("%d processes of %s end", len(left), name)
		}
		return nil
	})
}

// StartNode starts a node that was stopped or killed, and returns when it is Ready. Cuts of its network stay.
func (c *Cluster) StartNode(ctx context.Context, n int) error {
	return c.onNode(ctx, n, "start", func(string) error {
		if err := c.startNode(ctx, n); err != nil {
			return err
		}
		if c.unheard(n) {
			return nil
		}
		return c.awaitNode(ctx, n)
	})
}

// unheard tells whether a node is cut off from the control plane.
func (c *Cluster) unheard(n int) bool { return slices.Contains(c.Config.Cuts, network.NewCut(0, n)) }

// PauseNode stops every process of a node where it is; its network answers no more than its kernel does.
func (c *Cluster) PauseNode(ctx context.Context, n int) error {
	return c.onNode(ctx, n, "pause", func(dir string) error { return machine.Send(dir, "", syscall.SIGSTOP) })
}

// ResumeNode lets a node that was paused go on.
func (c *Cluster) ResumeNode(ctx context.Context, n int) error {
	return c.onNode(ctx, n, "resume", func(dir string) error { return machine.Send(dir, "", syscall.SIGCONT) })
}

// CutNode cuts a node's network: from the nodes of these numbers, 0 for the control plane, or from all if none is named.
func (c *Cluster) CutNode(ctx context.Context, n int, from []int) error {
	return c.onNode(ctx, n, "cut", func(string) error {
		for _, other := range from {
			if other < 0 || other > c.Config.Nodes || other == n {
				return fmt.Errorf("can't cut node %d from %d: cluster %q has nodes 1 to %d", n, other, c.Name, c.Config.Nodes)
			}
		}
		return c.cut(ctx, network.Add(c.Config.Cuts, network.With(n, c.Config.Nodes, from)))
	})
}

// HealNode ends all cuts of a node.
func (c *Cluster) HealNode(ctx context.Context, n int) error {
	return c.onNode(ctx, n, "heal", func(string) error { return c.cut(ctx, network.Healed(c.Config.Cuts, n)) })
}

func (c *Cluster) cut(ctx context.Context, cuts []network.Cut) error {
	if err := network.Apply(ctx, machine.Find(c.path(control)), cuts); err != nil {
		return err
	}
	c.Config.Cuts = cuts
	return c.save()
}
