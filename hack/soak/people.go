// SPDX-License-Identifier: Apache-2.0

package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/unibus/unibus/internal/e2e/crowd"
)

const (
	// refuseAfter and dropAfter are the nodes' policy for being cut off: short, so that cuts last longer.
	refuseAfter, dropAfter = 6 * time.Second, 12 * time.Second
	// lateness is how much later than the policy says a busy machine may carry it out, and calmBound how long after its answer a change
	// takes effect where the cluster is left alone. When programs are raced, which makes them slow, only the policy is judged.
	lateness, racedLateness, calmBound = 4 * time.Second, 15 * time.Second, 3 * time.Second
	// userPause is about the time between two doings of a user: light work, beside that which is measured.
	userPause, racedUserPause = 200 * time.Millisecond, time.Second
	// calmTime is how long the cluster is left alone in each round.
	calmTime = 8 * time.Second
	// fresh is the age that what nodes know of members has in a cluster that is well: heartbeats are two seconds apart.
	fresh = 3.0
)

// cutOff are settings of every node.
var cutOff = map[string]string{"cut-off-refuse": refuseAfter.String(), "cut-off-drop": dropAfter.String()}

// errCrowd is what users found wrong; it was told when they did.
var errCrowd = errors.New("something reached who may not have it, was kept from who may, or was not what it should be")

// gather sets users to work in the cluster.
func (s *soak) gather(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Deadline)
	defer cancel()
	bounds, pause := crowd.Bounds{Always: dropAfter + lateness, Calm: calmBound}, userPause
	if s.cfg.Raced {
		bounds.Always, pause = dropAfter+racedLateness, racedUserPause
	}
	var err error
	s.crowd, err = crowd.Start(ctx, crowd.Config{
		Operator: func() (*nats.Conn, error) { return s.bus.Connect("MEMBERSHIP", 0) },
		User: func(key nkeys.KeyPair, number int, opts ...nats.Option) (*nats.Conn, error) {
			return s.bus.ConnectUser(key, number%places, opts...)
		},
		Seed: s.cfg.Seed + uint64(s.lives)<<32, Pause: pause, Bounds: bounds, Say: s.say,
	})
	if err != nil {
		return err
	}
	if err := s.crowd.Verify(ctx); err != nil {
		return err
	}
	s.library, err = s.openLibrary(ctx, bounds, pause)
	return err
}

// calm leaves the cluster alone for a while and judges what users then see. It needs time that is what it says.
func (s *soak) calm(ctx context.Context) error {
	if s.cfg.Raced {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Deadline)
	defer cancel()
	err := s.until(ctx, "nodes to know what is new of users", func() string {
		for _, p := range s.bus.Places[:s.size] {
			_, text, err := p.Health(ctx, "/metrics")
			if err != nil {
				return err.Error()
			}
			if age, err := gauge(text, "unibus_directory_age_seconds"); err != nil || age > fresh {
				return fmt.Sprintf("place %d: knowledge of %v s ago: %v", p.Number, age, err)
			}
		}
		return ""
	})
	if err != nil {
		return err
	}
	defer s.ledger.Fault()() // the gaps of writers are judged in the steps, and this is none
	err = s.library.parlour.calm(ctx, s, func() error { return s.crowd.Calm(ctx, calmTime) })
	return errors.Join(err, s.pleased())
}

// gauge finds a figure in what a node tells of itself.
func gauge(text, name string) (float64, error) {
	for line := range strings.Lines(text) {
		if rest, found := strings.CutPrefix(line, name+" "); found {
			return strconv.ParseFloat(strings.TrimSpace(rest), 64)
		}
	}
	return 0, fmt.Errorf("there is no %s", name)
}

// hearCrowd judges what users have seen so far, and all that is kept for them.
func (s *soak) hearCrowd(ctx context.Context) error {
	if s.crowd == nil {
		return nil
	}
	if err := errors.Join(s.crowd.Verify(ctx), s.library.verify(ctx, s)); err != nil {
		return err
	}
	return s.pleased()
}

// disband has users read all there is for the last time, and ends them.
func (s *soak) disband(ctx context.Context) error {
	if s.crowd == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Deadline)
	defer cancel()
	err := s.crowd.Finish(ctx) // what the library was told has been judged
	s.dissolve()
	return errors.Join(err, s.pleased())
}

// dissolve ends the users and keeps what they found.
func (s *soak) dissolve() {
	s.crowd.Close()
	if s.library != nil {
		s.library.close()
	}
	all := s.findings()
	s.sums.Lost, s.sums.Duplicated = s.sums.Lost+all.Lost-s.people.Lost, s.sums.Duplicated+all.Duplicated-s.people.Duplicated
	s.crowd, s.library, s.people = nil, nil, all
}

// findings are those of all crowds, and of those who use the client library.
func (s *soak) findings() crowd.Findings {
	all := s.people
	if s.crowd != nil {
		all.Add(s.crowd.Findings())
	}
	if s.library != nil {
		all.Add(s.library.findings())
	}
	return all
}

// pleased is an error once users found something wrong.
func (s *soak) pleased() error {
	if f := s.findings(); f.Bad() {
		return fmt.Errorf("%w: %+v", errCrowd, f)
	}
	return nil
}
