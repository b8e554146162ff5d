// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// root is the root of the repository.
const root = "../.."

// mustDocuments returns the Markdown files of the repository, relative to its root.
func mustDocuments(t *testing.T) []string {
	t.Helper()
	var files []string
	for _, pattern := range []string{"*.md", "docs/*.md"} {
		found, err := fs.Glob(os.DirFS(root), pattern)
		if err != nil {
			t.Fatal(err)
		}
		files = append(files, found...)
	}
	if len(files) < 5 {
		t.Fatalf("only %d documents found: %v", len(files), files)
	}
	return files
}

func mustRead(t *testing.T, file string) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(root, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestBlocks(t *testing.T) {
	got, err := blocks("a\n```sh ci\none\ntwo\n```\n```text\nthree\n```\n````sh long\n```\n````\n")
	if err != nil {
		t.Fatal(err)
	}
	want := []block{{3, "ci", "one\ntwo\n"}, {10, "long", "```\n"}}
	if d := cmp.Diff(want, got, cmp.AllowUnexported(block{})); d != "" {
		t.Error(d)
	}
	for _, bad := range []string{"```sh\nx\n```\n", "```bash never\nx\n```\n", "```sh ci\nx\n"} {
		if _, err := blocks(bad); err == nil {
			t.Errorf("no error for %q", bad)
		}
	}
}

// long is the setting with which blocks are run that take long, in place of the others.
const long = "DOCS_LONG"

// TestLongOnce: a block with which all tests run does not run the long blocks in them.
func TestLongOnce(t *testing.T) {
	t.Setenv(long, "1")
	expectRuns(t, t.TempDir(), "here", `test -z "$`+long+`"`, time.Minute)
}

// TestCommandBlocks runs what the documents tell people to type.
func TestCommandBlocks(t *testing.T) {
	tags, limit := []string{tagCI, tagServe}, 10*time.Minute
	if os.Getenv(long) != "" {
		tags, limit = []string{tagLong}, 2*time.Hour
	}
	bin := mustBuild(t)
	for _, file := range mustDocuments(t) {
		bs, err := blocks(mustRead(t, file))
		if err != nil {
			t.Errorf("%s: %v", file, err)
			continue
		}
		bs = slices.DeleteFunc(bs, func(b block) bool { return !slices.Contains(tags, b.tag) })
		if len(bs) == 0 {
			continue
		}
		t.Run(file, func(t *testing.T) {
			dir := mustCopy(t, bin)
			for _, b := range bs {
				run := expectRuns
				if b.tag == tagServe {
					run = expectServes
				}
				run(t, dir, fmt.Sprintf("%s:%d", file, b.line), b.text, limit)
			}
		})
	}
}

// mustBuild builds the programs and returns their folder.
func mustBuild(t *testing.T) string {
	t.Helper()
	bin := t.TempDir()
	cmd := exec.Command("go", "build", "-o", bin+"/", "./cmd/...")
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build has compiled it
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	return bin
}

// copyScript copies what is in the repository, committed or not, the programs and, where they are there, the tools that take minutes to
// build; and makes the copy a repository of its own, which some targets of the Makefile need.
const copyScript = `
git ls-files -co --exclude-standard -z | { xargs -0 ls -d 2>/dev/null || true; } | tar -c -T - | tar -x -C "$1"
cp -r "$2" "$1/bin"
[ ! -d .cache ] || cp -r .cache "$1/"
cd "$1"
git init -q
git add -A
git -c user.name=docs -c user.email=docs@localhost commit -q -m copy
`

// mustCopy returns a folder with a copy of the repository.
func mustCopy(t *testing.T, bin string) string {
	t.Helper()
	dir := t.TempDir()
	cmd := exec.Command("bash", "-euo", "pipefail", "-c", copyScript, "copy", dir, bin)
	cmd.Dir = root
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("copy of the repository: %v\n%s", err, out)
	}
	t.Cleanup(func() { stopClusters(t, dir) })
	return dir
}

// stopClusters stops the nodes that a block left running; one that ran to its end has stopped its own.
func stopClusters(t *testing.T, dir string) {
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.Name() != "cluster.yaml" {
			return err
		}
		cmd := exec.Command(filepath.Join(dir, "bin/unibus"), "cluster", "stop", "--dir", filepath.Dir(path))
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return nil
	})
	if err != nil {
		t.Errorf("stop what the documents started: %v", err)
	}
}
