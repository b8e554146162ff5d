// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"context"
	"path/filepath"
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

// TestEnds: a demo that fails, or is interrupted, says how to go on, and nothing is ok.
func TestEnds(t *testing.T) {
	t.Chdir(t.TempDir())
	t.Setenv("KUBECONFIG", filepath.Join(t.TempDir(), "none"))
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
