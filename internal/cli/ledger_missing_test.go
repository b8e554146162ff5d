// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/internal/console"
)

// listener hears what is said, and does something once at each of its cues, in their order.
type listener struct {
	said strings.Builder
	cues []cue
}

type cue struct {
	word string
	do   func()
}

func (w *listener) Write(b []byte) (int, error) {
	w.said.Write(b)
	if len(w.cues) > 0 && strings.Contains(string(b), w.cues[0].word) {
		do := w.cues[0].do
		w.cues = w.cues[1:]
		do()
	}
	return len(b), nil
}

// mustSession opens the cluster within the test.
func (l *lab) mustSession(w *listener) *session {
	l.t.Helper()
	c := &cobra.Command{}
	c.SetOut(w)
	s, err := openWith(c, &options{dir: l.folder.dir, output: console.FormatTable, yes: true, timeout: limit, ledger: ledgerFull}, tlsFiles{})
	must(l.t, err)
	l.t.Cleanup(s.close)
	s.launcher.program = l.bin.Membershipd
	return s
}

// forget has the session do without connections until it observes again.
func (s *session) forget() {
	s.admin.Close()
	s.admin = nil
}

// A change whose comparison was wished and could not be made does not end as one that was compared.
func TestChangeWithoutItsLedger(t *testing.T) {
	l := mustLab(t)
	l.mustRun("create")
	same := func(*inventory) error { return nil }

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	w := &listener{}
	s := l.mustSession(w)
	w.cues = []cue{{"ledger before:", func() {}}, {"", cancel}} // the line after it says that all is as wished
	var e *console.Error
	if err := s.change(ctx, "Change nothing?", same); !errors.As(err, &e) || e.Code != console.ExitInterrupted || !strings.Contains(err.Error(), "the ledger after") {
		t.Errorf("interrupted at the ledger after: %v\n%s", err, w.said.String())
	}

	w = &listener{}
	s = l.mustSession(w)
	w.cues = []cue{{"ledger before:", func() {}}, {"", func() { s.forget() }}}
	if err := s.change(t.Context(), "Change nothing?", same); err == nil || errors.As(err, &e) || !strings.Contains(err.Error(), "ledger after could not be read") {
		t.Errorf("a ledger after that can't be read: %v\n%s", err, w.said.String())
	}
	if !strings.Contains(w.said.String(), "1 of 1 member") {
		t.Errorf("the result was not told:\n%s", w.said.String())
	}

	w = &listener{}
	s = l.mustSession(w)
	w.cues = []cue{{"Plan:", func() { s.forget() }}}
	err := s.change(t.Context(), "Grow?", func(inv *inventory) error { inv.Replicas = 3; return nil })
	if err == nil || errors.As(err, &e) || !strings.Contains(err.Error(), "ledger before could not be read") {
		t.Errorf("a ledger before that can't be read: %v\n%s", err, w.said.String())
	}
	r := l.mustRun("grow", "--replicas", "3") // the same command again
	l.expectMembers(r, 3)
	l.expectNothingLost(r)
}
