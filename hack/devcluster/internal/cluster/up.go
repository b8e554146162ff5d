// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"sync"
	"time"

	"github.com/unibus/unibus/hack/devcluster/internal/machine"
	"github.com/unibus/unibus/hack/devcluster/internal/network"
)

// patience is how long a part may take to answer, on a slow and busy machine.
const patience = 6 * time.Minute

// Up brings the cluster up as configured, or completes and mends one that is up: what runs is left alone. A cluster that
// an earlier Up left half made, or whose control plane's machine has died with the network of all, is made anew.
func (c *Cluster) Up(ctx context.Context, wanted Config) (err error) {
	release, err := c.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	if c.NeedUp() == nil {
		if err := c.same(wanted); err != nil {
			return err
		}
	} else {
		if _, err := os.Stat(c.Dir); !errors.Is(err, fs.ErrNotExist) {
			if err := c.keepLogs(); err != nil {
				return err
			}
			c.Progress.Line(c.Name, "was left half made, or its machine or its control plane has died: it is removed, its logs are in "+c.last())
			if err := c.remove(ctx); err != nil {
				return err
			}
		}
		if err := c.create(wanted); err != nil {
			return err
		}
	}
	if err := c.start(ctx); err != nil {
		return err
	}
	c.Config.Complete = true
	return c.save()
}

// same tells whether a cluster that is up is the one that is wanted.
func (c *Cluster) same(wanted Config) error {
	if c.Config.Nodes == wanted.Nodes && c.Config.CertManager == wanted.CertManager {
		return nil
	}
	return fmt.Errorf("cluster %q is up with --nodes %d and cert-manager %v: devcluster down --name %s first, or choose another --name",
		c.Name, c.Config.Nodes, c.Config.CertManager, c.Name)
}

// create writes all that the machines read.
func (c *Cluster) create(wanted Config) error {
	c.Config = wanted
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return err
	}
	var err error
	if c.Config.Port, err = freePort(); err != nil {
		return err
	}
	if err := c.save(); err != nil {
		return err
	}
	if err := c.makeKeys(); err != nil {
		return err
	}
	for _, file := range []string{"Corefile", auditPolicy} {
		text, err := render("files/"+file, map[string]string{"Kubeconfig": c.pki("coredns.kubeconfig")})
		if err != nil {
			return err
		}
		if err := write(c.path(file), text); err != nil {
			return err
		}
	}
	for n := 1; n <= c.Config.Nodes; n++ {
		if err := c.writeNode(n); err != nil {
			return err
		}
	}
	return c.makePause()
}

func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// start starts all that does not run, and returns when it answers.
func (c *Cluster) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	err = c.step("control plane", "etcd, API server", func() error { return c.startControl(ctx, self) })
	if err != nil {
		return err
	}
	// Nodes start meanwhile: they wait for nothing but the API server.
	nodes := make(chan error, 1)
	go func() {
		nodes <- c.step("nodes", fmt.Sprintf("start %d", c.Config.Nodes), func() error {
			errs := make([]error, c.Config.Nodes)
			var starting sync.WaitGroup
			for n := range errs {
				starting.Go(func() { errs[n] = c.startNode(ctx, n+1) })
			}
			starting.Wait()
			return errors.Join(errs...)
		})
	}()
	err = c.step("parts", "what goes with the API server", func() error {
		if err := c.startAll(control, c.rest(self)); err != nil {
			return err
		}
		if err := c.apply(ctx); err != nil {
			return err
		}
		all := append(c.rest(self), c.certManager()...)
		return c.runAll(ctx, control, all)
	})
	if err := errors.Join(err, <-nodes); err != nil {
		return err
	}
	return c.step("ready", "wait until every node and part answers", func() error {
		return errors.Join(c.awaitNodes(ctx), c.awaitObjects(ctx))
	})
}

// startControl boots the room and the control plane, and starts what everything else needs.
func (c *Cluster) startControl(ctx context.Context, self string) error {
	if machine.Find(c.path(room)) == 0 {
		if err := machine.Boot(ctx, c.roomSpec()); err != nil {
			return err
		}
	}
	if machine.Find(c.path(control)) == 0 {
		if err := machine.BootWithin(ctx, c.path(room), c.controlSpec()); err != nil {
			return err
		}
		if err := network.MakeBridge(ctx, machine.Find(c.path(control))); err != nil {
			return err
		}
	}
	states, err := machine.List(c.path(room))
	if err != nil {
		return err
	}
	for _, s := range states {
		if s.Name == control {
			err = c.startAll(room, c.outside(self, s.Pid))
		}
	}
	if err != nil {
		return err
	}
	return c.runAll(ctx, control, []part{c.store(), c.api()})
}

// startNode boots a node, if it is not there, and starts its processes.
func (c *Cluster) startNode(ctx context.Context, n int) error {
	name := network.NodeName(n)
	if err := machine.BootWithin(ctx, c.path(room), c.nodeSpec(n)); err != nil {
		return err
	}
	started, err := machine.List(c.path(name))
	if err != nil {
		return err
	}
	if len(started) == 0 { // it has no cable, or one of which nobody knows whether it is whole
		if err := network.Attach(ctx, machine.Find(c.path(control)), machine.Find(c.path(name)), n); err != nil {
			return err
		}
	}
	parts := c.node(n)
	if err := c.startAll(name, parts[:1]); err != nil {
		return err
	}
	// Kubelet ends if containerd, which is first, does not answer.
	if err := c.awaitContainerd(ctx, n); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	if err := c.importPause(ctx, n); err != nil {
		return err
	}
	return c.startAll(name, parts)
}

func (c *Cluster) startAll(on string, parts []part) error {
	for _, p := range parts {
		if _, err := machine.Start(c.path(on), p.Process); err != nil {
			return err
		}
	}
	return nil
}

// runAll starts parts and returns when each of them answers.
func (c *Cluster) runAll(ctx context.Context, on string, parts []part) error {
	if err := c.startAll(on, parts); err != nil {
		return err
	}
	for _, p := range parts {
		if err := c.await(ctx, on, p); err != nil {
			return err
		}
	}
	return nil
}

func (c *Cluster) step(name, what string, do func() error) error {
	done := c.Progress.Step(name, what)
	err := do()
	done(err)
	return err
}
