// SPDX-License-Identifier: Apache-2.0

package command

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/hack/devcluster/internal/build"
	"github.com/unibus/unibus/hack/devcluster/internal/cluster"
	"github.com/unibus/unibus/hack/devcluster/internal/network"
)

func (a *app) build() *cobra.Command {
	var install, assets bool
	cmd := &cobra.Command{
		Use:   "build",
		Short: "Build Kubernetes and its tools into the user's cache, once",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if assets {
				return a.assets(cmd)
			}
			builder, err := a.builder(cmd.Context(), install)
			if err != nil {
				return err
			}
			if _, err := builder.Build(cmd.Context()); err != nil {
				return err
			}
			versions, err := builder.Versions()
			for _, v := range versions {
				a.progress.Line(v[0], v[1])
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&install, "install", false, "install packages of Debian that are missing")
	cmd.Flags().BoolVar(&assets, "assets", false, "build only those, and print the setting by which envtest finds etcd, kube-apiserver and kubectl")
	return cmd
}

// assets needs no package of Debian, and only one step.
func (a *app) assets(cmd *cobra.Command) error {
	dir, err := cache()
	if err != nil {
		return err
	}
	tools, err := (&build.Builder{Source: a.source, Cache: dir, Progress: a.progress}).Build(cmd.Context(), "components")
	if err != nil {
		return err
	}
	fmt.Fprintf(cmd.OutOrStdout(), "export KUBEBUILDER_ASSETS=%s\n", filepath.Dir(tools.Path("etcd")))
	return nil
}

func (a *app) up() *cobra.Command {
	var install bool
	var without []string
	wanted := cluster.Config{Nodes: 3, CertManager: true}
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Bring a cluster up; returns when every node and part answers",
		Long: `Bring a cluster up; returns when every node and part answers. What runs already is left alone, what has ended or was
stopped is started again. Prints the setting of KUBECONFIG: eval "$(devcluster up)".`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if wanted.Nodes < 1 || wanted.Nodes > network.MaxNodes {
				return fmt.Errorf("--nodes %d: use 1 to %d", wanted.Nodes, network.MaxNodes)
			}
			for _, part := range without {
				if part != "cert-manager" {
					return fmt.Errorf("--without %s: only cert-manager can be left out", part)
				}
				wanted.CertManager = false
			}
			c, err := a.cluster(cmd.Context(), install)
			if err != nil {
				return err
			}
			began := time.Now()
			if err := c.Up(cmd.Context(), wanted); err != nil {
				return err
			}
			a.progress.Line(c.Name, fmt.Sprintf("up in %v, --nodes %d, %d MiB", time.Since(began).Round(100*time.Millisecond), wanted.Nodes, c.Memory()>>20))
			fmt.Fprintf(cmd.OutOrStdout(), "export KUBECONFIG=%s\n", c.Kubeconfig())
			return nil
		},
	}
	cmd.Flags().IntVar(&wanted.Nodes, "nodes", 3, fmt.Sprintf("how many nodes, 1 to %d", network.MaxNodes))
	cmd.Flags().StringSliceVar(&without, "without", nil, "leave out cert-manager")
	cmd.Flags().BoolVar(&install, "install", false, "install packages of Debian that are missing")
	return cmd
}

func (a *app) down() *cobra.Command {
	var all bool
	cmd := &cobra.Command{
		Use:   "down",
		Short: "Remove a cluster and all it made, whatever state it is in",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needRoot(); err != nil { // another user's cache has other clusters
				return err
			}
			dir, err := cache()
			if err != nil {
				return err
			}
			names := []string{a.name}
			if all {
				if names, err = cluster.List(dir); err != nil {
					return err
				}
			}
			for _, name := range names {
				c, openErr := cluster.Open(dir, name)
				if openErr == nil {
					c.Progress = a.progress
					openErr = c.Down(cmd.Context())
				}
				err = errors.Join(err, openErr)
			}
			return err
		},
	}
	cmd.Flags().BoolVar(&all, "all", false, "all clusters")
	return cmd
}
