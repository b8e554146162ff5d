// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/unibus/unibus/hack/devcluster/internal/image"
	"github.com/unibus/unibus/hack/devcluster/internal/machine"
	"github.com/unibus/unibus/hack/devcluster/internal/network"
	"github.com/unibus/unibus/hack/devcluster/internal/poll"
)

// PauseImage holds the namespaces of every pod.
const PauseImage = "docker.io/devcluster/pause:1"

func (c *Cluster) makePause() error {
	made, err := image.Build(c.Tools.Path("pause"))
	if err != nil {
		return err
	}
	file, err := os.Create(c.path("pause.tar"))
	if err != nil {
		return err
	}
	return errors.Join(image.Write(file, c.path(), made, PauseImage), file.Close())
}

// importPause sees to it that a node has the image before kubelet asks for it. It stays on the node's disk.
func (c *Cluster) importPause(ctx context.Context, n int) error {
	has := c.path(network.NodeName(n), "has-pause")
	if _, err := os.Stat(has); err == nil {
		return nil
	}
	if err := c.load(ctx, n, c.path("pause.tar")); err != nil {
		return err
	}
	return write(has, PauseImage)
}

// Load puts the images of a tar, of Docker's or of OCI's form, into every node that runs.
func (c *Cluster) Load(ctx context.Context, tar string) error {
	if err := c.NeedUp(); err != nil {
		return err
	}
	if _, err := os.Stat(tar); err != nil {
		return err
	}
	errs, taking := make([]error, c.Config.Nodes), 0
	var loading sync.WaitGroup
	for n := 1; n <= c.Config.Nodes; n++ {
		if machine.Find(c.path(network.NodeName(n))) == 0 {
			c.Progress.Line(network.NodeName(n), "does not run: it gets no image")
			continue
		}
		taking++
		loading.Go(func() { errs[n-1] = c.load(ctx, n, tar) })
	}
	loading.Wait()
	if taking == 0 {
		return fmt.Errorf("no node of cluster %q runs, and none has the image: run devcluster up --name %[1]s", c.Name)
	}
	return errors.Join(errs...)
}

// load has the file as its input: the node need not see where it is.
func (c *Cluster) load(ctx context.Context, n int, tar string) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	name := network.NodeName(n)
	file, err := os.Open(tar)
	if err != nil {
		return err
	}
	defer file.Close()
	if err := c.ctr(ctx, name, file, "images", "import", "--local", "-"); err != nil {
		return fmt.Errorf("load %s into %s: %w", tar, name, err)
	}
	return nil
}

func (c *Cluster) awaitContainerd(ctx context.Context, n int) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	name := network.NodeName(n)
	return poll.Until(ctx, func() error {
		if dead := c.dead(name, "containerd"); dead != nil {
			return dead
		}
		return c.ctr(ctx, name, nil, "version")
	})
}

func (c *Cluster) ctr(ctx context.Context, on string, input io.Reader, args ...string) error {
	cmd, err := machine.Enter(ctx, c.path(on), append([]string{c.Tools.Path("ctr"), "--namespace=k8s.io"}, args...)...)
	if err != nil {
		return err
	}
	cmd.Stdin = input
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w: %s", err, strings.TrimSpace(string(out)))
	}
	return nil
}
