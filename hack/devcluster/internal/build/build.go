// SPDX-License-Identifier: Apache-2.0

// Package build makes the programs of a cluster from Go modules, once: each is kept in the user's cache, in a folder
// that is named after all that it is made of.
package build

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/mod/modfile"

	"github.com/unibus/unibus/hack/devcluster/internal/lock"
	"github.com/unibus/unibus/hack/devcluster/internal/progress"
)

// Builder builds from a module's source.
type Builder struct {
	// Source is the module that components and pause belong to.
	Source fs.FS
	// Cache is the folder that everything is kept in.
	Cache string
	// Progress is told of every step.
	Progress *progress.Reporter
}

// Tools are where the programs are: the folder of each step by its name.
type Tools map[string]string

// Path returns the program of a name.
func (t Tools) Path(name string) string {
	switch name {
	case "containerd", "containerd-shim-runc-v2", "ctr":
		return filepath.Join(t["containerd"], name)
	case "runc", "helm", "pause":
		return filepath.Join(t[name], name)
	}
	return filepath.Join(t["components"], name)
}

// Dir returns the folder of a step, like "cni".
func (t Tools) Dir(step string) string { return t[step] }

// Versions returns what is built, as lines of a name and a version.
func (b *Builder) Versions() ([][2]string, error) {
	module, err := b.module()
	if err != nil {
		return nil, err
	}
	all := [][2]string{
		{"kubernetes", required(module, "k8s.io/kubernetes")},
		{"etcd", required(module, "go.etcd.io/etcd/server/v3")},
		{"coredns", required(module, "github.com/coredns/coredns")},
		{"cert-manager", required(module, "github.com/cert-manager/cert-manager")},
	}
	return append(all, [][2]string{{"containerd", containerdVersion}, {"runc", runcVersion}, {"cni-plugins", cniVersion}, {"helm", helmVersion}}...), nil
}

// Build returns the tools, and builds what is missing. It may be interrupted: what has been built stays, and the next
// build goes on from there. Of several at a time one builds and the others wait for it. If steps are named, it builds no
// others.
func (b *Builder) Build(ctx context.Context, only ...string) (Tools, error) {
	tools := Tools{}
	if err := os.MkdirAll(b.Cache, 0o755); err != nil {
		return tools, err
	}
	// The folder of who calls may choose another Go.
	env := b.goCommand(ctx, b.Cache, "env", "GOVERSION")
	env.Stderr = os.Stderr
	compiler, err := env.Output()
	if err != nil {
		return tools, fmt.Errorf("run go: %w (Go must be installed and in the PATH)", err)
	}
	for i, s := range steps {
		if len(only) > 0 && !slices.Contains(only, s.name) {
			continue
		}
		key, err := b.key(s, string(compiler))
		if err != nil {
			return tools, err
		}
		dir := filepath.Join(b.Cache, s.name+"-"+key)
		tools[s.name] = dir
		if _, err := os.Stat(dir); err == nil {
			continue
		}
		if err := b.once(ctx, s, fmt.Sprintf("%d of %d", i+1, len(steps)), dir); err != nil {
			return tools, fmt.Errorf("build %s: %w", s.name, err)
		}
	}
	return tools, nil
}

// once builds a step, whose number is told, into dir, unless another process does so first.
func (b *Builder) once(ctx context.Context, s step, number, dir string) (err error) {
	done := b.Progress.Step(s.name, "build, "+number+"; it takes "+s.took+" the first time on 2 cores")
	defer func() { done(err) }()
	release, err := lock.Take(ctx, filepath.Join(b.Cache, "lock"), func() {
		b.Progress.Line(s.name, "waits for another devcluster command that builds")
	})
	if err != nil {
		return err
	}
	defer release()
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	// What an interrupted build leaves goes with the next one, as it has these names too.
	making, source := filepath.Join(b.Cache, ".making"), filepath.Join(b.Cache, ".source")
	clean := func() error { return errors.Join(os.RemoveAll(making), os.RemoveAll(source)) }
	if err := errors.Join(clean(), os.Mkdir(making, 0o755)); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, clean()) }()
	if err := b.make(ctx, s, source, making); err != nil {
		return err
	}
	return os.Rename(making, dir)
}

