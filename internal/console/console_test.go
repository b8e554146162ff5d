// SPDX-License-Identifier: Apache-2.0

package console

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestExitCodes(t *testing.T) {
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	for _, c := range []struct {
		err  error
		code int
		said string
	}{
		{nil, ExitDone, ""},
		{errors.New("no"), ExitFailed, "unibus: no\n"},
		{fmt.Errorf("outer: %w", Failf(ExitPerson, "inner")), ExitPerson, "unibus: outer: inner\n"},
		{&Error{ExitInterrupted, errors.New("")}, ExitInterrupted, ""},
		{Interrupted(cancelled, errors.New("x")), ExitInterrupted, "unibus: interrupted: x\n"},
		{Interrupted(cancelled, Failf(ExitLost, "y")), ExitLost, "unibus: y\n"},
		{Interrupted(t.Context(), errors.New("x")), ExitFailed, "unibus: x\n"},
		{CheckChoice("fruit", "stone", "apple", "pear"), ExitUsage, "unibus: --fruit \"stone\" is not one of apple, pear\n"},
		{CheckChoice("fruit", "pear", "apple", "pear"), ExitDone, ""},
		{CheckTime("age", 0), ExitUsage, "unibus: --age 0s: use a time above 0, such as 30s\n"},
		{CheckTime("age", -time.Second), ExitUsage, "unibus: --age -1s: use a time above 0, such as 30s\n"},
		{CheckTime("age", 1), ExitDone, ""},
		{Confirm(t.Context(), strings.NewReader("y\n"), &bytes.Buffer{}, "Sure?"), ExitRefused, "unibus: Sure? this needs an answer, and there is no terminal: pass --yes to go on without one\n"},
	} {
		var said bytes.Buffer
		if code := CodeOf(&said, c.err); code != c.code || said.String() != c.said {
			t.Errorf("%v: exit code %d, %q", c.err, code, said.String())
		}
	}
}

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"héllo, wörld 👩\u200d🚀": "héllo, wörld 👩\u200d🚀", "a\nb\tc": `a\nb\tc`, "\x1b[31mred": `\x1b[31mred`, "\u009b31m": `\u009b31m`,
		"bad \xff byte": `bad \xff byte`, "\u202eleft": `\u202eleft`, "\ufffd": `�`,
	} {
		if got := Clean(text); got != want {
			t.Errorf("%q is shown as %q, want %q", text, got, want)
		}
	}
}

// FuzzClean: nothing that a terminal obeys is left, and what is harmless stays as it is.
func FuzzClean(f *testing.F) {
	f.Add("a\x1b[2J\u202e\xff")
	f.Fuzz(func(t *testing.T, s string) {
		got := Clean(s)
		if !utf8.ValidString(got) || strings.ContainsFunc(got, func(r rune) bool { return !unicode.IsPrint(r) && r != joiner }) {
			t.Errorf("%q is shown as %q", s, got)
		}
		if again := Clean(got); again != got {
			t.Errorf("%q is shown as %q, and that as %q", s, got, again)
		}
	})
}

func TestWord(t *testing.T) {
	for text, want := range map[string]string{"/home/ann/bin/unibus": "/home/ann/bin/unibus", "/my bus/it's": `'/my bus/it'\''s'`, "": "''", "a$b": "'a$b'"} {
		if got := Word(text); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
