// SPDX-License-Identifier: Apache-2.0

package main

import (
	"cmp"
	"context"
	"fmt"
	"time"

	"github.com/unibus/unibus/internal/e2e/load"
)

// maxHeal is how long after the heal of a cut, or of the founder's absence, everything has to be in true sync.
const maxHeal = 15 * time.Second

// mend begins to measure, at a heal, how long it takes until all streams are in true sync; the step that is under way judges it, unless
// the cluster is changed meanwhile: the driver itself then moves replicas, lowers them and removes members. Raced programs are slow, so
// their time is not measured.
func (s *soak) mend(ctx context.Context, place int) {
	if s.cfg.Raced || len(s.work) == 0 {
		return
	}
	healed, streams, size := time.Now(), s.streams(), 0
	if s.wish == s.size {
		size = s.size // else the cluster changes meanwhile
	}
	mended := make(chan error, 1)
	s.mended = mended
	go func() {
		last, err := s.mending(ctx, streams, size)
		took := time.Since(healed).Round(time.Millisecond)
		switch {
		case err != nil:
			mended <- fmt.Errorf("place %d was healed %v ago and is not in true sync: %s: %w", place, took, last, err)
		case took > maxHeal && size == 0:
			s.say("    place %d: in true sync %v after the heal, not judged, since the cluster was changed meanwhile; at %v: %s", place, took, maxHeal, last)
			mended <- nil
		case took > maxHeal:
			mended <- fmt.Errorf("place %d was in true sync %v after it was healed, at most %v is allowed; at %v: %s", place, took, maxHeal, maxHeal, last)
		default:
			s.say("    place %d: in true sync %v after the heal; last: %s", place, took, cmp.Or(last, "nothing was wrong"))
			mended <- nil
		}
	}()
}

// mending returns when the streams are in true sync, with what was wrong last, or when the time that is allowed was over.
func (s *soak) mending(ctx context.Context, streams []load.Stream, size int) (string, error) {
	const none = "there was no connection"
	sys, err := s.bus.Connect("SYS", 0)
	if err != nil {
		return none, err
	}
	defer sys.Close()
	app, err := s.bus.Connect(account, 0)
	if err != nil {
		return none, err
	}
	defer app.Close()
	var truth load.Truth
	began, asked, last := time.Now(), time.Now(), ""
	err = s.until(ctx, "true sync", func() string {
		if time.Since(asked) > 5*time.Second { // the one that it is connected to may be no member any more
			asked = time.Now()
			_, _ = sys.ForceReconnect(), app.ForceReconnect() // failing, it goes on trying
		}
		why := truth.Look(sys, app, account, streams, size)
		if time.Since(began) < maxHeal {
			last = truth.Wrong
		}
		return why
	})
	return last, err
}

// awaitMend waits for what is measured since a heal, if anything.
func (s *soak) awaitMend() error {
	if s.mended == nil {
		return nil
	}
	defer func() { s.mended = nil }()
	return <-s.mended
}
