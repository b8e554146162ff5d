// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/unibus/unibus/internal/scaling"
)

const (
	// showWait is how long a reason for waiting lasts before it is shown: most are over at once.
	showWait = time.Second
	// repeatWait is how often it is shown again.
	repeatWait = 15 * time.Second
)

// narrator tells what is going on, each line with the time since the beginning.
type narrator struct {
	w     io.Writer
	began time.Time

	last      string // the last line, which is not told twice in a row
	waiting   string // the reason for waiting that is under way
	since     time.Time
	shown     time.Time
	stepBegan time.Time
	troubles  map[string]time.Time // when each was told last
}

func newNarrator(w io.Writer) *narrator {
	return &narrator{w: w, began: time.Now(), troubles: map[string]time.Time{}}
}

// line tells something.
func (n *narrator) line(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	if text == n.last {
		return
	}
	n.last = text
	fmt.Fprintf(n.w, "%7.1fs  %s\n", time.Since(n.began).Seconds(), strings.ReplaceAll(text, "\n", "\n          "))
}

// step tells what is begun or waited for.
func (n *narrator) step(s scaling.Step) {
	now := time.Now()
	if s.Action != scaling.Wait {
		n.waiting = ""
		n.stepBegan = now
		n.line("%s", stepWords(s))
		return
	}
	if s.Reason != n.waiting {
		n.waiting, n.since, n.shown = s.Reason, now, time.Time{}
	}
	switch lasted := now.Sub(n.since); {
	case lasted >= showWait && n.shown.IsZero():
		n.shown = now
		n.line("waiting: %s", s.Reason)
	case lasted >= showWait && now.Sub(n.shown) >= repeatWait:
		n.shown = now
		n.line("waiting for %v now: %s", lasted.Round(time.Second), s.Reason)
	}
}

// done tells how long a step took that was not over at once.
func (n *narrator) done(scaling.Step) {
	if d := time.Since(n.stepBegan); d > 2*time.Second {
		n.line("  that took %.1f s", d.Seconds())
	}
}

// trouble tells an error that is tried again, the same one not too often.
func (n *narrator) trouble(err error) {
	text := err.Error()
	if time.Since(n.troubles[text]) < repeatWait {
		return
	}
	n.troubles[text] = time.Now()
	n.line("trying again: %s", text)
}
