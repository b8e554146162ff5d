// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// links are where a text leads to: of links and pictures in Markdown, and of those in HTML.
var links = regexp.MustCompile(`\]\(([^)\s]+)[^)]*\)|(?:href|src|srcset)="([^"]+)"`)

// TestLinks looks up every link that stays within the repository, and its heading.
func TestLinks(t *testing.T) {
	for _, file := range mustDocuments(t) {
		for _, to := range targets(mustRead(t, file)) {
			if err := resolve(os.DirFS(root), file, to); err != nil {
				t.Errorf("%s: %v", file, err)
			}
		}
	}
}

// TestEverythingIsLinked finds documents and pictures that nobody comes to from the README.
func TestEverythingIsLinked(t *testing.T) {
	reached := map[string]bool{}
	next := []string{"README.md"}
	for len(next) > 0 {
		file := next[0]
		next = next[1:]
		if reached[file] {
			continue
		}
		reached[file] = true
		if filepath.Ext(file) != ".md" {
			continue
		}
		for _, to := range targets(mustRead(t, file)) {
			if u, err := url.Parse(to); err == nil && u.Scheme == "" && u.Path != "" {
				next = append(next, filepath.Join(filepath.Dir(file), u.Path))
			}
		}
	}
	pictures, err := fs.Glob(os.DirFS(root), "docs/*.svg")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range append(mustDocuments(t), pictures...) {
		if !reached[file] {
			t.Errorf("no link leads from the README to %s", file)
		}
	}
}

// TestPictures: they are SVG that any reader takes, with text as text, and load nothing.
func TestPictures(t *testing.T) {
	pictures, err := fs.Glob(os.DirFS(root), "docs/*.svg")
	if err != nil || len(pictures) < 5 {
		t.Fatalf("pictures: %v, %v", pictures, err)
	}
	for _, file := range pictures {
		if err := picture(mustRead(t, file)); err != nil {
			t.Errorf("%s: %v", file, err)
		}
	}
}

func picture(text string) error {
	texts := 0
	d := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return err
		}
		e, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		switch e.Name.Local {
		case "text":
			texts++
		case "image", "script", "foreignObject", "use":
			return fmt.Errorf("it has an element %s", e.Name.Local)
		}
		for _, a := range e.Attr {
			if strings.Contains(a.Value, "://") && a.Name.Local != "xmlns" {
				return fmt.Errorf("it leads to %s", a.Value)
			}
		}
	}
	if texts == 0 {
		return errors.New("it has no text")
	}
	return nil
}

func TestResolve(t *testing.T) {
	tree := t.TempDir()
	if err := os.WriteFile(filepath.Join(tree, "a.md"), []byte("# A `b` and C\n\n## Twice\n\n## Twice\n\n```sh ci\n# no heading\n```\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	got := map[string]bool{}
	text := "[a](a.md) ![p](p.svg) [t](a.md \"title\") <img src=\"q.svg\"> [o](https://example.org/x)\n```text\n[no](no.md)\n```\n"
	for _, to := range append(targets(text), "#a-b-and-c", "a.md#a-b-and-c", "a.md#twice-1", "a.md#twice-2", "a.md#no-heading", "b.md#x", "../x", "a%zz") {
		got[to] = resolve(os.DirFS(tree), "a.md", to) == nil
	}
	want := map[string]bool{"a.md": true, "p.svg": false, "q.svg": false, "https://example.org/x": true, "#a-b-and-c": true, "a.md#a-b-and-c": true,
		"a.md#twice-1": true, "a.md#twice-2": false, "a.md#no-heading": false, "b.md#x": false, "../x": false, "a%zz": false}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

// targets are all links of a text, but for those in fenced blocks.
func targets(text string) (found []string) {
	for _, m := range links.FindAllStringSubmatch(prose(text), -1) {
		found = append(found, m[1]+m[2])
	}
	return found
}

// prose is a text without its fenced blocks.
func prose(text string) string {
	var out strings.Builder
	fenced := false
	for line := range strings.Lines(text) {
		fence := strings.HasPrefix(strings.TrimSpace(line), "```")
		if fenced = fenced != fence; !fenced && !fence {
			out.WriteString(line)
		}
	}
	return out.String()
}

// resolve fails when a link of a file leads nowhere. What is elsewhere is not asked.
func resolve(tree fs.FS, file, to string) error {
	u, err := url.Parse(to)
	if err != nil {
		return err
	}
	if u.Scheme != "" {
		return nil
	}
	target := file
	if u.Path != "" {
		target = filepath.Join(filepath.Dir(file), u.Path)
	}
	if _, err := fs.Stat(tree, target); err != nil {
		return fmt.Errorf("the link to %s: %w", to, err)
	}
	if u.Fragment == "" {
		return nil
	}
	text, err := fs.ReadFile(tree, target)
	if err != nil {
		return fmt.Errorf("the link to %s: %w", to, err)
	}
	if !slices.Contains(anchors(string(text)), u.Fragment) {
		return fmt.Errorf("the link to %s: there is no such heading", to)
	}
	return nil
}

var notInAnchor = regexp.MustCompile(`[^\p{L}\p{N} _-]`)

// anchors are those of a text's headings. One that is there again gets a number.
func anchors(text string) (all []string) {
	seen := map[string]int{}
	for line := range strings.Lines(prose(text)) {
		if title, ok := strings.CutPrefix(strings.TrimLeft(line, "#"), " "); ok && strings.HasPrefix(line, "#") {
			anchor := strings.ReplaceAll(notInAnchor.ReplaceAllString(strings.ToLower(strings.TrimSpace(title)), ""), " ", "-")
			if n := seen[anchor]; n > 0 {
				all = append(all, fmt.Sprintf("%s-%d", anchor, n))
			} else {
				all = append(all, anchor)
			}
			seen[anchor]++
		}
	}
	return all
}
