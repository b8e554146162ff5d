// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/unibus/unibus/internal/e2e/bus"
	"github.com/unibus/unibus/internal/e2e/cut"
	"github.com/unibus/unibus/internal/e2e/load"
)

// account is where the streams are.
const account = "HISTORY"

func (s *soak) round(ctx context.Context, r Round) error {
	if r.Fresh {
		if err := s.renew(ctx, r); err != nil {
			return err
		}
	}
	if err := s.step(ctx, "alone", 1, r.Alone, s.after(r.Alone)); err != nil {
		return err
	}
	if err := s.change(ctx, "grow", r.Top, r.Grow); err != nil {
		return err
	}
	if err := s.step(ctx, "full", r.Top, r.Full, s.after(r.Full)); err != nil {
		return err
	}
	switch r.Full.Kind {
	case diskLost, disksSwapped, diskOld, diskBack:
		s.unread() // a name may have another disk now
	}
	if err := s.calm(ctx); err != nil {
		return err
	}
	if err := s.verify(ctx); err != nil {
		return err
	}
	if r.Stray {
		if err := s.stray(ctx, r.Number); err != nil {
			return err
		}
	}
	if err := s.change(ctx, "shrink", 1, r.Shrink); err != nil {
		return err
	}
	s.unread()
	if err := s.verify(ctx); err != nil {
		return err
	}
	return s.dismiss(ctx)
}

// after lets a fault befall the cluster after its delay.
func (s *soak) after(f Fault) func(context.Context) error {
	return func(ctx context.Context) error {
		if !f.Kind.planned() {
			sleep(ctx, f.Delay)
		}
		return s.befall(ctx, f)
	}
}

// step does something to the cluster, and waits until it is well again. It is planned when the fault is none.
func (s *soak) step(ctx context.Context, name string, size int, f Fault, do func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Deadline)
	defer func() {
		cancel()
		_ = s.awaitMend() // where an error came first; it ends with ctx
	}()
	s.wish = size
	if err := s.spread(); err != nil {
		return fmt.Errorf("%s (%v): %w", name, f, err)
	}
	began := time.Now()
	healed := func() {}
	if !f.Kind.planned() {
		healed = s.ledger.Fault()
	}
	defer healed() // again is harmless; this one is for errors
	if err := do(ctx); err != nil {
		return fmt.Errorf("%s (%v): %w", name, f, err)
	}
	done := time.Since(began)
	if !f.Kind.planned() {
		if err := s.repair(ctx, size, f.Kind); err != nil {
			return fmt.Errorf("%s (%v): %w", name, f, err)
		}
	}
	s.size = size
	if err := s.settle(ctx, size); err != nil {
		return fmt.Errorf("%s (%v): %w", name, f, err)
	}
	if err := s.awaitMend(); err != nil {
		return fmt.Errorf("%s (%v): %w", name, f, err)
	}
	healed()
	all, planned := s.ledger.Longest(began)
	s.say("  %-6s %d (%v): done in %v, well after %v, longest gap %v, planned %v", name, size, f, done.Round(time.Millisecond),
		time.Since(began).Round(time.Millisecond), all.Length().Round(time.Millisecond), planned.Length().Round(time.Millisecond))
	if planned.Length() > maxPlannedGap {
		s.say("  TOO LONG: %v", planned)
	}
	return nil
}

// settle waits until the cluster has that many members, all streams are in sync on all of them, and all are written.
func (s *soak) settle(ctx context.Context, size int) error {
	if len(s.work) == 0 {
		return nil
	}
	sys, err := s.bus.Connect("SYS", 0)
	if err != nil {
		return err
	}
	defer sys.Close()
	app, err := s.bus.Connect(account, 0)
	if err != nil {
		return err
	}
	defer app.Close()
	asked := time.Now()
	return s.until(ctx, "the cluster to settle", func() string {
		if time.Since(asked) > 10*time.Second { // the one that it is connected to may be no member any more
			asked = time.Now()
			_, _ = sys.ForceReconnect(), app.ForceReconnect() // failing, it goes on trying
		}
		if why := load.Unsettled(sys, app, account, s.streams(), size); why != "" {
			return why
		}
		for _, w := range s.work {
			if last := s.ledger.LastAck(w.stream.Name); time.Since(last) > 500*time.Millisecond {
				return fmt.Sprintf("some writer of %s has had nothing acknowledged since %v", w.stream.Name, last.Format(time.TimeOnly))
			}
		}
		return ""
	})
}