// make builds a step into dir. The folder source is its own.
func (b *Builder) make(ctx context.Context, s step, source, dir string) error {
	// What is linked without debug information need not be compiled with it.
	ldflags := "-s -w"
	args := []string{"-v", "-trimpath", "-gcflags=all=-dwarf=false"}
	if s.tags != "" {
		args = append(args, "-tags", s.tags)
	}
	if s.source == "" {
		for _, p := range s.packages {
			cmd := b.goCommand(ctx, dir, append(append([]string{"install"}, args...), "-ldflags", ldflags, p)...)
			cmd.Env = append(cmd.Env, "GOBIN="+dir)
			if s.cgo {
				cmd.Env = append(cmd.Env, "CGO_ENABLED=1")
			}
			if err := b.run(cmd, s.name); err != nil {
				return err
			}
		}
		return nil
	}
	module, err := b.module()
	if err != nil {
		return err
	}
	if err := os.CopyFS(source, b.Source); err != nil {
		return err
	}
	ldflags += stamp(required(module, "k8s.io/kubernetes"))
	args = append([]string{"build"}, append(args, "-ldflags", ldflags, "-o", filepath.Join(dir, s.name), "./"+s.source)...)
	if err := b.run(b.goCommand(ctx, source, args...), s.name); err != nil {
		return err
	}
	for _, alias := range s.aliases {
		if err := os.Symlink(s.name, filepath.Join(dir, alias)); err != nil {
			return err
		}
	}
	if s.source != "components" {
		return nil
	}
	certManager, err := b.goCommand(ctx, source, "list", "-m", "-f", "{{.Dir}}", "github.com/cert-manager/cert-manager").Output()
	if err != nil {
		return fmt.Errorf("find the module of cert-manager: %w", err)
	}
	return os.CopyFS(filepath.Join(dir, "crds"), os.DirFS(filepath.Join(strings.TrimSpace(string(certManager)), "deploy/crds")))
}

// stamp tells Kubernetes its version, which its own makefiles do; clients ask for it.
func stamp(version string) string {
	part := strings.Split(strings.TrimPrefix(version, "v"), ".")
	const server, client = " -X k8s.io/component-base/version.", " -X k8s.io/client-go/pkg/version."
	return server + "gitVersion=" + version + server + "gitMajor=" + part[0] + server + "gitMinor=" + part[1] + client + "gitVersion=" + version
}

func (b *Builder) goCommand(ctx context.Context, dir string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, "go", args...)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOWORK=off")
	return cmd
}

// run runs go, and counts the packages that it names.
func (b *Builder) run(cmd *exec.Cmd, name string) error {
	out, err := cmd.StderrPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	var count atomic.Int64
	b.Progress.Detail(name, func() string { return fmt.Sprintf("%d packages compiled", count.Load()) })
	var said bytes.Buffer
	for lines := bufio.NewReader(out); ; {
		line, err := lines.ReadString('\n')
		if strings.ContainsAny(line, " \t") {
			said.WriteString(line) // not the name of a package
		}
		count.Add(1)
		if err != nil {
			break
		}
	}
	if err := cmd.Wait(); err != nil {
		if errors.Is(err, context.Canceled) || cmd.ProcessState.ExitCode() < 0 {
			return fmt.Errorf("interrupted: the next build goes on from here (%w)", err)
		}
		return fmt.Errorf("%s: %w\n%s", cmd, err, said.String())
	}
	return nil
}

func (b *Builder) module() (*modfile.File, error) {
	text, err := fs.ReadFile(b.Source, "go.mod")
	if err != nil {
		return nil, err
	}
	return modfile.Parse("go.mod", text, nil)
}

func required(module *modfile.File, path string) string {
	for _, r := range module.Require {
		if r.Mod.Path == path {
			return r.Mod.Version
		}
	}
	return "v0.0.0"
}
