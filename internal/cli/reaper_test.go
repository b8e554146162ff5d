// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/unibus/unibus/internal/natstest"
)

const (
	// reaperEnv makes the test program one that waits for its parent's end and then ends all programs of the named folder.
	reaperEnv = "CLI_TEST_REAPER"
	// orphanEnv makes it one that leaves a program of the named folder behind.
	orphanEnv = "CLI_TEST_ORPHAN"
)

// tie is open for as long as this process lives, whatever ends it. The reaper has the other end.
var tie *os.File

// startReaper sees to it that no program of a folder outlives this process: nodes that the commands start are in sessions of their own,
// and no cleanup runs when a test is killed or takes too long.
func startReaper(dir string) error {
	if _, err := os.Readlink("/proc/self/exe"); err != nil {
		return nil // a system that does not tell which program a process runs
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	r, w, err := os.Pipe()
	if err != nil {
		return err
	}
	defer r.Close()
	c := exec.Command(self)
	c.Env = append(os.Environ(), reaperEnv+"="+dir)
	c.Stdin = r
	c.SysProcAttr = &unix.SysProcAttr{Setsid: true} // what is sent to the test's group is not for it
	if err := c.Start(); err != nil {
		return fmt.Errorf("start the reaper: %w", err)
	}
	tie = w
	return nil
}

func reap(dir string) {
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGTERM)
	_, _ = io.Copy(io.Discard, os.Stdin) // nothing is written; it ends with the parent
	natstest.Until(limit, func() bool {
		all := running(dir)
		for _, pid := range all {
			_ = unix.Kill(pid, unix.SIGKILL) // it may have ended
		}
		return len(all) == 0
	})
	os.RemoveAll(dir)
	os.Exit(0)
}

// running are the processes whose program is in a folder.
func running(dir string) []int {
	var out []int
	all, _ := filepath.Glob("/proc/[0-9]*") // the pattern is valid
	for _, p := range all {
		exe, err := os.Readlink(filepath.Join(p, "exe"))
		if pid, bad := strconv.Atoi(filepath.Base(p)); err == nil && bad == nil && strings.HasPrefix(exe, dir+string(filepath.Separator)) {
			out = append(out, pid)
		}
	}
	return out
}

// leaveOrphan starts a program that outlives this process, tells that, and waits to be killed.
func leaveOrphan(dir string) {
	err := startReaper(dir)
	if err == nil {
		c := exec.Command(filepath.Join(dir, "sleep"), "600")
		c.SysProcAttr = &unix.SysProcAttr{Setsid: true}
		err = c.Start()
	}
	fmt.Fprintln(os.Stdout, err)
	_, _ = io.Copy(io.Discard, os.Stdin) // it is killed before
	os.Exit(1)
}

// What the tests start ends with them, even when they are killed.
func TestReaper(t *testing.T) {
	if _, err := os.Readlink("/proc/self/exe"); err != nil {
		t.Skip("this system does not tell which program a process runs")
	}
	path, err := exec.LookPath("sleep")
	must(t, err)
	program, err := os.ReadFile(path)
	must(t, err)
	dir, err := filepath.EvalSymlinks(t.TempDir())
	must(t, err)
	dir = filepath.Join(dir, "programs")
	must(t, os.Mkdir(dir, 0o700))
	must(t, os.WriteFile(filepath.Join(dir, "sleep"), program, 0o700))
	self, err := os.Executable()
	must(t, err)
	c := exec.Command(self)
	c.Env = append(os.Environ(), orphanEnv+"="+dir)
	in, err := c.StdinPipe()
	must(t, err)
	defer in.Close()
	out, err := c.StdoutPipe()
	must(t, err)
	must(t, c.Start())
	said, err := bufio.NewReader(out).ReadString('\n')
	if err != nil || strings.TrimSpace(said) != "<nil>" {
		t.Errorf("the process that leaves another behind said %q, %v", said, err)
	}
	left := running(dir)
	must(t, c.Process.Kill())
	_ = c.Wait() // it was killed
	if len(left) != 1 {
		t.Errorf("processes that were left behind: %v, want one", left)
	}
	if !natstest.Until(limit, func() bool { return len(running(dir)) == 0 }) {
		t.Error("a process outlived the one that started it")
		for _, pid := range running(dir) {
			_ = unix.Kill(pid, unix.SIGKILL)
		}
	}
}
