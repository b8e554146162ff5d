// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/scaling"
	"github.com/unibus/unibus/internal/steering"
)

// expectRunning expects that the places' processes run, or don't.
func (l *lab) expectRunning(launcher *launcher, want ...bool) {
	l.t.Helper()
	for i, runs := range want {
		if got := launcher.process(i, 0) != 0; got != runs {
			l.t.Errorf("node-%d runs: %v, want %v", i, got, runs)
		}
	}
}

// A run that was suspended goes on with an inventory that is not the one of now: it starts and stops by that of now.
func TestSettleByAnOldInventory(t *testing.T) {
	l := mustLab(t)
	launcher := l.mustPlaces(2)
	l.expectRunning(launcher, true, true)
	old, err := l.folder.inventory()
	must(t, err)
	old.Size = 0
	must(t, launcher.settle(t.Context(), old))
	l.expectRunning(launcher, true, true)

	now, err := l.folder.update(t.Context(), func(inv *inventory) error { inv.Size = 1; return nil })
	must(t, err)
	must(t, launcher.settle(t.Context(), now))
	l.expectRunning(launcher, true, false)
	now.Size = 2
	must(t, launcher.settle(t.Context(), now))
	l.expectRunning(launcher, true, false)
}

// What was seen long ago decides nothing.
func TestStepOnAnOldObservation(t *testing.T) {
	f := folder{t.TempDir()}
	must(t, f.createInventory(t.Context(), inventory{Name: "a", Replicas: 1}))
	inv, err := f.inventory()
	must(t, err)
	e := &executor{folder: f}
	step := scaling.Step{Action: scaling.Resize, Size: 3}
	now := time.Now()
	o := observation{inv: inv, began: now.Add(-time.Minute), ended: now.Add(-scaling.ActionDeadline - time.Second)}
	if err := e.do(t.Context(), o, nil, step); !errors.Is(err, steering.ErrOld) {
		t.Errorf("a step on an old observation: %v", err)
	}
	step = scaling.Step{Action: scaling.WriteRecord, Record: &scaling.Record{}}
	if err := e.do(t.Context(), o, nil, step); !errors.Is(err, steering.ErrOld) {
		t.Errorf("a record by an old observation: %v", err)
	}
	o.began, o.ended = now, time.Now()
	must(t, e.do(t.Context(), o, nil, step))
}

// A stop is a wish: a growth that is under way ends instead of starting again what was stopped, and goes on when it is asked to.
func TestStopDuringGrow(t *testing.T) {
	l := mustLab(t)
	l.mustRun("create")
	c := l.command("grow", "--replicas", "3", "--yes")
	var said bytes.Buffer
	c.Stdout, c.Stderr = &said, &said
	must(t, c.Start())
	natstest.Within(t, limit, "the second name ordered", func() bool {
		v, err := l.folder.record()
		return err == nil && v.Record != nil && len(v.Record.Names) == 2
	})
	if code, out, said := l.run("stop"); code != console.ExitDone {
		t.Errorf("stop: exit code %d\n%s%s", code, out, said)
	}
	_ = c.Wait() // its exit code is looked at
	if code := c.ProcessState.ExitCode(); code != console.ExitFailed || !strings.Contains(said.String(), "stopped by another run") {
		t.Errorf("grow: exit code %d\n%s", code, said.String())
	}
	l.expectRunning(&launcher{folder: l.folder}, false, false, false)
	if code, out, _ := l.run("status"); code != 0 || !strings.Contains(out, "unibus cluster start") {
		t.Errorf("status after the stop: exit code %d\n%s", code, out)
	}
	if code, out, _ := l.run("start", "--timeout", "3m"); code != 0 {
		t.Errorf("start: exit code %d\n%s", code, out)
	}
	l.expectMembers(l.mustRun("grow", "--replicas", "3"), 3)

	// A stop that waits for a run that starts the cluster again is not obeyed any more.
	release := l.mustHold(startLock(2))
	c = l.command("stop")
	said.Reset()
	c.Stdout, c.Stderr = &said, &said
	must(t, c.Start())
	natstest.Within(t, limit, "the wish", func() bool { inv, err := l.folder.inventory(); return err == nil && inv.Stopped })
	_, err := l.folder.update(t.Context(), func(inv *inventory) error { inv.Stopped = false; return nil })
	must(t, err)
	release()
	_ = c.Wait() // its exit code is looked at
	if code := c.ProcessState.ExitCode(); code != console.ExitFailed || !strings.Contains(said.String(), "another run has started") {
		t.Errorf("stop beside a start: exit code %d\n%s", code, said.String())
	}
	l.expectRunning(&launcher{folder: l.folder}, true, true, true)
}
