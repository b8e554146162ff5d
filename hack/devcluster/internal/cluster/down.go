// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/unibus/unibus/hack/devcluster/internal/machine"
	"github.com/unibus/unibus/hack/devcluster/internal/poll"
	"github.com/unibus/unibus/hack/devcluster/internal/volumes"
)

// Down removes all there is of the cluster, whatever state it is in.
func (c *Cluster) Down(ctx context.Context) error {
	release, err := c.hold(ctx)
	if err != nil {
		return err
	}
	defer release()
	return c.step("down", "end processes, remove the cluster's folder", func() error {
		if err := errors.Join(c.remove(ctx), os.RemoveAll(c.last())); err != nil {
			return err
		}
		return os.Remove(c.lock)
	})
}

// last is where the logs of a cluster are that was removed because it had not come up.
func (c *Cluster) last() string { return filepath.Join(c.cache(), c.Name+".last") }

// keepLogs moves the logs of all machines out of the cluster's folder, which is removed next.
func (c *Cluster) keepLogs() error {
	if err := os.RemoveAll(c.last()); err != nil {
		return err
	}
	logs, err := filepath.Glob(c.path("*", "log"))
	if err != nil {
		return err
	}
	for _, log := range logs {
		to := filepath.Join(c.last(), filepath.Base(filepath.Dir(log)))
		if err := errors.Join(os.MkdirAll(c.last(), 0o755), os.Rename(log, to)); err != nil {
			return err
		}
	}
	return nil
}

// remove ends the room, and with it all that was started in it.
func (c *Cluster) remove(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := c.kill(ctx); err != nil {
		return err
	}
	if err := volumes.Clean(c.path("volumes")); err != nil {
		return err
	}
	if err := unmountBelow(c.Dir); err != nil {
		return err
	}
	// A cgroup is busy for a moment after its last process.
	if err := poll.Until(ctx, func() error { return machine.RemoveCgroup(c.cgroup()) }); err != nil {
		return err
	}
	if err := os.RemoveAll(c.Dir); err != nil {
		return err
	}
	os.Remove(filepath.Dir(c.Dir)) // if this was the last cluster
	return nil
}

// kill kills the init of the room, which takes all with it, and whatever is left in the cgroup of the cluster. It
// returns when all are gone.
func (c *Cluster) kill(ctx context.Context) error {
	return poll.Until(ctx, func() error {
		pids := machine.Members(c.cgroup())
		if pid := machine.Find(c.path(room)); pid != 0 {
			pids = append([]int{pid}, pids...)
		}
		if len(pids) == 0 {
			return nil
		}
		for _, pid := range pids {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil && !errors.Is(err, syscall.ESRCH) {
				return fmt.Errorf("kill process %d: %w", pid, err)
			}
		}
		return fmt.Errorf("processes %v don't end", pids)
	})
}

// unmountBelow unmounts what is mounted at or below dir, the innermost first.
func unmountBelow(dir string) error {
	mounts, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil {
		return err
	}
	for _, m := range slices.Backward(mounts) {
		if err := unix.Unmount(m.Mountpoint, unix.MNT_DETACH); err != nil {
			return fmt.Errorf("unmount %s: %w", m.Mountpoint, err)
		}
	}
	return nil
}
