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

// raceLog is where raced programs write what the race detector finds, with their process id behind it.
const raceLog = "race"

// Build builds the programs into the folder, with the race detector when race is set: what it finds in any process started from
// then on, by whomever, is told by Races.
func Build(ctx context.Context, dir string, race bool) (Binaries, error) {
	root, err := moduleRoot(ctx)
	if err != nil {
		return Binaries{}, err
	}
	args, cgo := []string{"build", "-o", dir + string(filepath.Separator)}, "CGO_ENABLED=0"
	if race {
		args, cgo = append(args, "-race"), "CGO_ENABLED=1"
		if err := os.Setenv("GORACE", "log_path="+filepath.Join(dir, raceLog)); err != nil {
			return Binaries{}, fmt.Errorf("where races are told: %w", err)
		}
	}
	c := exec.CommandContext(ctx, "go", append(args, "./cmd/membershipd", "./cmd/unibus")...)
	c.Dir, c.Env = root, append(os.Environ(), cgo)
	if out, err := c.CombinedOutput(); err != nil {
		return Binaries{}, fmt.Errorf("build the programs: %w: %s", err, strings.TrimSpace(string(out)))
	}
	return Find(dir)
}

// Races returns an error with all races that programs built into the folder have had.
func Races(dir string) error {
	files, _ := filepath.Glob(filepath.Join(dir, raceLog+".*")) // the pattern is valid
	var all []error
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err == nil {
			err = errors.New(string(b))
		}
		all = append(all, err)
	}
	return errors.Join(all...)
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
