// SPDX-License-Identifier: Apache-2.0

package build

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"github.com/unibus/unibus/hack/devcluster/internal/progress"
)

func mustKey(t *testing.T, s step, compiler string, source fstest.MapFS) string {
	t.Helper()
	key, err := (&Builder{Source: source}).key(s, compiler)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func source(main string) fstest.MapFS {
	return fstest.MapFS{
		"go.mod":        {Data: []byte("module example.com/m\n\ngo 1.26.0\n\nrequire k8s.io/kubernetes v1.2.3\n")},
		"go.sum":        {},
		"pause/main.go": {Data: []byte(main)},
	}
}

// What is not in the key would be built once and never again.
func TestKey(t *testing.T) {
	const main = "package main\n\nfunc main() {}\n"
	s := step{name: "pause", source: "pause"}
	was := mustKey(t, s, "go1", source(main))
	if again := mustKey(t, s, "go1", source(main)); again != was {
		t.Error("the same has another key")
	}
	if again := mustKey(t, step{name: "pause", source: "pause", took: "long"}, "go1", source(main)); again != was {
		t.Error("what is said of a step is in its key")
	}
	changed := map[string]string{
		"source":   mustKey(t, s, "go1", source(main+"\n")),
		"compiler": mustKey(t, s, "go2", source(main)),
		"tags":     mustKey(t, step{name: "pause", source: "pause", tags: "x"}, "go1", source(main)),
		"version":  mustKey(t, step{name: "pause", source: "pause", packages: []string{"a@v2"}}, "go1", source(main)),
	}
	sum := source(main)
	sum["go.sum"] = &fstest.MapFile{Data: []byte("x")}
	changed["go.sum"] = mustKey(t, s, "go1", sum)
	for what, key := range changed {
		if key == was {
			t.Errorf("another %s has the same key", what)
		}
	}
}

func TestBuildOnce(t *testing.T) {
	cache := t.TempDir()
	var said bytes.Buffer
	b := &Builder{Source: source("package main\n\nfunc main() {}\n"), Cache: cache, Progress: progress.New(&said)}
	s := step{name: "pause", source: "pause", aliases: []string{"other"}}
	dir := filepath.Join(cache, "pause-x")
	// What an interrupted build left is in the way of nothing.
	if err := os.MkdirAll(filepath.Join(cache, ".making", "left"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := b.once(t.Context(), s, "1 of 1", dir); err != nil {
		t.Fatal(err)
	}
	was, err := os.Stat(filepath.Join(dir, "other"))
	if err != nil {
		t.Fatal(err)
	}
	if err := b.once(t.Context(), s, "1 of 1", dir); err != nil {
		t.Fatal(err)
	}
	if is, err := os.Stat(filepath.Join(dir, "pause")); err != nil || !os.SameFile(was, is) {
		t.Errorf("built again: %v", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Errorf("got %v, %v: want the program and its other name", entries, err)
	}
}

func TestBuildThatFailsLeavesNothing(t *testing.T) {
	cache := t.TempDir()
	b := &Builder{Source: source("no go"), Cache: cache, Progress: progress.New(&bytes.Buffer{})}
	if err := b.once(t.Context(), step{name: "pause", source: "pause"}, "1 of 1", filepath.Join(cache, "pause-x")); err == nil {
		t.Fatal("no error")
	}
	if left, err := os.ReadDir(cache); err != nil || len(left) != 1 || left[0].Name() != "lock" {
		t.Errorf("got %v, %v: want nothing but the lock", left, err)
	}
}
