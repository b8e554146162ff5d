// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"time"

	"github.com/unibus/unibus/internal/e2e/bus"
	"github.com/unibus/unibus/internal/e2e/cut"
)

// befall does to the cluster what the fault is. It returns when the fault is over, not when the cluster is well again.
func (s *soak) befall(ctx context.Context, f Fault) error {
	switch f.Kind {
	case nothing:
		return nil
	case rotate:
		return s.rotate(ctx)
	case roll:
		return s.roll(ctx)
	case killAll, stopAll:
		return s.restartAll(ctx, f)
	case disksSwapped:
		return s.swap(ctx, f)
	case diskOld:
		return s.oldDisk(ctx, f)
	}
	p, who := s.pick(ctx, f)
	s.say("    %s befalls place %d%s", f.Kind, p.Number, who)
	switch f.Kind {
	case killNode, killBoth:
		p.Kill()
		sleep(ctx, f.Hold)
		return p.Start()
	case founderAway:
		return s.away(ctx, p, f.way(), f)
	case pause, cutReset, cutSilent:
		return s.away(ctx, p, f.Kind, f)
	case diskLost:
		p.Kill()
		if err := p.Lose(); err != nil {
			return err
		}
		sleep(ctx, f.Hold)
		return p.Start()
	case diskBack:
		return s.rollBack(ctx, p, f.Hold)
	}
	return fmt.Errorf("there is no fault %q", f.Kind)
}

// away makes a node unreachable for a while: to all when it is paused, to the other nodes when it is cut off.
func (s *soak) away(ctx context.Context, p *bus.Place, way Kind, f Fault) error {
	switch way {
	case pause:
		if err := p.Process().Pause(); err != nil {
			return err
		}
		sleep(ctx, f.Hold)
		if err := p.Process().Continue(); err != nil {
			return err
		}
	case cutReset, cutSilent:
		mode := cut.Reset
		if way == cutSilent {
			mode = cut.Silent
		}
		s.doors.Set(p.Door(), mode)
		sleep(ctx, f.Hold)
		s.doors.Set(p.Door(), cut.Open)
	}
	if f.heals() {
		s.mend(ctx, p.Number)
	}
	return nil
}

// rotate replaces leaves and CA under load.
func (s *soak) rotate(ctx context.Context) error {
	for _, stage := range bus.Stages {
		if err := s.bus.Rotate(stage); err != nil {
			return err
		}
		if !sleep(ctx, time.Second) {
			return ctx.Err()
		}
	}
	return nil
}

// roll restarts the members one at a time, each when the node says that it is safe.
func (s *soak) roll(ctx context.Context) error {
	for _, p := range s.bus.Places[:s.size] {
		err := s.until(ctx, "a safe restart", func() string {
			status, body, err := p.Health(ctx, "/safe-to-restart")
			if err != nil || status != 200 {
				return fmt.Sprintf("place %d: %d %s %v", p.Number, status, strings.TrimSpace(body), err)
			}
			return ""
		})
		if err != nil {
			return err
		}
		if err := s.restart(ctx, p, nil); err != nil {
			return err
		}
	}
	return nil
}

// restart stops a node, does something to its disk, if anything, and returns when the node is ready again.
func (s *soak) restart(ctx context.Context, p *bus.Place, down func() error) error {
	if err := p.Stop(ctx); err != nil {
		return err
	}
	if down != nil {
		if err := down(); err != nil {
			return err
		}
	}
	if err := p.Start(); err != nil {
		return err
	}
	return s.ready(ctx, p)
}

// keep copies a node's disk, and returns where the copy is when the cluster has settled again.
func (s *soak) keep(ctx context.Context, p *bus.Place) (string, error) {
	kept := filepath.Join(s.lifeDir(), "kept")
	if err := s.restart(ctx, p, func() error { return p.Keep(kept) }); err != nil {
		return "", err
	}
	return kept, s.settle(ctx, s.size)
}

// ready waits until the node says that it is.
func (s *soak) ready(ctx context.Context, p *bus.Place) error {
	return s.until(ctx, "readiness", func() string {
		status, body, err := p.Health(ctx, "/readyz")
		if err != nil || status != 200 {
			return fmt.Sprintf("place %d: %d %s %v", p.Number, status, strings.TrimSpace(body), err)
		}
		return ""
	})
}

// restartAll ends all nodes and starts them in an order that is drawn.
func (s *soak) restartAll(ctx context.Context, f Fault) error {
	places := append([]*bus.Place(nil), s.bus.Running()...)
	errs := make(chan error, len(places))
	for _, p := range places {
		go func() {
			if f.Kind == killAll {
				p.Kill()
				errs <- nil
				return
			}
			errs <- p.Stop(ctx)
		}()
	}
	var all error
	for range places {
		all = errors.Join(all, <-errs)
	}
	if all != nil {
		return all
	}
	r := rand.New(rand.NewPCG(f.Order, 0))
	r.Shuffle(len(places), func(i, j int) { places[i], places[j] = places[j], places[i] })
	var order []int
	for _, p := range places {
		order = append(order, p.Number)
	}
	s.say("    all nodes are down; they start in the order %v, %v apart", order, f.Hold/4)
	for _, p := range places {
		if err := p.Start(); err != nil {
			return err
		}
		sleep(ctx, f.Hold/4)
	}
	return nil
}

// swap exchanges the disks of two members.
func (s *soak) swap(ctx context.Context, f Fault) error {
	r := rand.New(rand.NewPCG(f.Order, 0))
	two := r.Perm(s.size)[:2]
	p, q := s.bus.Places[two[0]], s.bus.Places[two[1]]
	s.say("    the disks of places %d and %d are exchanged", p.Number, q.Number)
	if err := errors.Join(p.Stop(ctx), q.Stop(ctx)); err != nil {
		return err
	}
	if err := p.Swap(q); err != nil {
		return err
	}
	return errors.Join(p.Start(), q.Start())
}

// rollBack puts a member's disk back to what it was some seconds before.
func (s *soak) rollBack(ctx context.Context, p *bus.Place, hold time.Duration) error {
	kept, err := s.keep(ctx, p)
	if err != nil {
		return err
	}
	sleep(ctx, hold)
	p.Kill()
	if err := p.PutBack(kept); err != nil {
		return err
	}
	return p.Start()
}

// oldDisk keeps a disk of the last place, shrinks and grows again, so that the name on it is removed, and puts it back.
func (s *soak) oldDisk(ctx context.Context, f Fault) error {
	size := s.size
	p := s.bus.Places[size-1]
	kept, err := s.keep(ctx, p)
	if err != nil {
		return err
	}
	if err := s.drive(ctx, "shrink", 1, f.Kind); err != nil {
		return err
	}
	if err := s.drive(ctx, "grow", size, f.Kind); err != nil {
		return err
	}
	if err := s.settle(ctx, size); err != nil {
		return err
	}
	s.say("    place %d gets its disk of before it was removed", p.Number)
	p.Kill()
	if err := p.PutBack(kept); err != nil {
		return err
	}
	sleep(ctx, f.Hold)
	return p.Start()
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

func lastLine(s string) string { return lastLines(s, 1) }

func lastLines(s string, n int) string {
	lines := strings.Split(strings.TrimSpace(s), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
