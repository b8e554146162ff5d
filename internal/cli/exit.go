// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

// Exit codes.
const (
	exitDone        = 0
	exitFailed      = 1
	exitUsage       = 2
	exitPerson      = 3
	exitTimeout     = 4
	exitRefused     = 5
	exitLost        = 6
	exitInterrupted = 130
)

// exitHelp documents them.
const exitHelp = `Exit codes:
  0    done
  1    failed; the message says what and what to do
  2    wrong use of the command line
  3    a person has to decide or to act; the message says what is needed
  4    not done within --timeout; the same command goes on
  5    the question was not answered with yes
  6    the ledger shows that something is missing
  130  interrupted between two steps; the same command goes on`

// exitError is an error with an exit code.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

// failf returns an error with an exit code.
func failf(code int, format string, args ...any) error {
	return &exitError{code, fmt.Errorf(format, args...)}
}

// Main runs the program and returns its exit code.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	root := New()
	root.SetContext(ctx)
	return codeOf(root.ErrOrStderr(), interrupted(ctx, root.ExecuteContext(ctx)))
}

// interrupted gives an error that has no exit code yet the one of an interrupt, if there was one.
func interrupted(ctx context.Context, err error) error {
	if err == nil || ctx.Err() == nil || errors.As(err, new(*exitError)) {
		return err
	}
	return failf(exitInterrupted, "interrupted: %w", err)
}

// codeOf tells an error and returns its exit code.
func codeOf(w io.Writer, err error) int {
	if err == nil {
		return exitDone
	}
	fmt.Fprintf(w, "unibus: %v\n", err)
	var e *exitError
	if errors.As(err, &e) {
		return e.code
	}
	return exitFailed
}
