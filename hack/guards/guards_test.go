// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"regexp"
	"testing"
)

// TestTheTableIsUpToDate: each guard is in its file, once, and its test in its folder.
func TestTheTableIsUpToDate(t *testing.T) {
	t.Chdir(filepath.Join("..", ".."))
	for _, g := range table {
		was, err := os.ReadFile(g.file)
		if err != nil {
			t.Error(err)
			continue
		}
		if is, err := g.without(string(was)); err != nil || is == string(was) {
			t.Errorf("%s: taking it out changes nothing, or fails: %v", g, err)
		}
		if !hasTest(t, g.folder, g.test) {
			t.Errorf("%s: there is no such test", g)
		}
	}
}

func hasTest(t *testing.T, folder, name string) bool {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(folder, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	declared := regexp.MustCompile(`(?m)^func ` + regexp.QuoteMeta(name) + `\(t \*testing\.T\) \{$`)
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if declared.Match(text) {
			return true
		}
	}
	return false
}
