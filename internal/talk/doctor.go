// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/doctor"
)

func newDoctor() *cobra.Command {
	o := &options{}
	c := o.printed(o.linked(&cobra.Command{
		Use: "doctor", Short: "Find out what is wrong between here and the bus", Args: cobra.NoArgs,
		Long: `Looks at the context, the key and the CA, goes the way to each server and to the HTTP API step by step (name, connection, TLS, the key),
compares the clocks, and says what is wrong and what to do about it. It changes nothing, and your key goes nowhere. The exit code is 0
when all is well, notes aside, and 1 otherwise. Programs go by the codes of findings, which stay as they are.`,
		Example: "  unibus doctor\n  unibus doctor --context work -o json",
	}))
	timeout := c.PersistentFlags().Lookup("timeout")
	o.timeout = 5 * time.Second // of a check, of which there are many
	timeout.DefValue, timeout.Usage = o.timeout.String(), "how long one check may take"
	c.RunE = func(c *cobra.Command, _ []string) error {
		if err := o.check(); err != nil {
			return err
		}
		report, err := doctor.Examine(c.Context(), doctor.Config{Link: o.link, Limit: o.timeout,
			Waiting: func(what string) func() { return console.Waiting(c.ErrOrStderr(), what) }})
		if err != nil {
			return console.Interrupted(c.Context(), err)
		}
		if err := printReport(c.OutOrStdout(), o.output, report); err != nil || report.Well {
			return err
		}
		return console.Failf(console.ExitFailed, "not all is well: see above for what to do")
	}
	return c
}

// printReport prints findings one below the other: they are sentences, and too long for columns.
func printReport(w io.Writer, format string, r doctor.Report) error {
	switch format {
	case console.FormatJSON, console.FormatYAML:
		return console.Encode(w, format, r)
	}
	var failed error
	say := func(format string, args ...any) {
		_, err := fmt.Fprintf(w, format, args...)
		failed = errors.Join(failed, err)
	}
	for _, f := range r.Findings {
		if format == console.FormatName {
			say("%s\n", f.Code)
			continue
		}
		say("%-8s %s: %s (%s)\n", f.Verdict, console.Clean(f.What), console.Clean(f.Found), f.Code)
		if f.Remedy != "" {
			say("         to do: %s\n", console.Clean(f.Remedy))
		}
	}
	return failed
}
