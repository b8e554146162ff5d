// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/hack/devcluster/internal/front"
)

func (a *app) apiserver() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "apiserver",
		Short: "Make the API server slow, refusing or dead for a time, for what runs inside the cluster",
		Long: `Make the API server slow, refusing or dead for a time, for what runs inside the cluster: for one ServiceAccount, or for
all that reaches it by the Service kubernetes. Kubelets, the control plane and you are spared. A fault ends by itself; a
new one takes the place of the one that its ServiceAccount had.`,
		Example: `  devcluster apiserver slow --latency 500ms --for 1m --service-account unibus-system/operator
  devcluster apiserver down --for 30s
  devcluster apiserver heal`,
	}
	cmd.AddCommand(
		a.apiFault(front.Slow, "slow", "Let each request and each event of a watch wait"),
		a.apiFault(front.Reject, "reject", "Answer each new request with an error; open watches go on"),
		a.apiFault(front.Down, "down", "Break connections, open watches too, and take no new ones"),
		a.apiFault(front.None, "heal", "End the fault of a ServiceAccount, or all faults"))
	return cmd
}

func (a *app) apiFault(mode front.Mode, name, short string) *cobra.Command {
	fault := front.Fault{Mode: mode}
	cmd := &cobra.Command{
		Use: name, Short: short, Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			namespace, account, ok := strings.Cut(fault.ServiceAccount, "/")
			if fault.ServiceAccount != "" && (!ok || namespace == "" || account == "") {
				return fmt.Errorf("--service-account %q: use NAMESPACE/NAME", fault.ServiceAccount)
			}
			c, err := a.running()
			if err != nil {
				return err
			}
			if account != "" && mode != front.None {
				if err := c.NeedAccount(cmd.Context(), namespace, account); err != nil {
					return fmt.Errorf("--service-account %s: %w", fault.ServiceAccount, err)
				}
			}
			return front.Set(cmd.Context(), c.Front(), fault)
		},
	}
	cmd.Flags().StringVar(&fault.ServiceAccount, "service-account", "", "NAMESPACE/NAME of whom it is for (default all)")
	if mode != front.None {
		cmd.Flags().DurationVar(&fault.For, "for", 30*time.Second, "how long")
	}
	if mode == front.Slow {
		cmd.Flags().DurationVar(&fault.Latency, "latency", time.Second, "how long a request waits")
	}
	if mode == front.Reject {
		cmd.Flags().IntVar(&fault.Status, "status", http.StatusServiceUnavailable, "what it is answered with: 429, 500 or 503")
	}
	return cmd
}
