// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/unibus/unibus/internal/e2e/bus"
	"github.com/unibus/unibus/internal/e2e/crowd"
	"github.com/unibus/unibus/internal/e2e/cut"
	"github.com/unibus/unibus/internal/e2e/load"
	"github.com/unibus/unibus/internal/e2e/proc"
)

// maxPlannedGap is how long writes may stop in a step without a fault.
const maxPlannedGap = time.Second

// binaries is the folder of the programs that the soak builds, within its own.
const binaries = "bin"

// places is how many nodes may run.
const places = 5

// Config says what is run.
type Config struct {
	Rounds int
	Seed   uint64
	// Only, if any, is the number of the one round of the schedule that is run.
	Only int
	// Writers is the number of writers of each stream, Pause the time between two writes of one.
	Writers int
	Pause   time.Duration
	// Deadline is how long a step may take.
	Deadline time.Duration
	// Raced builds the programs with the race detector. Time is not judged then.
	Raced bool
	// Dir, if any, is an empty folder for everything; Keep leaves it there.
	Dir  string
	Keep bool
	// Bin are the programs; they are built when it is zero.
	Bin proc.Binaries
	Out io.Writer
}

// check says what a Config lacks.
func (c Config) check() error {
	switch {
	case c.Rounds < 1:
		return fmt.Errorf("%d rounds try nothing; run at least one", c.Rounds)
	case c.Only < 0 || c.Only > c.Rounds:
		return fmt.Errorf("there is no round %d of %d", c.Only, c.Rounds)
	case c.Writers < 1:
		return fmt.Errorf("%d writers write nothing; let at least one write", c.Writers)
	case c.Pause < 0 || c.Deadline <= 0:
		return fmt.Errorf("a pause of %v and a deadline of %v are no times to work with", c.Pause, c.Deadline)
	}
	return nil
}

// errUsage is an error of whoever runs the soak.
var errUsage = errors.New("wrong use")

// Sums are the outcome of a soak.
type Sums struct {
	Rounds, Acknowledged, Lost, Duplicated int
	LongestGap, LongestPlanned             time.Duration
	// Leaks and Refused are what reached users who may not have it, and what was refused to users who may.
	Leaks, Refused int
}

// String is the last line of the output.
func (s Sums) String() string {
	return fmt.Sprintf("soak: rounds %d acknowledged %d lost %d duplicated %d longest-gap-ms %d longest-gap-planned-ms %d leaks %d refused %d",
		s.Rounds, s.Acknowledged, s.Lost, s.Duplicated, s.LongestGap.Milliseconds(), s.LongestPlanned.Milliseconds(), s.Leaks, s.Refused)
}

// soak is a running soak.
type soak struct {
	cfg    Config
	dir    string
	began  time.Time
	ledger *load.Ledger
	doors  *cut.Network
	sums   Sums
	people crowd.Findings // of crowds that are finished
	reads  load.Reads

	bus     *bus.Bus // nil before the first round
	work    []*work
	crowd   *crowd.Crowd // nil while there are no users
	library *library     // nil as well, and before it is open
	lives   int          // clusters so far
	size    int          // that the cluster has
	wish    int          // that it has at the end of the step under way

	mended chan error // what is measured since a heal; nil when nothing is

	drawn, late int // faults that befell a change, and how many of them came when its driver had ended
}

// Run runs the rounds. The sums are right whatever the error is.
func Run(ctx context.Context, c Config) (Sums, error) {
	s := &soak{cfg: c, dir: c.Dir, began: time.Now(), ledger: load.NewLedger()}
	if err := c.check(); err != nil {
		return s.sums, fmt.Errorf("%w: %w", errUsage, err)
	}
	if s.dir == "" {
		var err error
		if s.dir, err = os.MkdirTemp("", "unibus-soak-"); err != nil {
			return s.sums, fmt.Errorf("folder of the soak: %w", err)
		}
	}
	err := s.run(ctx)
	s.end()
	if c.Raced {
		err = errors.Join(err, proc.Races(filepath.Join(s.dir, binaries)))
	}
	if !c.Keep && (err == nil || errors.Is(err, context.Canceled)) {
		err = errors.Join(err, os.RemoveAll(s.dir))
	} else {
		s.say("logs and disks are in %s", s.dir)
	}
	s.say("faults: of %d that were to befall a change %d came after its driver had ended", s.drawn, s.late)
	return s.sums, err
}

