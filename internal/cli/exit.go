// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"os"
	"os/signal"
	"syscall"

	"github.com/unibus/unibus/internal/console"
)

// Main runs the program and returns its exit code.
func Main() int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second interrupt ends the program at once
	root := New()
	out := console.NewStdout(os.Stdout)
	root.SetOut(out)
	err := console.Interrupted(ctx, root.ExecuteContext(ctx))
	if err == nil {
		err = out.Err()
	}
	return console.CodeOf(root.ErrOrStderr(), err)
}
