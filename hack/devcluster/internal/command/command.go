// SPDX-License-Identifier: Apache-2.0

// Package command is the command line of devcluster.
package command

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/hack/devcluster/internal/build"
	"github.com/unibus/unibus/hack/devcluster/internal/cluster"
	"github.com/unibus/unibus/hack/devcluster/internal/debian"
	"github.com/unibus/unibus/hack/devcluster/internal/progress"
)

// app is what commands share.
type app struct {
	source   fs.FS
	name     string
	progress *progress.Reporter
}

// Main runs the command that the program was called with. What a cluster is built from is in source.
func Main(source fs.FS) error {
	ctx, stop := interruptible()
	defer stop()
	// The PATH that su leaves, without -, lacks an administrator's programs.
	if err := os.Setenv("PATH", os.Getenv("PATH")+":/usr/sbin:/sbin"); err != nil {
		return err
	}
	err := newRoot(source).ExecuteContext(ctx)
	if errors.Is(err, context.Canceled) {
		return fmt.Errorf("%w (what has been built stays; up goes on or begins anew; down removes what there is)", err)
	}
	return err
}

// interruptible returns what ends with the first Ctrl-C, so that a command leaves things in order. The second one ends the
// program as it is, if that takes too long.
func interruptible() (ctx context.Context, stop context.CancelFunc) {
	ctx, stop = signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	context.AfterFunc(ctx, stop)
	return ctx, stop
}

func newRoot(source fs.FS) *cobra.Command {
	a := &app{source: source, progress: progress.New(os.Stderr)}
	root := &cobra.Command{
		Use:   "devcluster",
		Short: "A real Kubernetes on one Linux machine, without Docker and without a registry",
		Long: `A real Kubernetes on one Linux machine, from Go modules and packages of Debian alone.

A cluster has a control plane and 1 to 5 nodes. Each is a machine of its own: processes, mounts, network, hostname and
cgroup. The host sees the API server on a port of its loopback; its own links, routes, mounts and firewall stay as they
are. Run as root.`,
		SilenceUsage:  true,
		SilenceErrors: true,
		// For commands that pass all that follows on: devcluster --name other kubectl get pods.
		TraverseChildren: true,
	}
	root.PersistentFlags().StringVar(&a.name, "name", environment("DEVCLUSTER_NAME", "dev"), "which cluster (or DEVCLUSTER_NAME)")
	root.AddCommand(a.build(), a.up(), a.down(), a.status(), a.logs(), a.load(), a.image(), a.node(), a.apiserver(), a.allows(),
		a.pass("kubectl", "kubectl --kubeconfig"), a.pass("helm", "helm --kubeconfig"))
	root.AddCommand(hidden()...)
	return root
}

func environment(name, otherwise string) string {
	if value := os.Getenv(name); value != "" {
		return value
	}
	return otherwise
}

// cache is the folder that has all that devcluster writes.
func cache() (string, error) {
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache: %w: set XDG_CACHE_HOME", err)
	}
	return filepath.Join(dir, "unibus-devcluster"), nil
}

// builder needs the packages of Debian, and installs them if it may.
func (a *app) builder(ctx context.Context, install bool) (*build.Builder, error) {
	if missing := debian.Missing(); len(missing) > 0 {
		if !install {
			return nil, fmt.Errorf("packages of Debian are missing: use --install, or run: apt-get install -y %s", strings.Join(missing, " "))
		}
		done := a.progress.Step("debian", "install "+strings.Join(missing, " "))
		err := debian.Install(ctx, os.Stderr, missing)
		if done(err); err != nil {
			return nil, err
		}
	}
	dir, err := cache()
	if err != nil {
		return nil, err
	}
	return &build.Builder{Source: a.source, Cache: dir, Progress: a.progress}, nil
}

// cluster opens the cluster that is meant, with the tools, which are built if they are not.
func (a *app) cluster(ctx context.Context, install bool) (*cluster.Cluster, error) {
	if err := needRoot(); err != nil {
		return nil, err
	}
	builder, err := a.builder(ctx, install)
	if err != nil {
		return nil, err
	}
	tools, err := builder.Build(ctx)
	if err != nil {
		return nil, err
	}
	c, err := cluster.Open(builder.Cache, a.name)
	if err != nil {
		return nil, err
	}
	c.Tools, c.Progress = tools, a.progress
	return c, nil
}

func needRoot() error {
	if os.Geteuid() != 0 {
		return errors.New("run this as root: it makes namespaces and mounts")
	}
	return nil
}

// existing opens a cluster that is there, even if it did not come up, with the tools that it was brought up with:
// nothing is built.
func (a *app) existing() (*cluster.Cluster, error) {
	if err := needRoot(); err != nil {
		return nil, err
	}
	dir, err := cache()
	if err != nil {
		return nil, err
	}
	c, err := cluster.Open(dir, a.name)
	if err != nil {
		return nil, err
	}
	c.Progress = a.progress
	return c, c.NeedAny()
}

// running is existing for a cluster that has come up.
func (a *app) running() (*cluster.Cluster, error) {
	c, err := a.existing()
	if err != nil {
		return nil, err
	}
	return c, c.NeedUp()
}

// pass is a command that becomes another program, for the cluster.
func (a *app) pass(name, short string) *cobra.Command {
	return &cobra.Command{
		Use:                name + " ...",
		Short:              "Run " + short + " of the cluster (--name comes before " + name + ")",
		DisableFlagParsing: true,
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.running()
			if err != nil {
				return err
			}
			cmd := exec.Command(c.Tools.Path(name), args...)
			cmd.Env = append(os.Environ(), c.Environment()...)
			return become(cmd)
		},
	}
}

// become makes this program another one, which has its terminal, signals and exit code. It returns only with an error.
func become(cmd *exec.Cmd) error {
	if cmd.Err != nil {
		return cmd.Err
	}
	// Of two values of one name a program takes the first, which would be its caller's: Environ has each name once.
	return fmt.Errorf("%s: %w", cmd.Path, syscall.Exec(cmd.Path, cmd.Args, cmd.Environ()))
}
