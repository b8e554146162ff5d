// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"

	"github.com/unibus/unibus/internal/embeddednats"
)

const (
	// pause is between two looks at a server that is well, hurriedPause at one of which news are expected.
	pause        = time.Second
	hurriedPause = 200 * time.Millisecond
	// claimSubject is where nodes announce a repair, in the system account.
	claimSubject = "unibus.repair.claim"
	// claimPause is how long a node listens for others after its own announcement.
	claimPause = 400 * time.Millisecond
)

// restarter stops the embedded server and starts it again with what the disk holds, with full set only once the store's volume
// has space. It returns when the new one runs.
type restarter func(ctx context.Context, reason string, full bool) error

// supervisor watches the embedded server that runs at the moment, tells health and metrics, and repairs.
type supervisor struct {
	log      *slog.Logger
	now      func() time.Time
	health   *health
	metrics  *metrics
	restart  restarter
	repair   bool // restart may be used
	store    *space
	patience time.Duration
	members  *members // nil on an open node, which admits everybody
	// servers gives each embedded server that was started, nil when it was stopped.
	servers chan *embeddednats.Server

	cooldown cooldown
	refused  string
}

// tell hands over the server that runs from now on, nil for none. Only the latest counts.
func (s *supervisor) tell(server *embeddednats.Server) {
	for {
		select {
		case s.servers <- server:
			return
		case <-s.servers: // an older one, not yet taken
		}
	}
}

// run watches until the context ends.
func (s *supervisor) run(ctx context.Context) {
	var server *embeddednats.Server
	for {
		if server == nil {
			select {
			case <-ctx.Done():
				return
			case server = <-s.servers:
			}
			continue
		}
		server = s.watch(ctx, server)
		if ctx.Err() != nil {
			return
		}
	}
}

// watch looks at one server until there is another, which it returns.
func (s *supervisor) watch(ctx context.Context, server *embeddednats.Server) *embeddednats.Server {
	s.health.started()
	defer s.health.reset("NATS is stopped")
	w, err := newWatcher(server, s.now)
	if err != nil {
		s.log.Error("the embedded server can't be watched", "error", err)
		s.health.failed(err)
		select {
		case <-ctx.Done():
			return nil
		case next := <-s.servers:
			return next
		}
	}
	defer w.close()
	heard := make(chan *nats.Msg, 64)
	if _, err := w.system.ChanSubscribe(claimSubject, heard); err != nil {
		s.log.Warn("repairs of other nodes can't be heard", "error", err)
	}
	v := &view{supervisor: s, watcher: w, heard: heard, claims: claims{}, still: newStillness(s.patience)}
	opening, stop := context.WithCancel(ctx)
	var opened sync.WaitGroup
	defer opened.Wait()
	defer stop()
	opened.Go(func() { s.serveUsers(opening, server) })
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case next := <-s.servers:
			return next
		case <-server.StoreFailed():
			s.outOfSpace(ctx, server)
			return s.next(ctx)
		case <-timer.C:
			if v.turn(ctx) {
				return s.next(ctx)
			}
			timer.Reset(s.pause())
		}
	}
}

// serveUsers opens the membership buckets and then serves users, again and again until the context ends: a cluster without a quorum
// can't be helped by giving up.
func (s *supervisor) serveUsers(ctx context.Context, server *embeddednats.Server) {
	var guarding sync.WaitGroup
	defer guarding.Wait()
	guard := sync.OnceFunc(func() { guarding.Go(func() { s.members.guard(ctx, s.health) }) })
	for {
		err := openBuckets(ctx, server)
		if err == nil {
			if s.members == nil {
				s.health.setShut("")
				return
			}
			guard() // nobody has been admitted before
			err = s.members.run(ctx, server)
		}
		if ctx.Err() != nil {
			return
		}
		s.log.Error("users can't be served, trying on", "error", err)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}

// next waits for the server after a restart.
func (s *supervisor) next(ctx context.Context) *embeddednats.Server {
	select {
	case <-ctx.Done():
		return nil
	case next := <-s.servers:
		return next
	}
}

func (s *supervisor) pause() time.Duration {
	if s.health.hurry() {
		return hurriedPause
	}
	return pause
}

// view is what is remembered of one server.
type view struct {
	*supervisor
	watcher *watcher
	heard   chan *nats.Msg
	claims  claims
	still   *stillness
}

// turn takes one look and does what follows from it. It returns true when the server was restarted.
func (v *view) turn(ctx context.Context) (restarted bool) {
	p, err := v.watcher.look(ctx)
	if err != nil {
		if ctx.Err() == nil {
			v.health.failed(err)
		}
		return false
	}
	still := v.still.look(p)
	stuck := v.still.stuck(still, p.At)
	v.health.look(p, still, stuck)
	v.metrics.look(p)
	return v.act(ctx, p, stuck)
}

// act repairs what is stuck, if it may. It returns true when the server was restarted.
func (v *view) act(ctx context.Context, p picture, stuck []stuckReplica) (restarted bool) {
	if len(stuck) == 0 {
		if ready, _ := v.health.readyz(); ready {
			v.cooldown.helped()
			v.refused = ""
		}
		return false
	}
	why := stuck[0].describe(p)
	if not := v.mayRepair(ctx, p, stuck); not != "" {
		if not != v.refused {
			v.log.Warn("a stuck replica is not repaired now", "replica", why, "because", not)
			v.refused = not
		}
		return false
	}
	v.log.Warn("a stuck replica is repaired by a restart of the embedded server", "replica", why, "others", len(stuck)-1)
	v.metrics.repaired(repairStuck)
	v.health.restarting("NATS is restarted: " + why)
	if err := v.restart(ctx, why, false); err != nil && !errors.Is(err, context.Canceled) {
		v.log.Error("the restart of the embedded server failed", "error", err)
	}
	v.cooldown.repaired(v.now())
	v.refused = ""
	return true
}

// mayRepair says why the server can't be restarted now, empty after this node has announced that it will be.
func (v *view) mayRepair(ctx context.Context, p picture, stuck []stuckReplica) string {
	v.listen()
	if !v.repair {
		return "self-repair is switched off"
	}
	if !v.cooldown.over(p.At) {
		return "a repair was made not long ago"
	}
	if why := mayRestart(p, stuck); why != "" {
		return why
	}
	mine := v.now()
	if other := v.claims.yieldTo(p.Self, mine, mine); other != "" {
		return fmt.Sprintf("%s is being repaired", other)
	}
	if err := v.watcher.system.Publish(claimSubject, []byte(p.Self)); err != nil {
		return fmt.Sprintf("the repair can't be announced: %v", err)
	}
	select {
	case <-ctx.Done():
		return "the node stops"
	case <-time.After(claimPause):
	}
	v.listen()
	if other := v.claims.yieldTo(p.Self, mine, v.now()); other != "" {
		return fmt.Sprintf("%s is being repaired", other)
	}
	return ""
}

// listen takes the announcements that have come in.
func (v *view) listen() {
	for {
		select {
		case m := <-v.heard:
			v.claims[string(m.Data)] = v.now()
		default:
			return
		}
	}
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
