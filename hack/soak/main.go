// SPDX-License-Identifier: Apache-2.0

// Command soak grows and shrinks clusters of real processes under load, while faults that are drawn from a seed befall them,
// and reads every acknowledged write back from each replica. Meanwhile users come and go, speak, append and follow in rooms that they are put
// into and out of at random, and everything that reaches them is judged by what they may have; others do so by the client library, of which
// acknowledged messages may not be lost, and which may give who follows or reads page by page nothing twice, too late or not at all. In a room
// that keeps nothing all is heard and each request answered, once, as long as nothing befalls the cluster.
//
// The last line of its output is
//
//	soak: rounds N acknowledged N lost N duplicated N longest-gap-ms N longest-gap-planned-ms N leaks N refused N
//
// and the exit status is 1 when a write is lost or stored twice, when something reached a user who may not have it or was refused to
// one who may, when a writer waited for more than a second in a step without a fault, when a cluster that nobody changed was not in
// true sync 15 seconds after the heal of a cut, or when a step does not end; 2 when the soak is used wrongly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/unibus/unibus/internal/e2e/proc"
)

func main() {
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}

// options are what the command line says.
type options struct {
	Config
	bin  string
	plan bool
}

func parse(args []string, notes io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("soak", flag.ContinueOnError)
	f.SetOutput(notes)
	f.IntVar(&o.Rounds, "rounds", 20, "how many rounds")
	f.Uint64Var(&o.Seed, "seed", 1, "what the faults are drawn from")
	f.IntVar(&o.Only, "only", 0, "run only this round of the schedule, with a new cluster")
	f.IntVar(&o.Writers, "writers", 3, "writers of each stream")
	f.DurationVar(&o.Pause, "pause", 30*time.Millisecond, "time between two writes of a writer")
	f.DurationVar(&o.Deadline, "deadline", 4*time.Minute, "time after which a step is stuck")
	f.BoolVar(&o.Raced, "raced", false, "build with the race detector, and don't judge time")
	f.BoolVar(&o.Keep, "keep", false, "keep the folder with logs and disks; it is kept anyway when something is wrong")
	f.StringVar(&o.Dir, "dir", "", "folder for logs and disks; a temporary one by default")
	f.StringVar(&o.bin, "bin", "", "folder with membershipd and unibus; they are built by default")
	f.BoolVar(&o.plan, "plan", false, "print the schedule and do nothing")
	if err := f.Parse(args); err != nil {
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	if f.NArg() > 0 {
		return o, fmt.Errorf("%w: nothing is known about %q", errUsage, f.Args())
	}
	if err := o.check(); err != nil {
		return o, fmt.Errorf("%w: %w", errUsage, err)
	}
	if o.bin != "" {
		var err error
		if o.Bin, err = proc.Find(o.bin); err != nil {
			return o, fmt.Errorf("%w: -bin: %w", errUsage, err)
		}
	}
	return o, nil
}

func run(args []string, out, notes io.Writer) int {
	o, err := parse(args, notes)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err == nil && o.plan {
		for _, r := range Schedule(o.Seed, o.Rounds) {
			fmt.Fprintln(out, r)
		}
		return 0
	}
	var sums Sums
	if err == nil {
		ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
		defer stop()
		o.Out = out
		sums, err = Run(ctx, o.Config)
	}
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(notes, "interrupted; everything is cleaned up")
	} else if err != nil {
		fmt.Fprintln(notes, err)
	}
	fmt.Fprintln(out, sums) // whatever happened: who reads it looks for this line
	switch {
	case errors.Is(err, errUsage):
		return 2
	case err != nil:
		return 1
	}
	return 0
}
