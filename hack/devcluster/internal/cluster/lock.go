// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/unibus/unibus/hack/devcluster/internal/poll"
)

// hold takes the cluster for one command, as it is then: others that change it wait. The lock ends with the process,
// however it ends.
func (c *Cluster) hold(ctx context.Context) (release func(), err error) {
	if err := os.MkdirAll(filepath.Dir(c.lock), 0o755); err != nil {
		return nil, err
	}
	file, err := os.OpenFile(c.lock, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	said := false
	err = poll.Until(ctx, func() error {
		err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil && !said {
			said = true
			c.Progress.Line(c.Name, "waits for another devcluster command that changes this cluster")
		}
		return err
	})
	if err != nil {
		file.Close()
		return nil, fmt.Errorf("cluster %q is being changed by another command: %w", c.Name, err)
	}
	// Whoever had it until now may have changed it.
	now, err := Open(c.cache(), c.Name)
	if err != nil {
		file.Close()
		return nil, err
	}
	c.Config = now.Config
	return func() { file.Close() }, nil
}
