// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"

	"github.com/unibus/unibus/hack/devcluster/internal/lock"
)

// hold takes the cluster for one command, as it is then: others that change it wait.
func (c *Cluster) hold(ctx context.Context) (release func(), err error) {
	release, err = lock.Take(ctx, c.lock, func() {
		c.Progress.Line(c.Name, "waits for another devcluster command that changes this cluster")
	})
	if err != nil {
		return nil, fmt.Errorf("take cluster %q for this command: %w", c.Name, err)
	}
	// Whoever had it until now may have changed it.
	now, err := Open(c.cache(), c.Name)
	if err != nil {
		release()
		return nil, err
	}
	c.Config = now.Config
	return release, nil
}
