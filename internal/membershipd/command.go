// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/unibus/unibus/internal/daemonconfig"
	"github.com/unibus/unibus/internal/formation"
	"github.com/unibus/unibus/internal/trial"
)

// Exit codes; see the package's documentation.
const (
	ExitOK      = 0
	ExitFailed  = 1
	ExitRefused = 2
	ExitForced  = 3
)

// errRefused is in errors about what the user gave: configuration, disk or ports.
var errRefused = errors.New("not started")

// Main runs the command line and returns the exit code. args are without the program's name.
func Main(args, environ []string, stdout, stderr io.Writer) int {
	ctx, stop := stopping(stderr)
	defer stop()
	cmd := command(environ, stderr)
	cmd.SetArgs(args)
	cmd.SetOut(stdout)
	cmd.SetErr(stderr)
	err := cmd.ExecuteContext(ctx)
	switch {
	case err == nil:
		return ExitOK
	case errors.Is(err, errRefused), errors.Is(err, formation.ErrRefused), errors.Is(err, formation.ErrLocked):
		fmt.Fprintln(stderr, "membershipd:", err)
		return ExitRefused
	}
	fmt.Fprintln(stderr, "membershipd:", err)
	return ExitFailed
}

// stopping returns a context that the first SIGTERM or SIGINT ends. A second one ends the process.
func stopping(stderr io.Writer) (context.Context, func()) {
	ctx, cancel := context.WithCancel(context.Background())
	signals := make(chan os.Signal, 2)
	done := make(chan struct{})
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	go func() {
		select {
		case <-signals:
			cancel()
		case <-done:
			return
		}
		select {
		case s := <-signals:
			fmt.Fprintf(stderr, "membershipd: a second signal (%v): ended at once, leaderships were not handed over\n", s)
			os.Exit(ExitForced)
		case <-done:
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}

// noArguments refuses what is neither a flag nor a command.
func noArguments(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: %q is no command; settings are flags (--help)", errRefused, args[0])
	}
	return nil
}

func command(environ []string, logTo io.Writer) *cobra.Command {
	root := &cobra.Command{
		Use:   "membershipd",
		Short: "A UniBus node: NATS with JetStream in one process, that founds, joins or resumes a cluster",
		Long: `A UniBus node: NATS with JetStream in one process, that founds, joins or resumes a cluster.

Settings come from flags, UNIBUS_ variables and a YAML file (--config); a flag beats a variable, a variable the file.
"membershipd config" prints what is in force.

Exit codes: 0 stopped by a signal, 1 failed while running, 2 refused before anything was started, 3 ended by a second signal.`,
		Example: `  membershipd --dev                                  to try out: prints the lines that open a chat
  membershipd --formation found                      a cluster of one, on this machine
  membershipd --config /etc/unibus/membershipd.yaml  as configured`,
		Args: noArguments, Version: readBuildInfo().String(), SilenceUsage: true, SilenceErrors: true,
	}
	root.CompletionOptions.DisableDefaultCmd = true
	// pflag puts all values of a switch into its name.
	cobra.AddTemplateFunc("plain", func(usages string) string { return strings.ReplaceAll(usages, "[=true|false]", "             ") })
	root.SetUsageTemplate(strings.ReplaceAll(root.UsageTemplate(), "FlagUsages", "FlagUsages | plain"))
	daemonconfig.AddFlags(root.PersistentFlags())
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return errors.Join(errRefused, err) })
	root.RunE = func(cmd *cobra.Command, _ []string) error {
		loaded, err := daemonconfig.Load(cmd.Flags(), environ)
		if err == nil {
			err = loaded.Validate()
		}
		if err != nil {
			return fmt.Errorf("%w: %w", errRefused, err)
		}
		var t *trial.Trial
		if loaded.Dev {
			if t, err = trial.Open(cmd.Context(), loaded.StoreDir); err != nil {
				return fmt.Errorf("%w: --dev: %w", errRefused, err)
			}
			loaded.Admins = append(loaded.Admins, t.AdminKey)
		}
		p, err := assemble(loaded.Config, logTo)
		if err != nil {
			return fmt.Errorf("%w: %w", errRefused, err)
		}
		for _, w := range loaded.Warnings {
			p.log.Warn(w)
		}
		n, err := newNode(p)
		if err != nil {
			return fmt.Errorf("%w: %w", errRefused, err)
		}
		if t != nil {
			return n.try(cmd.Context(), t, cmd.OutOrStdout())
		}
		return n.run(cmd.Context())
	}
	root.AddCommand(&cobra.Command{
		Use: "config", Short: "Print the configuration that is in force, where each setting comes from, and what is wrong with it",
		Args: noArguments,
		RunE: func(cmd *cobra.Command, _ []string) error {
			loaded, err := daemonconfig.Load(cmd.Flags(), environ)
			if err != nil {
				return fmt.Errorf("%w: %w", errRefused, err)
			}
			if err := loaded.Print(cmd.OutOrStdout()); err != nil {
				return err
			}
			if err := loaded.Validate(); err != nil {
				return fmt.Errorf("%w: %w", errRefused, err)
			}
			return nil
		},
	})
	return root
}
