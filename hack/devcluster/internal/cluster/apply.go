// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"context"
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"time"

	"github.com/unibus/unibus/hack/devcluster/internal/network"
)

// Kubectl returns kubectl for this cluster.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) *exec.Cmd {
	return exec.CommandContext(ctx, c.Tools.Path("kubectl"), append([]string{"--kubeconfig", c.Kubeconfig()}, args...)...)
}

// apply makes the objects that every cluster has.
func (c *Cluster) apply(ctx context.Context) error {
	base, err := render("files/base.yaml", map[string]string{
		"FrontPort": strconv.Itoa(frontPort), "Control": network.Control, "DNS": network.DNS,
	})
	if err != nil {
		return err
	}
	args := []string{"apply", "--server-side", "--force-conflicts", "--field-manager=devcluster", "-f", "-"}
	if c.Config.CertManager {
		args = append(args, "-f", c.Tools.Path("crds"))
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	// The namespaces that the API server makes itself may come a moment after it says that it is ready.
	err = poll(ctx, func() error {
		cmd := c.Kubectl(ctx, args...)
		cmd.Stdin = strings.NewReader(base)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("apply what every cluster has: %w", err)
	}
	return nil
}
