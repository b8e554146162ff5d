// SPDX-License-Identifier: Apache-2.0

package console

import (
	"context"
	"errors"
	"fmt"
	"io"
)

// Exit codes.
const (
	ExitDone        = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitPerson      = 3
	ExitTimeout     = 4
	ExitRefused     = 5
	ExitLost        = 6
	ExitInterrupted = 130
)

// ExitHelp documents them.
const ExitHelp = `Exit codes:
  0    done
  1    failed; the message says what and what to do
  2    wrong use of the command line
  3    a person has to decide or to act; the message says what is needed
  4    not done within --timeout; the same command goes on
  5    the question was not answered with yes
  6    the ledger shows that something is missing
  130  interrupted between two steps; the same command goes on`

// Error is an error with an exit code. One without a text ends the program in silence.
type Error struct {
	Code int
	Err  error
}

func (e *Error) Error() string { return e.Err.Error() }
func (e *Error) Unwrap() error { return e.Err }

// Failf returns an error with an exit code.
func Failf(code int, format string, args ...any) error {
	return &Error{code, fmt.Errorf(format, args...)}
}

// Interrupted gives an error that has no exit code yet the one of an interrupt, if there was one.
func Interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.As(err, new(*Error)) {
		return err
	}
	return Failf(ExitInterrupted, "interrupted: %w", err)
}

// CodeOf tells an error and returns its exit code.
func CodeOf(w io.Writer, err error) int {
	if err == nil {
		return ExitDone
	}
	if text := err.Error(); text != "" {
		fmt.Fprintf(w, "unibus: %s\n", text)
	}
	var e *Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ExitFailed
}
