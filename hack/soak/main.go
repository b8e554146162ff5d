// SPDX-License-Identifier: Apache-2.0

// Command soak grows and shrinks clusters of real processes under load, while faults that are drawn from a seed befall them,
// and reads every acknowledged write back from each replica.
//
// The last line of its output is
//
//	soak: rounds N acknowledged N lost N duplicated N longest-gap-ms N longest-gap-planned-ms N
//
// and the exit status is 1 when a write is lost or stored twice, when writes stopped for more than a second in a step without
// a fault, or when a step does not end.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/unibus/unibus/internal/e2e/proc"
)

func main() {
	os.Exit(run())
}

func run() int {
	c := Config{Out: os.Stdout}
	flag.IntVar(&c.Rounds, "rounds", 20, "how many rounds")
	flag.Uint64Var(&c.Seed, "seed", 1, "what the faults are drawn from")
	flag.IntVar(&c.Only, "only", 0, "run only this round of the schedule, with a new cluster")
	flag.IntVar(&c.Writers, "writers", 3, "writers of each stream")
	flag.DurationVar(&c.Pause, "pause", 30*time.Millisecond, "time between two writes of a writer")
	flag.DurationVar(&c.Deadline, "deadline", 4*time.Minute, "time after which a step is stuck")
	flag.BoolVar(&c.Raced, "raced", false, "build with the race detector, and don't judge time")
	flag.BoolVar(&c.Keep, "keep", false, "keep the folder with logs and disks; it is kept anyway when something is wrong")
	flag.StringVar(&c.Dir, "dir", "", "folder for logs and disks; a temporary one by default")
	bin := flag.String("bin", "", "folder with membershipd and unibus; they are built by default")
	plan := flag.Bool("plan", false, "print the schedule and do nothing")
	flag.Parse()

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *plan {
		for _, r := range Schedule(c.Seed, c.Rounds) {
			fmt.Println(r)
		}
		return 0
	}
	if *bin != "" {
		var err error
		if c.Bin, err = proc.Find(*bin); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 2
		}
	}
	sums, err := Run(ctx, c)
	if errors.Is(err, context.Canceled) {
		fmt.Fprintln(os.Stderr, "interrupted; everything is cleaned up")
	} else if err != nil {
		fmt.Fprintln(os.Stderr, err)
	}
	fmt.Println(sums)
	if err != nil {
		return 1
	}
	return 0
}
