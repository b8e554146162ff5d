// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"errors"
	"testing"
	"time"

	"github.com/unibus/unibus/internal/scaling"
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

	now, err := l.folder.update(func(inv *inventory) error { inv.Size = 1; return nil })
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
	o := observation{inv: inv, began: time.Now().Add(-scaling.ActionDeadline - time.Second)}
	if err := e.do(t.Context(), o, nil, step); !errors.Is(err, errOld) {
		t.Errorf("a step on an old observation: %v", err)
	}
	step = scaling.Step{Action: scaling.WriteRecord, Record: &scaling.Record{}}
	if err := e.do(t.Context(), o, nil, step); !errors.Is(err, errOld) {
		t.Errorf("a record by an old observation: %v", err)
	}
	o.began = time.Now()
	must(t, e.do(t.Context(), o, nil, step))
}
