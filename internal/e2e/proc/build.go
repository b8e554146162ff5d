// SPDX-License-Identifier: Apache-2.0

// Package proc builds the programs of this repository and runs them as processes that can be killed, paused and listened
// to. It is for tests and the programs in hack only.
package proc

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Binaries are the built programs.
type Binaries struct{ Membershipd, Unibus string }

// Build builds the programs into the folder, with the race detector when race is set.
func Build(ctx context.Context, dir string, race bool) (Binaries, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return Binaries{}, err
	}
	args := []string{"build", "-o", dir + string(filepath.Separator)}
	if race {
		args = append(args, "-race")
	}
	c := exec.CommandContext(ctx, "go", append(args, "./cmd/membershipd", "./cmd/unibus")...)
	c.Dir = root
	if out, err := c.CombinedOutput(); err != nil {
		return Binaries{}, fmt.Errorf("build the programs: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return Find(dir)
}

// Find returns the programs that a folder has.
func Find(dir string) (Binaries, error) {
	abs, err := filepath.Abs(dir)
	if err != nil {
		return Binaries{}, fmt.Errorf("folder of the programs: %w", err)
	}
	b := Binaries{filepath.Join(abs, "membershipd"), filepath.Join(abs, "unibus")}
	for _, f := range []string{b.Membershipd, b.Unibus} {
		if _, err := os.Stat(f); err != nil {
			return Binaries{}, fmt.Errorf("no program there; build it with make build: %w", err)
		}
	}
	return b, nil
}

func moduleRoot(ctx context.Context) (string, error) {
	out, err := exec.CommandContext(ctx, "go", "env", "GOMOD").Output()
	if err != nil {
		return "", fmt.Errorf("find the module: %w", err)
	}
	f := strings.TrimSpace(string(out))
	if f == "" || f == os.DevNull {
		return "", errors.New("find the module: run this within the repository")
	}
	return filepath.Dir(f), nil
}
