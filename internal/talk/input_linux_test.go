// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/contexts"
	"github.com/unibus/unibus/internal/natstest"
)

// TestInterruptedInput: the first Ctrl-C ends a command that reads standard input, though that does not end.
func TestInterruptedInput(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(contexts.EnvFile, filepath.Join(dir, "contexts.json"))
	key := filepath.Join(dir, "ann.nk")
	mustRun(t, "key", "new", "--out", key)
	for _, line := range []string{"key show -", "request kitchen - --server nats://127.0.0.1:1 --key " + key} {
		code, said := interrupted(t, strings.Fields(line)...)
		if code != console.ExitInterrupted || !strings.Contains(said, "unibus: interrupted") {
			t.Errorf("unibus %s: exit code %d: %s", line, code, said)
		}
	}
}

// interrupted runs a command line as a process, and sends it a SIGINT once it has read what its standard input has so far.
func interrupted(t *testing.T, args ...string) (code int, said string) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience) // which kills it
	defer cancel()
	var out bytes.Buffer
	c := exec.CommandContext(ctx, os.Args[0], args...)
	c.Env = append(os.Environ(), commandEnv+"=1")
	c.Stdin, c.Stdout, c.Stderr = r, &out, &out
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, err := w.WriteString("SU"); err != nil {
		t.Fatal(err)
	}
	reads := natstest.Until(natstest.Patience, func() bool {
		left, err := unix.IoctlGetInt(int(w.Fd()), unix.TIOCINQ)
		return err == nil && left == 0
	})
	_ = c.Process.Signal(os.Interrupt) // its end is looked at
	_ = c.Wait()
	if !reads {
		t.Fatalf("it does not read: %s", out.String())
	}
	return c.ProcessState.ExitCode(), out.String()
}
