// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/unibus/unibus/internal/console"
)

// mustPlaces runs n nodes that wait for orders, and returns the launcher that started them.
func (l *lab) mustPlaces(n int) *launcher {
	l.t.Helper()
	_, err := l.folder.initKeys(l.t.Context())
	must(l.t, err)
	must(l.t, l.folder.createInventory(l.t.Context(), inventory{Name: "unibus", Replicas: 1, Size: n}))
	ctl, err := newControl(tlsFiles{})
	must(l.t, err)
	l.t.Cleanup(ctl.Close)
	launcher := &launcher{folder: l.folder, control: ctl, program: l.bin.Membershipd}
	inv, err := l.folder.inventory()
	must(l.t, err)
	must(l.t, launcher.settle(l.t.Context(), inv))
	return launcher
}

// mustHold holds a lock of the folder as another run does, until release is called.
func (l *lab) mustHold(name string) (release func()) {
	l.t.Helper()
	f, err := os.OpenFile(l.folder.path(name), os.O_CREATE|os.O_RDWR, 0o600)
	must(l.t, err)
	l.t.Cleanup(func() { f.Close() })
	must(l.t, unix.Flock(int(f.Fd()), unix.LOCK_EX))
	return func() { f.Close() }
}

// A lock that another run holds is waited for, says so, and no longer than --timeout or until an interrupt.
func TestLockOfAnotherRun(t *testing.T) {
	l := mustLab(t)
	l.mustPlaces(1)
	release := l.mustHold(startLock(0))
	code, out, said := l.run("start", "--timeout", "3s")
	if code != console.ExitTimeout || !strings.Contains(said, "another run holds "+l.folder.path(startLock(0))) {
		t.Errorf("start beside a run that holds a node: exit code %d\n%s%s", code, out, said)
	}
	release()
	for _, args := range [][]string{{"start"}, {"create"}} {
		release := l.mustHold(lockFile)
		c := l.command(args...)
		var said bytes.Buffer
		r, w, err := os.Pipe()
		must(t, err)
		c.Stdout, c.Stderr = &said, w
		must(t, c.Start())
		w.Close()
		told := make([]byte, 1)
		_, err = r.Read(told) // the first word of standard error
		must(t, err)
		must(t, c.Process.Signal(os.Interrupt))
		_ = c.Wait() // its exit code is looked at
		if code := c.ProcessState.ExitCode(); code != console.ExitInterrupted {
			t.Errorf("%v interrupted while it waited for a lock: exit code %d\n%s", args, code, said.String())
		}
		r.Close()
		release()
	}
	l.expectMembers(l.mustRun("start"), 1)
}
