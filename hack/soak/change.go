// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"github.com/unibus/unibus/internal/e2e/proc"
)

// driveLimit is how long one run of the driver may take before it is given up and run again.
const driveLimit = 90 * time.Second

// change creates, grows or shrinks the cluster with the real command, while the fault befalls it.
func (s *soak) change(ctx context.Context, name string, size int, f Fault) error {
	from := s.size
	return s.step(ctx, name, size, f, func(ctx context.Context) error {
		if f.Kind.planned() {
			if f.Kind != nothing {
				return fmt.Errorf("there is no change with %v", f)
			}
			return s.drive(ctx, name, size, f.Kind)
		}
		d, err := s.driver(ctx, name, size)
		if err != nil {
			return err
		}
		defer d.Kill()
		var second *proc.Process
		if f.Kind == twoDrivers {
			if second, err = s.driver(ctx, name, size); err != nil {
				return err
			}
			defer second.Kill()
		}
		if f.Step != "" {
			// A line of progress, not of the plan that is shown before: it begins with the time.
			e := regexp.MustCompile(`(?m)^ *\d+\.\ds  .*` + regexp.QuoteMeta(f.Step))
			if !d.AwaitOutput(ctx, e) {
				s.say("    the driver never said %s", f.Step)
			}
		}
		if !sleep(ctx, f.Delay) {
			return ctx.Err()
		}
		if err := s.amid(ctx, d, name, from, f); err != nil {
			return err
		}
		if err := s.await(ctx, d, name, f.Kind); err != nil {
			return err
		}
		if second != nil {
			if err := s.await(ctx, second, name, f.Kind); err != nil {
				return err
			}
		}
		return s.drive(ctx, name, size, f.Kind)
	})
}

// amid does what the fault of a change is.
func (s *soak) amid(ctx context.Context, d *proc.Process, name string, from int, f Fault) error {
	if f.Kind == twoDrivers {
		return nil
	}
	s.drawn++
	if !d.Running() {
		s.late++
		s.say("    %v comes after the driver has ended", f)
	}
	switch f.Kind {
	case killDriver:
		d.Kill()
		return nil
	case killBoth:
		d.Kill()
		return s.befall(ctx, f)
	case cancel:
		d.Kill()
		s.say("    turned back to %d", from)
		return s.drive(ctx, back(name), from, f.Kind)
	}
	return s.befall(ctx, f)
}

func back(name string) string {
	if name == "grow" {
		return "shrink"
	}
	return "grow"
}

// driver starts the command.
func (s *soak) driver(ctx context.Context, name string, size int) (*proc.Process, error) {
	switch name {
	case "create":
		return s.bus.Drive(ctx, s.bus.Create(s.bus.Places[0])...)
	case "grow":
		return s.bus.Drive(ctx, s.bus.Grow(size)...)
	}
	return s.bus.Drive(ctx, s.bus.Shrink(size)...)
}

// await waits for a run of the driver, and tells how it failed, if it did. It is an error unless running it again may help.
func (s *soak) await(ctx context.Context, d *proc.Process, name string, k Kind) error {
	_, err := s.ended(ctx, d, name, k)
	return err
}

// ended waits for a run of the driver and says whether it has done what was wished.
func (s *soak) ended(ctx context.Context, d *proc.Process, name string, k Kind) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, driveLimit)
	defer cancel()
	err := d.Wait(ctx)
	if err == nil {
		return true, nil
	}
	s.say("    %s: %v: %s", name, err, lastLine(d.Output()))
	if wrong := exitVerdict(err, k); wrong != nil {
		return false, fmt.Errorf("%w: %s", wrong, lastLines(d.Output(), 15))
	}
	return false, nil
}

// drive runs the command until it has done what was wished.
func (s *soak) drive(ctx context.Context, name string, size int, k Kind) error {
	for {
		d, err := s.driver(ctx, name, size)
		if err != nil {
			return err
		}
		if done, err := s.ended(ctx, d, name, k); done || err != nil {
			return err
		}
		if !sleep(ctx, time.Second) {
			return fmt.Errorf("%s to %d: %w: %s", name, size, ctx.Err(), lastLine(d.Output()))
		}
	}
}

// repair lets the command bring the cluster to the size that it should have.
func (s *soak) repair(ctx context.Context, size int, k Kind) error {
	name := "grow"
	if size == 1 {
		name = "shrink"
	}
	return s.drive(ctx, name, size, k)
}
