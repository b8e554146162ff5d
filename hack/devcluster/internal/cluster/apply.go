// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"

	"github.com/unibus/unibus/hack/devcluster/internal/network"
	"github.com/unibus/unibus/hack/devcluster/internal/poll"
)

// Kubectl returns kubectl for this cluster.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, c.Tools.Path("kubectl"), args...)
	cmd.Env = append(os.Environ(), c.Environment()...)
	return cmd
}

// Environment is what kubectl and Helm need: without it they would leave files elsewhere.
func (c *Cluster) Environment() []string {
	return []string{"KUBECONFIG=" + c.Kubeconfig(), "KUBECACHEDIR=" + c.path("kubectl")}
}

// apply makes the objects that every cluster has.
func (c *Cluster) apply(ctx context.Context) error {
	base, err := render("files/base.yaml", map[string]string{
		"FrontPort": strconv.Itoa(frontPort), "Control": network.Control, "DNS": network.DNS,
	})
	if err != nil {
		return err
	}
	args := []string{"apply", "--server-side", "--force-conflicts", "--validate=false", "--field-manager=devcluster", "-f", "-"}
	if c.Config.CertManager {
		args = append(args, "-f", c.Tools.Path("crds"))
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	// The namespaces that the API server makes itself may come a moment after it says that it is ready.
	err = poll.Until(ctx, func() error {
		cmd := c.Kubectl(ctx, args...)
		cmd.Stdin = strings.NewReader(base)
		out, err := cmd.CombinedOutput()
		if err != nil {
			err = fmt.Errorf("%w: %s", err, bytes.TrimSpace(out))
			c.Progress.Detail("parts", err.Error)
		}
		// It ends if another has taken its port.
		return cmp.Or(c.dead(room, "forward"), err)
	})
	if err != nil {
		return fmt.Errorf("apply what every cluster has: %w", err)
	}
	return nil
}
