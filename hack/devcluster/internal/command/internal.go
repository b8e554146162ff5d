// SPDX-License-Identifier: Apache-2.0

package command

import (
	"log/slog"
	"os"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/hack/devcluster/internal/front"
	"github.com/unibus/unibus/hack/devcluster/internal/network"
	"github.com/unibus/unibus/hack/devcluster/internal/volumes"
)

// hidden are the processes of a cluster that are this program.
func hidden() []*cobra.Command {
	var f front.Options
	one := &cobra.Command{Use: "internal-front", Hidden: true, RunE: func(cmd *cobra.Command, _ []string) error {
		f.Log = logger()
		return front.Run(cmd.Context(), f)
	}}
	one.Flags().StringVar(&f.Listen, "listen", "", "address that what runs inside the cluster calls")
	one.Flags().StringVar(&f.Upstream, "upstream", "", "URL of the API server")
	one.Flags().StringVar(&f.CAFile, "ca", "", "authority of the API server")
	one.Flags().StringVar(&f.CertFile, "cert", "", "certificate to serve with")
	one.Flags().StringVar(&f.KeyFile, "key", "", "key to serve with")
	one.Flags().StringVar(&f.Control, "control", "", "socket that faults are set by")

	var v volumes.Options
	two := &cobra.Command{Use: "internal-volumes", Hidden: true, RunE: func(cmd *cobra.Command, _ []string) error {
		v.Log = logger()
		return volumes.Run(cmd.Context(), v)
	}}
	two.Flags().StringVar(&v.Kubeconfig, "kubeconfig", "", "how to reach the API server")
	two.Flags().StringVar(&v.Dir, "dir", "", "folder of the volumes")

	var listen, to string
	var pid int
	three := &cobra.Command{Use: "internal-forward", Hidden: true, RunE: func(cmd *cobra.Command, _ []string) error {
		return network.Forward(cmd.Context(), listen, pid, to)
	}}
	three.Flags().StringVar(&listen, "listen", "", "address of the host")
	three.Flags().IntVar(&pid, "pid", 0, "process in whose network the target is")
	three.Flags().StringVar(&to, "to", "", "address of the target")
	return []*cobra.Command{one, two, three}
}

func logger() *slog.Logger { return slog.New(slog.NewTextHandler(os.Stderr, nil)) }
