// SPDX-License-Identifier: Apache-2.0

// Command lawcheck proves that the import law is kept and that the linter which keeps it bites: it lays out a throw-away
// module in which every line breaks the law, and fails unless each of them is reported. It then follows the imports of
// the real commands to the end, which a linter of single files can't.
//
//	lawcheck PATH-OF-GOLANGCI-LINT
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
)

const module = "github.com/unibus/unibus"

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: lawcheck PATH-OF-GOLANGCI-LINT")
		os.Exit(2)
	}
	if err := run(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "lawcheck:", err)
		os.Exit(1)
	}
}

func run(linter string) error {
	linter, err := filepath.Abs(linter)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "lawcheck-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := layOut(dir); err != nil {
		return err
	}
	reported, err := lint(linter, dir)
	if err != nil {
		return err
	}
	for i, c := range cases {
		file := c.file(i)
		if _, ok := reported[file]; ok == c.allowed {
			return fmt.Errorf("%s imports %s: reported %v, want %v; mend the rules of .golangci.yml", file, c.imports, ok, !c.allowed)
		}
	}
	if err := followed(); err != nil {
		return err
	}
	fmt.Printf("lawcheck: %d imports tried, each judged as the law says; no command links what it must not\n", len(cases))
	return nil
}

// layOut writes the module of the cases, with a stub for everything that they import.
func layOut(dir string) error {
	mod := "module " + module + "\n\ngo 1.26\n"
	for _, m := range foreign {
		stub := filepath.Join("stub", m)
		mod += fmt.Sprintf("require %s %s\nreplace %s => ./%s\n", m, version(m), m, stub)
		if err := write(dir, filepath.Join(stub, "go.mod"), "module "+m+"\n\ngo 1.26\n"); err != nil {
			return err
		}
	}
	if err := write(dir, "go.mod", mod); err != nil {
		return err
	}
	config, err := os.ReadFile(".golangci.yml")
	if err != nil {
		return fmt.Errorf("run lawcheck in the root of the repository: %w", err)
	}
	if err := write(dir, ".golangci.yml", string(config)); err != nil {
		return err
	}
	for i, c := range cases {
		target := filepath.Join("stub", c.imports)
		if rest, ok := strings.CutPrefix(c.imports, module+"/"); ok {
			target = rest
		}
		if err := write(dir, filepath.Join(target, "stub.go"), "package stub\n"); err != nil {
			return err
		}
		if err := write(dir, c.file(i), fmt.Sprintf("package stub\n\nimport _ %q\n", c.imports)); err != nil {
			return err
		}
	}
	return nil
}

// version is one that suits the module's path, as the replaced modules have none of their own.
func version(m string) string {
	if strings.HasSuffix(m, "/v2") {
		return "v2.0.0"
	}
	return "v0.0.0"
}

func write(dir, name, text string) error {
	path := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return os.WriteFile(path, []byte(text), 0o644)
}

// lint returns the files that depguard reported.
func lint(linter, dir string) (map[string]struct{}, error) {
	cmd := exec.Command(linter, "run", "--allow-parallel-runners", "--enable-only", "depguard", "--output.json.path", "stdout", "--show-stats=false", "./...")
	cmd.Dir, cmd.Env = dir, append(os.Environ(), "GOFLAGS=-mod=mod", "GOPROXY=off", "GOWORK=off")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if exit := new(exec.ExitError); err != nil && (!errors.As(err, &exit) || exit.ExitCode() != 1) {
		return nil, fmt.Errorf("golangci-lint: %w\n%s", err, stderr.String())
	}
	var report struct {
		Issues []struct {
			FromLinter, Text string
			Pos              struct{ Filename string }
		}
	}
	if err := json.Unmarshal(out, &report); err != nil {
		return nil, fmt.Errorf("golangci-lint's report: %w\n%s", err, out)
	}
	files := map[string]struct{}{}
	for _, i := range report.Issues {
		if i.FromLinter != "depguard" {
			return nil, fmt.Errorf("the cases do not compile: %s: %s", i.Pos.Filename, i.Text)
		}
		files[i.Pos.Filename] = struct{}{}
	}
	return files, nil
}

// followed checks what the commands link, however far down it is imported.
func followed() error {
	for cmd, never := range map[string][]string{
		"./cmd/unibus":      {"github.com/nats-io/nats-server", "github.com/nats-io/jsm.go"},
		"./cmd/membershipd": {"k8s.io", "sigs.k8s.io"},
	} {
		if _, err := os.Stat(cmd); errors.Is(err, os.ErrNotExist) {
			continue
		}
		out, err := exec.Command("go", "list", "-deps", cmd).Output()
		if err != nil {
			return fmt.Errorf("imports of %s: %w", cmd, err)
		}
		for _, p := range never {
			if i := slices.IndexFunc(strings.Fields(string(out)), func(s string) bool { return s == p || strings.HasPrefix(s, p+"/") }); i >= 0 {
				return fmt.Errorf("%s links %s, which the import law forbids: see docs/architecture.md", cmd, p)
			}
		}
	}
	return nil
}
