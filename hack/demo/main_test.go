// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"encoding/xml"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestWithoutImages: nothing is begun that could not go on.
func TestWithoutImages(t *testing.T) {
	t.Chdir(t.TempDir())
	var out, notes bytes.Buffer
	if code := run(t.Context(), []string{"-version", "1"}, &out, &notes); code != 2 || !strings.Contains(notes.String(), "make images PUSH=") {
		t.Errorf("exit code %d: %s", code, notes.String())
	}
}

// TestWithoutPrograms: the same holds for what the current context is used by.
func TestWithoutPrograms(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("PATH", mustPrograms(t, "kubectl"))
	var out, notes bytes.Buffer
	if code := run(t.Context(), []string{"-down"}, &out, &notes); code != 2 || !strings.Contains(notes.String(), "install helm") {
		t.Errorf("exit code %d: %s", code, notes.String())
	}
}

// mustPrograms returns a folder with programs of these names, which fail.
func mustPrograms(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		if err := os.WriteFile(filepath.Join(dir, name), []byte("#!/bin/sh\nexit 1\n"), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRecording: lines come up as they were written, whatever is in them; what was waited for is left out.
func TestRecording(t *testing.T) {
	var out bytes.Buffer
	r := newRecorder(&out, "make demo")
	for _, line := range []string{"   1.2s  installs & tests <it>\n", "         3.0s  ... of 1\n"} {
		if _, err := r.Write([]byte(line)); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(t.TempDir(), "demo.svg")
	if err := r.save(file, "demo: ok"); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var svg struct {
		Text []string `xml:"text"`
	}
	if err := xml.Unmarshal(b, &svg); err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	if want := []string{"$ make demo", "   1.2s  installs & tests <it>", "demo: ok"}; !slices.Equal(svg.Text, want) {
		t.Errorf("recorded %q, want %q", svg.Text, want)
	}
	if strings.Count(out.String(), "\n") != 2 {
		t.Errorf("told %q", out.String())
	}
}

// TestEnds: a demo that fails, or is interrupted, says how to go on, and nothing is ok.
func TestEnds(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("PATH", mustPrograms(t, "kubectl", "helm")+":"+os.Getenv("PATH"))
	interrupted, stop := context.WithCancel(t.Context())
	stop()
	for _, c := range []struct {
		ctx  context.Context
		code int
		says string
	}{
		{t.Context(), 1, "demo: failed; kubectl describe"},
		{interrupted, 130, "demo: interrupted; make demo CLUSTER=current begins anew, make demo-down CLUSTER=current removes what there is"},
	} {
		var out, notes bytes.Buffer
		code := run(c.ctx, []string{"-images", "x", "-version", "1"}, &out, &notes)
		if code != c.code || !strings.HasPrefix(notes.String(), c.says) || strings.Contains(out.String(), "ok") {
			t.Errorf("exit code %d, want %d: %s%s", code, c.code, out.String(), notes.String())
		}
	}
}
