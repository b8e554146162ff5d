// SPDX-License-Identifier: Apache-2.0

// Command guards takes guards out, one at a time, and wants the tests that rely on them to fail. A guard is a line that keeps somebody from what is not
// theirs, or something from being lost; tests that pass without it would not tell when it goes.
//
//	guards [-run REGEXP] [-list]
//
// Run it in the root of the repository. It changes nothing there: the compiler is given the changed file in place of the one that is there. It exits with 1
// when a test passes without its guard, and when it fails with it.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"
)

// limit is how long a test may take. Without its guard it may hang, which is a failure as well.
const limit = 5 * time.Minute

func main() {
	pattern := flag.String("run", "", "only the guards whose file or test `regexp` matches")
	list := flag.Bool("list", false, "only list them")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, *pattern, *list); err != nil {
		fmt.Fprintln(os.Stderr, "guards:", err)
		stop()
		os.Exit(1)
	}
}

func run(ctx context.Context, pattern string, list bool) error {
	which, err := regexp.Compile(pattern)
	if err != nil {
		return fmt.Errorf("-run: %w", err)
	}
	chosen := slices.DeleteFunc(slices.Clone(table), func(g guard) bool { return !which.MatchString(g.file) && !which.MatchString(g.test) })
	if list {
		for _, g := range chosen {
			fmt.Println(g)
		}
		return nil
	}
	dir, err := os.MkdirTemp("", "guards-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	began, useless := time.Now(), 0
	passed := map[string]bool{} // folders whose tests do, with all guards in place
	for _, g := range chosen {
		if !passed[g.folder] {
			if err := untouched(ctx, g.folder, chosen); err != nil {
				return err
			}
			passed[g.folder] = true
		}
		begin := time.Now()
		bites, err := g.bites(ctx, dir)
		if err != nil {
			return fmt.Errorf("%s: %w", g, err)
		}
		word := "fails "
		if !bites {
			word = "PASSES"
			useless++
		}
		fmt.Printf("%s %5.1fs  %s\n", word, time.Since(begin).Seconds(), g)
	}
	if useless > 0 {
		return fmt.Errorf("%d of %d tests pass without their guard: mend them", useless, len(chosen))
	}
	fmt.Printf("%d guards were taken out, and each time the test failed, in %v\n", len(chosen), time.Since(began).Round(time.Second))
	return nil
}

// untouched runs the tests of a folder with all guards in place.
func untouched(ctx context.Context, folder string, chosen []guard) error {
	var tests []string
	for _, g := range chosen {
		if g.folder == folder && !slices.Contains(tests, g.test) {
			tests = append(tests, g.test)
		}
	}
	begin := time.Now()
	passed, out, err := test(ctx, folder, strings.Join(tests, "|"), "")
	if err != nil {
		return err
	}
	if !passed {
		return fmt.Errorf("tests of %s fail with all guards in place:\n%s", folder, out)
	}
	fmt.Printf("passes %5.1fs  %s with all guards in place\n", time.Since(begin).Seconds(), folder)
	return nil
}

// bites says whether the test fails without the guard.
func (g guard) bites(ctx context.Context, dir string) (bool, error) {
	was, err := os.ReadFile(g.file)
	if err != nil {
		return false, err
	}
	text, err := g.without(string(was))
	if err != nil {
		return false, err
	}
	changed, overlay := filepath.Join(dir, "changed.go"), filepath.Join(dir, "overlay.json")
	if err := os.WriteFile(changed, []byte(text), 0o600); err != nil {
		return false, err
	}
	b, err := json.Marshal(map[string]map[string]string{"Replace": {g.file: changed}})
	if err != nil {
		return false, err
	}
	if err := os.WriteFile(overlay, b, 0o600); err != nil {
		return false, err
	}
	passed, _, err := test(ctx, g.folder, g.test, overlay)
	return !passed, err
}

// without returns a file's text without the guard.
func (g guard) without(text string) (string, error) {
	if n := strings.Count(text, g.old); n != 1 {
		return "", fmt.Errorf("%s has this %d times, and not once; write it in hack/guards as it is now:\n%s", g.file, n, g.old)
	}
	return strings.Replace(text, g.old, g.new, 1), nil
}

// test runs tests of a package. It fails when they can't be compiled, or are not there: that says nothing of the guard.
func test(ctx context.Context, folder, names, overlay string) (passed bool, out string, err error) {
	args := []string{"test", "-count=1", "-vet=off", "-timeout", limit.String(), "-run", "^(" + names + ")$"}
	if overlay != "" {
		args = append(args, "-overlay", overlay)
	}
	cmd := exec.CommandContext(ctx, "go", append(args, "./"+folder)...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) } // go ends the test as well
	b, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	switch {
	case ctx.Err() != nil:
		return false, "", ctx.Err()
	case err != nil && !errors.As(err, &exit):
		return false, "", fmt.Errorf("go test: %w", err)
	case bytes.Contains(b, []byte("[build failed]")), bytes.Contains(b, []byte("[setup failed]")), bytes.Contains(b, []byte("[no tests to run]")):
		return false, "", fmt.Errorf("nothing was tested:\n%s", b)
	}
	return err == nil, string(b), nil
}
