// SPDX-License-Identifier: Apache-2.0

package command

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"text/tabwriter"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/cobra"

	"github.com/unibus/unibus/hack/devcluster/internal/build"
	"github.com/unibus/unibus/hack/devcluster/internal/image"
)

func (a *app) status() *cobra.Command {
	return &cobra.Command{
		Use:   "status",
		Short: "Show what runs, versions, memory, and where logs are; fails if something is not well",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := a.existing()
			if err != nil {
				return err
			}
			out := tabwriter.NewWriter(cmd.OutOrStdout(), 0, 4, 2, ' ', 0)
			fmt.Fprintln(out, "MACHINE\tPROCESS\tSTATE\tSINCE\tLOG")
			well := true
			for _, l := range c.Status(cmd.Context()) {
				since := ""
				if !l.Since.IsZero() {
					since = time.Since(l.Since).Round(time.Second).String()
				}
				well = well && (l.State == "well" || l.State == "runs")
				fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", l.Machine, l.Process, l.State, since, l.Log)
			}
			fmt.Fprintf(out, "\nmemory\t%d MiB\n", c.Memory()>>20)
			dir, err := cache()
			if err != nil {
				return err
			}
			versions, err := (&build.Builder{Source: a.source, Cache: dir}).Versions()
			if err != nil {
				return err
			}
			for _, v := range versions {
				fmt.Fprintf(out, "%s\t%s\n", v[0], v[1])
			}
			fmt.Fprintf(out, "kubeconfig\t%s\n", c.Kubeconfig())
			if err := out.Flush(); err != nil {
				return err
			}
			if !well {
				return errors.New("not everything is well: devcluster logs COMPONENT tells why, devcluster up starts what does not run")
			}
			return nil
		},
	}
}

func (a *app) logs() *cobra.Command {
	var follow bool
	cmd := &cobra.Command{
		Use:     "logs COMPONENT",
		Short:   "Show the log of a process, like kube-apiserver or node2/kubelet",
		Example: "  devcluster logs node2/kubelet --follow",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			c, err := a.existing()
			if err != nil {
				return err
			}
			path, err := c.Log(args[0])
			if err != nil {
				return err
			}
			tail := []string{"--lines=+1"}
			if follow {
				tail = append(tail, "--follow=name")
			}
			return become(exec.Command("tail", append(tail, path)...))
		},
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "go on as it is written")
	return cmd
}

func (a *app) load() *cobra.Command {
	return &cobra.Command{
		Use:   "load IMAGE.tar",
		Short: "Put the images of a tar into every node",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			c, err := a.running()
			if err != nil {
				return err
			}
			done := a.progress.Step("load", args[0])
			err = c.Load(cmd.Context(), args[0])
			done(err)
			return err
		},
	}
}

func (a *app) image() *cobra.Command {
	var tag, output string
	var push bool
	cmd := &cobra.Command{
		Use:   "image BINARY...",
		Short: "Make an image of a program that is linked statically, and put it into every node",
		Long: `Make an image of a program that is linked statically, and put it into every node. The image has the program, as its
entrypoint, the public CAs that Mozilla trusts, and nothing else; it runs as user 65532. Binaries of one program for several architectures become one image.
The same binaries make the same image. Pods name its tag, with imagePullPolicy IfNotPresent or Never. Prints the digest.`,
		Example: `  CGO_ENABLED=0 go build -o bin/ ./cmd/membershipd && devcluster image bin/membershipd --tag unibus/membershipd:dev
  devcluster image amd64/membershipd arm64/membershipd --tag registry.example.com/unibus/membershipd:1.2.0 --push`,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			made, err := image.Build(args...)
			if err != nil {
				return err
			}
			if push {
				done := a.progress.Step("push", tag)
				err = image.Push(cmd.Context(), made, tag)
				done(err)
			}
			if err == nil && (output != "" || !push) {
				err = a.keep(cmd.Context(), made, tag, output)
			}
			if err != nil {
				return err
			}
			digest, err := made.Digest()
			fmt.Fprintln(cmd.OutOrStdout(), digest)
			return err
		},
	}
	cmd.Flags().StringVar(&tag, "tag", "", "name of the image, like unibus/membershipd:dev")
	cmd.Flags().StringVarP(&output, "output", "o", "", "write a tar here, and load it nowhere")
	cmd.Flags().BoolVar(&push, "push", false, "push it to the registry that the tag names, and load it nowhere")
	_ = cmd.MarkFlagRequired("tag") // it is there
	return cmd
}

// keep writes an image into a file or, when none is named, puts it into every node.
func (a *app) keep(ctx context.Context, made v1.ImageIndex, tag, output string) error {
	path := output
	if path == "" {
		dir, err := os.MkdirTemp("", "devcluster-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		path = filepath.Join(dir, "image.tar")
	}
	file, err := os.Create(path)
	if err != nil {
		return err
	}
	if err := errors.Join(image.Write(file, filepath.Dir(path), made, tag), file.Close()); err != nil || output != "" {
		return err
	}
	c, err := a.running()
	if err != nil {
		return err
	}
	done := a.progress.Step("load", tag)
	err = c.Load(ctx, path)
	done(err)
	return err
}
