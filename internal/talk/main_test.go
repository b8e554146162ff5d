// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"bytes"
	"context"
	"io"
	"os"
	"os/signal"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/natstest"
)

// commandEnv makes the test program the unibus program, for tests that kill it.
const commandEnv = "TALK_TEST_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(commandEnv) != "" {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
		code := execute(ctx, os.Stdin, os.Stdout, os.Stderr, os.Args[1:]...)
		stop()
		os.Exit(code)
	}
	goleak.VerifyTestMain(m, natstest.Leaks()...)
}

// execute runs a command line as the program does.
func execute(ctx context.Context, in io.Reader, out, said io.Writer, args ...string) int {
	root := &cobra.Command{Use: "unibus", SilenceUsage: true, SilenceErrors: true}
	root.AddCommand(New()...)
	root.SetArgs(args)
	root.SetIn(in)
	root.SetOut(out)
	root.SetErr(said)
	return console.CodeOf(said, console.Interrupted(ctx, root.ExecuteContext(ctx)))
}

// invoke runs a command line with that standard input.
func invoke(t testing.TB, in string, args ...string) (code int, out, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	var o, e bytes.Buffer
	code = execute(ctx, strings.NewReader(in), &o, &e, args...)
	if ctx.Err() != nil {
		t.Fatalf("unibus %v did not end: %s%s", args, o.String(), e.String())
	}
	return code, o.String(), e.String()
}

// mustRun expects success, without a word of what goes on, and returns what was printed.
func mustRun(t testing.TB, args ...string) string {
	t.Helper()
	code, out, said := invoke(t, "", args...)
	if code != 0 || strings.Contains(said, "connection") {
		t.Fatalf("unibus %v: exit code %d: %s", args, code, said)
	}
	return out
}

// expectFailure expects an exit code and words.
func expectFailure(t testing.TB, code int, words string, args ...string) {
	t.Helper()
	got, out, said := invoke(t, "", args...)
	if got != code || !strings.Contains(said, words) {
		t.Errorf("unibus %v: exit code %d, want %d with %q: %s%s", args, got, code, words, out, said)
	}
}
