// SPDX-License-Identifier: Apache-2.0

package command

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"

	"github.com/unibus/unibus/hack/devcluster/internal/policy"
)

func (a *app) allows() *cobra.Command {
	var protocol string
	cmd := &cobra.Command{
		Use:   "allows FROM TO PORT",
		Short: "Tell whether the NetworkPolicies of the cluster let traffic through; fails if they do not",
		Long: `Tell whether the NetworkPolicies of the cluster let traffic through. Nothing in the cluster enforces them: this is the
judgement of an analyser, of what a network that does would do. FROM and TO are NAMESPACE/POD, or an address outside of
the cluster. Fails, with the names of the policies, for what they stop.`,
		Example: "  devcluster allows default/client unibus/bus-0 4222",
		Args:    cobra.ExactArgs(3),
		RunE: func(cmd *cobra.Command, args []string) error {
			port, err := strconv.ParseUint(args[2], 10, 16)
			if err != nil {
				return fmt.Errorf("port %q: use a number up to 65535", args[2])
			}
			c, err := a.running()
			if err != nil {
				return err
			}
			client, err := c.Client()
			if err != nil {
				return err
			}
			asked := policy.Traffic{From: args[0], To: args[1], Port: int(port), Protocol: corev1.Protocol(strings.ToUpper(protocol))}
			if err := policy.Check(cmd.Context(), client, asked); err != nil {
				return err
			}
			fmt.Fprintln(cmd.OutOrStdout(), "allowed")
			return nil
		},
	}
	cmd.Flags().StringVar(&protocol, "protocol", "TCP", "TCP, UDP or SCTP")
	return cmd
}
