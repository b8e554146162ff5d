// SPDX-License-Identifier: Apache-2.0

package proc_test

import (
	"context"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/unibus/unibus/internal/e2e/proc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func mustStart(t *testing.T, script string) *proc.Process {
	t.Helper()
	p, err := proc.Start(proc.Command{Name: "shell", Path: "/bin/sh", Args: []string{"-c", script}, Log: filepath.Join(t.TempDir(), "sh.log")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// TestProcess: what a process says is heard, and it ends as it is told to.
func TestProcess(t *testing.T) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	p := mustStart(t, `trap 'echo bye; exit 0' TERM; echo ready; while :; do sleep 0.05; done`)
	if !p.AwaitOutput(ctx, regexp.MustCompile("ready")) {
		t.Fatalf("not ready: %s", p.Output())
	}
	if err := p.Pause(); err != nil {
		t.Error(err)
	}
	if err := p.Continue(); err != nil {
		t.Error(err)
	}
	if err := p.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
	if !strings.Contains(p.Output(), "bye") || p.Running() {
		t.Errorf("it ended without a word: %q", p.Output())
	}

	p = mustStart(t, "exit 3")
	if err := p.Wait(ctx); err == nil || !strings.Contains(err.Error(), "exit status 3") {
		t.Errorf("wait: %v", err)
	}
	if p.AwaitOutput(ctx, regexp.MustCompile("never")) {
		t.Error("it said what it did not say")
	}

	p = mustStart(t, "trap '' TERM; echo ready; while :; do sleep 0.05; done")
	p.AwaitOutput(ctx, regexp.MustCompile("ready"))
	short, cancel := context.WithTimeout(ctx, 100*time.Millisecond)
	defer cancel()
	if err := p.Stop(short); err == nil || p.Running() {
		t.Errorf("a deaf process: %v, running %v", err, p.Running())
	}
}