func (s *soak) run(ctx context.Context) error {
	if s.cfg.Bin == (proc.Binaries{}) {
		s.say("building the programs")
		bin := filepath.Join(s.dir, binaries)
		if err := os.Mkdir(bin, 0o700); err != nil {
			return fmt.Errorf("folder of the programs: %w", err)
		}
		var err error
		if s.cfg.Bin, err = proc.Build(ctx, bin, s.cfg.Raced); err != nil {
			return err
		}
	}
	rounds := Schedule(s.cfg.Seed, s.cfg.Rounds)
	if s.cfg.Only > 0 {
		rounds = rounds[s.cfg.Only-1 : s.cfg.Only]
		rounds[0].Fresh, rounds[0].Create.Kind = true, cmp.Or(rounds[0].Create.Kind, nothing)
	}
	for _, r := range rounds {
		s.say("%v", r)
	}
	for _, r := range rounds {
		began := time.Now()
		if err := s.round(ctx, r); err != nil {
			s.tails(err)
			return fmt.Errorf("round %d: %w", r.Number, err)
		}
		s.sums.Rounds++
		for _, g := range s.ledger.Planned(began, maxPlannedGap/2) {
			s.say("  %v", g)
		}
		s.say("round %d done in %v: %v", r.Number, time.Since(began).Round(time.Second), s.tally())
	}
	if err := s.retire(ctx); err != nil {
		s.tails(err)
		return err
	}
	return s.judge()
}

// judge says what is wrong with the sums.
func (s *soak) judge() error {
	sums := s.tally()
	switch {
	case sums.Lost > 0:
		return fmt.Errorf("%d acknowledged writes are lost", sums.Lost)
	case sums.Duplicated > 0:
		return fmt.Errorf("%d writes are stored twice", sums.Duplicated)
	case s.findings().Bad():
		return fmt.Errorf("users: %w", errCrowd)
	case !s.cfg.Raced && sums.LongestPlanned > maxPlannedGap:
		return fmt.Errorf("no write was acknowledged for %v in a step without a fault, at most %v is allowed", sums.LongestPlanned, maxPlannedGap)
	}
	return nil
}

// tally is the sums so far.
func (s *soak) tally() Sums {
	all, planned := s.ledger.Longest(s.began)
	f := s.findings()
	s.sums.Acknowledged, s.sums.Leaks, s.sums.Refused = s.ledger.Acknowledged()+f.Kept, f.Leaks, f.Refused
	s.sums.LongestGap, s.sums.LongestPlanned = max(s.sums.LongestGap, all.Length()), max(s.sums.LongestPlanned, planned.Length())
	return s.sums
}

// end stops everything.
func (s *soak) end() {
	s.rest()
	if s.crowd != nil {
		s.dissolve()
	}
	s.tally()
	s.say("users: %+v", s.people)
	if s.bus != nil {
		s.bus.Close()
	}
	if s.doors != nil {
		s.doors.Close()
	}
	s.say("readers: %d of %d reads from any replica and %d of %d from the leader missed what was acknowledged at most %v before; %d messages followed, %d twice",
		s.reads.StaleDirect, s.reads.Direct, s.reads.StaleLeader, s.reads.Total-s.reads.Direct, s.reads.OldestStale.Round(time.Millisecond), s.reads.Followed, s.reads.Rewound)
}

// say prints a line of progress with the time since the beginning.
func (s *soak) say(format string, a ...any) {
	fmt.Fprintf(s.cfg.Out, "%s %8.2fs  %s\n", time.Now().Format("15:04:05"), time.Since(s.began).Seconds(), fmt.Sprintf(format, a...))
}

// tails shows the ends of all logs.
func (s *soak) tails(err error) {
	if s.bus == nil || errors.Is(err, context.Canceled) {
		return
	}
	s.say("STUCK or failed: %v", err)
	for _, file := range proc.Newest(s.lifeDir(), places+3) {
		fmt.Fprintf(s.cfg.Out, "--- %s\n%s\n", file, proc.Tail(file, 15))
	}
}

func (s *soak) lifeDir() string { return filepath.Join(s.dir, fmt.Sprintf("cluster-%d", s.lives)) }