func (s *soak) until(ctx context.Context, what string, wrong func() string) error {
	for {
		w := wrong()
		if w == "" {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("waiting for %s: %s: %w", what, w, ctx.Err())
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// renew verifies and throws away the cluster, if there is one, and creates another.
func (s *soak) renew(ctx context.Context, r Round) error {
	if err := s.retire(ctx); err != nil {
		return err
	}
	if err := s.begin(ctx); err != nil {
		return err
	}
	if err := s.change(ctx, "create", 1, r.Create); err != nil {
		return err
	}
	if err := s.employ(ctx, load.Stream{Name: "SOAK"}, load.Stream{Name: "KV_soak"}); err != nil {
		return err
	}
	return s.gather(ctx)
}

// begin starts nodes on empty disks.
func (s *soak) begin(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Deadline)
	defer cancel()
	s.lives++
	if err := os.MkdirAll(s.lifeDir(), 0o700); err != nil {
		return fmt.Errorf("folder of cluster %d: %w", s.lives, err)
	}
	s.doors = cut.New()
	var err error
	if s.bus, err = bus.New(ctx, bus.Config{Dir: s.lifeDir(), Bin: s.cfg.Bin, Places: places, Doors: s.doors, Extra: cutOff}); err != nil {
		return err
	}
	for _, p := range s.bus.Places {
		if err := p.Start(); err != nil {
			return err
		}
	}
	s.size = 1
	return s.until(ctx, "the nodes to answer", func() string {
		for _, p := range s.bus.Places {
			if _, err := p.Status(ctx); err != nil {
				return err.Error()
			}
		}
		return ""
	})
}

// retire ends the current cluster, whose writes have been verified.
func (s *soak) retire(ctx context.Context) error {
	if s.bus == nil {
		return nil
	}
	s.rest()
	s.unread()
	if err := s.verify(ctx); err != nil {
		return err
	}
	if err := s.disband(ctx); err != nil {
		return err
	}
	s.tally()
	for _, w := range s.work {
		s.ledger.Forget(w.stream.Name)
	}
	s.work = nil
	s.bus.Close()
	s.doors.Close()
	s.bus, s.doors = nil, nil
	if !s.cfg.Keep {
		return os.RemoveAll(s.lifeDir())
	}
	return nil
}

// verify reads back from each replica of each stream what was not read from it before. It moves leaders about and reads as fast as
// it can, so the gaps meanwhile are its own doing and not planned ones.
func (s *soak) verify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*s.cfg.Deadline) // it is work, not waiting
	defer cancel()
	nc, err := s.bus.Connect(account, 0)
	if err != nil {
		return err
	}
	defer nc.Close()
	defer s.ledger.Fault()()
	began := time.Now()
	var told []string
	for _, w := range s.work {
		v, err := s.readBack(ctx, nc, w)
		if err != nil {
			return err
		}
		told = append(told, fmt.Sprintf("%s %d messages on %d replicas", w.stream.Name, v.Read, len(v.Replicas)))
	}
	s.say("  read back in %v: %s; lost %d duplicated %d", time.Since(began).Round(time.Millisecond), strings.Join(told, ", "), s.sums.Lost, s.sums.Duplicated)
	if err := s.intact(); err != nil {
		return err
	}
	return s.hearCrowd(ctx)
}

// readBack reads a stream back from all members, and tells and counts what is wrong with it.
func (s *soak) readBack(ctx context.Context, nc *nats.Conn, w *work) (load.Verdict, error) {
	v, err := s.ledger.Verify(ctx, nc, w.stream, w.read)
	for _, m := range v.Misses {
		s.say("  %v", m)
	}
	for _, d := range v.Duplicates {
		s.say("  %v", d)
	}
	s.sums.Lost += v.Lost()
	s.sums.Duplicated += len(v.Duplicates)
	if err != nil {
		return v, err
	}
	if err := v.Whole(s.size); err != nil {
		return v, fmt.Errorf("%s: %w", w.stream.Name, err)
	}
	return v, nil
}

// intact is an error once anything was lost or stored twice.
func (s *soak) intact() error {
	if s.sums.Lost > 0 || s.sums.Duplicated > 0 {
		return errors.New("a write is lost or stored twice")
	}
	return nil
}
