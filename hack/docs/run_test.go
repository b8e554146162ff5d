// SPDX-License-Identifier: Apache-2.0

package docs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// foreign is what the contexts are before the first block: the reader's own bus is the current one, so that a block which does not say
// that it means another fails here, and changes nothing there.
const foreign = `{"current":"prod","contexts":{"prod":{"servers":["nats://127.0.0.1:1"],"api":"http://127.0.0.1:1","key":"/nowhere/prod.nk"}}}`

// command runs a block's text in a shell, in a process group of its own. Contexts are the folder's, not those of who runs the test. Blocks that run
// tests run these among them: those that take long would begin again and again within themselves.
func command(ctx context.Context, t *testing.T, dir, text string) *exec.Cmd {
	known := filepath.Join(dir, "contexts.json")
	if _, err := os.Stat(known); errors.Is(err, fs.ErrNotExist) {
		if err := os.WriteFile(known, []byte(foreign), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", text)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "UNIBUS_CONTEXTS="+known, long+"=")
	cmd.WaitDelay = time.Second // a node that goes on in the background may hold the pipe
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	t.Cleanup(func() {
		if cmd.Process != nil {
			_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // what is left of it; usually nothing
		}
	})
	return cmd
}

func expectRuns(t *testing.T, dir, name, text string, limit time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	defer cancel()
	out, err := command(ctx, t, dir, text).CombinedOutput()
	if err != nil && !errors.Is(err, exec.ErrWaitDelay) {
		t.Fatalf("%s: %v\n%s\n%s", name, err, text, out)
	}
	t.Logf("%s:\n%s", name, out)
}

// expectServes starts what goes on until Ctrl-C, and returns once it has said that this ends it. It is ended so with the test.
func expectServes(t *testing.T, dir, name, text string, limit time.Duration) {
	t.Helper()
	cmd := command(context.Background(), t, dir, "exec "+text)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = cmd.Stdout
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	late := time.AfterFunc(limit, func() { _ = cmd.Process.Kill() }) // it may have ended
	lines, said := bufio.NewScanner(out), ""
	for !strings.Contains(said, "Ctrl-C") && lines.Scan() {
		said += lines.Text() + "\n"
	}
	if !late.Stop() || !strings.Contains(said, "Ctrl-C") {
		t.Fatalf("%s: it does not serve: %v, %v\n%s\n%s", name, lines.Err(), cmd.Wait(), text, said)
	}
	t.Logf("%s:\n%s", name, said)
	rest := make(chan string, 1)
	go func() {
		b, err := io.ReadAll(out)
		rest <- fmt.Sprint(string(b), err)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt) // if it has ended, Wait tells how
		said := <-rest
		if err := cmd.Wait(); err != nil {
			t.Errorf("%s: its end after Ctrl-C: %v\n%s", name, err, said)
		}
	})
}

// TestFirstMessage tells how long it takes from a clean clone to the first message of the README, on a machine that has nothing but Go, git and
// make: all is downloaded and built anew.
func TestFirstMessage(t *testing.T) {
	if os.Getenv("DOCS_FIRST") == "" {
		t.Skip("run by make first-message: it takes minutes")
	}
	bs, err := blocks(mustRead(t, "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	bare := t.TempDir()
	t.Setenv("GOCACHE", filepath.Join(bare, "build"))
	t.Setenv("GOMODCACHE", filepath.Join(bare, "modules"))
	t.Setenv("GOFLAGS", "-modcacherw") // so that it can be removed
	dir := filepath.Join(bare, "clone")
	began := time.Now()
	expectRuns(t, bare, "clone", "git clone -q "+os.Getenv("DOCS_FIRST")+" clone", time.Minute)
	for _, b := range bs {
		name := fmt.Sprintf("README.md:%d", b.line)
		if b.tag == tagServe {
			expectServes(t, dir, name, b.text, time.Minute)
			continue
		}
		expectRuns(t, dir, name, b.text, time.Hour)
		what := map[bool]string{true: "the programs"}[strings.Contains(b.text, "make build")]
		if strings.Contains(b.text, "| bin/unibus chat") {
			what = "the first message"
		}
		if what != "" {
			t.Logf("%.1f minutes to %s", time.Since(began).Minutes(), what)
		}
		if what == "the first message" {
			return
		}
	}
	t.Error("nobody says anything in the README")
}
