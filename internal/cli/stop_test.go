// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"strings"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
)

// A process is stopped only when what answers at its control endpoint has the disk that is expected there.
func TestStopOfAnotherDisk(t *testing.T) {
	l := mustLab(t)
	l.mustRun("create")
	inv, err := l.folder.update(t.Context(), func(inv *inventory) error { inv.Places[0].DiskID = "another"; return nil })
	must(t, err)
	code, _, said := l.run("stop")
	if code != console.ExitFailed || !strings.Contains(said, "another was expected") {
		t.Errorf("stop: exit code %d\n%s", code, said)
	}
	ctl, err := newControl(tlsFiles{})
	must(t, err)
	defer ctl.Close()
	s, err := ctl.Status(t.Context(), inv.Places[0].Control)
	if err != nil || s.Phase != v1.NodeRunning {
		t.Fatalf("the node after the refused stop: %+v, %v", s, err)
	}
	_, err = l.folder.update(t.Context(), func(inv *inventory) error { inv.Places[0].DiskID = s.DiskID; return nil })
	must(t, err)
	if code, _, said := l.run("stop"); code != console.ExitDone {
		t.Errorf("stop: exit code %d\n%s", code, said)
	}
	if _, err := ctl.Status(t.Context(), inv.Places[0].Control); err == nil {
		t.Error("the node answers after it was stopped")
	}
}

// A process that was started by a run that died before writing its id down is found by its command line, and not started twice.
func TestProcessWhoseIDWasNotWritten(t *testing.T) {
	l := mustLab(t)
	l.mustRun("create")
	var pid int
	_, err := l.folder.update(t.Context(), func(inv *inventory) error {
		pid, inv.Places[0].Local.PID = inv.Places[0].Local.PID, 0
		return nil
	})
	must(t, err)
	if got := (&launcher{folder: l.folder}).process(0, 0); got != pid {
		t.Fatalf("process %d was found, want %d", got, pid)
	}
	l.expectMembers(l.mustRun("start"), 1)
	if code, _, said := l.run("stop"); code != console.ExitDone {
		t.Errorf("stop: exit code %d\n%s", code, said)
	}
	if got := (&launcher{folder: l.folder}).process(0, pid); got != 0 {
		t.Errorf("process %d still runs", got)
	}
}

// What a person declared lost stays declared only until the server answers or is gone.
func TestDeclarationEnds(t *testing.T) {
	l := mustLab(t)
	l.mustRun("create")
	_, err := l.folder.update(t.Context(), func(inv *inventory) error { inv.declare([]string{"unibus-0-0"}); return nil })
	must(t, err)
	l.expectMembers(l.mustRun("start"), 1)
	if inv, err := l.folder.inventory(); err != nil || len(inv.Dead) > 0 {
		t.Errorf("still declared: %v, %v", inv.Dead, err)
	}
}
