// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"context"
	"errors"
	"fmt"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
)

// step is what a node does next.
type step int

const (
	stepWait  step = iota // for an order
	stepWipe              // finish a wipe-and-join
	stepForm              // get an identity by configuration
	stepStart             // start NATS with the identity
)

// Why a run, or an attempt to start, ends.
var (
	errRetired = errors.New("the server was removed from the cluster")
	errRestart = errors.New("NATS is restarted")
)

// Pauses between attempts to start.
const (
	minPause = 100 * time.Millisecond
	maxPause = 5 * time.Second
)

// decide says what to do next, and why nothing when it is nothing. change is held, or nobody else is there yet.
func (f *Formation) decide() step {
	i := f.disk.identity
	wait := func(reason string) step {
		if f.failed != nil {
			reason = fmt.Sprintf("%s; the last start failed: %v", reason, f.failed)
		}
		f.mu.Lock()
		f.repair = "" // whatever was to be repaired, it is another start that comes
		f.mu.Unlock()
		f.say(v1.NodeWaiting, reason)
		return stepWait
	}
	switch {
	case f.broken != nil:
		return wait(fmt.Sprintf("the disk can't be read, restart the node: %v", f.broken))
	case f.disk.journal != nil:
		f.say(v1.NodeStarting, "finishing a wipe-and-join to "+f.disk.journal.ServerName)
		return stepWipe
	case i == nil && f.cfg.Mode == ModeOrder:
		return wait("the disk is empty: waits for a found or join order")
	case i == nil:
		f.say(v1.NodeStarting, fmt.Sprintf("the disk is empty: forming (%s)", f.cfg.Mode))
		return stepForm
	case i.Mark == v1.MarkRetired:
		return wait(fmt.Sprintf("server %s was removed from the cluster: waits for a wipe-and-join order", i.ServerName))
	}
	if f.disk.hollow() {
		return wait(fmt.Sprintf("the store of server %s is gone, as after its removal: waits for a wipe-and-join order", i.ServerName))
	}
	f.mu.Lock()
	permit := f.permit
	f.mu.Unlock()
	switch {
	case permit:
	case i.founding() && errors.Is(f.failed, embeddednats.ErrOtherMembers):
		// Trying again by itself it would found once that cluster is away.
		return wait(fmt.Sprintf("server %s was ordered to found where a cluster lives: correct --routes and restart the node, or set its store, "+
			"which holds nothing yet, aside to join; waits for a resume order", i.ServerName))
	case i.Mark == v1.MarkLeaving:
		return wait(fmt.Sprintf("server %s is leaving the cluster: waits for a resume order", i.ServerName))
	case !i.founding() && len(f.cfg.others(i.ServerName)) > 0 && f.disk.alone(i.ServerName):
		return wait(fmt.Sprintf("the disk of server %s is from when it was the only member, and the record has %v as well: if an older copy was put back, "+
			"bring the right disk back, or move its store folder away (keep it) and start with an empty one; waits for a resume order", i.ServerName, f.cfg.others(i.ServerName)))
	case f.cfg.denied(i.ServerName):
		return wait(fmt.Sprintf("server %s is recorded as removed or being removed: waits for a resume order", i.ServerName))
	}
	return stepStart
}

// Run drives the node until ctx ends, and then stops its server. It returns nil then, and an ErrRefused at once when the
// node's configuration must not be carried out on what it finds. It is called once.
func (f *Formation) Run(ctx context.Context) error {
	defer func() {
		f.change.Lock() // no order is taken after this
		defer f.change.Unlock()
		f.say(v1.NodeStopping, "the process ends")
	}()
	pause := minPause
	for ctx.Err() == nil {
		changed := f.watch()
		next, attempt, end := f.begin(ctx)
		var err error
		switch next {
		case stepWait:
			select {
			case <-ctx.Done():
			case <-changed:
			}
			continue
		case stepWipe:
			err = f.finishWipe()
		case stepForm:
			err = f.form(attempt)
		case stepStart:
			err = f.serve(attempt)
		}
		if errors.Is(err, ErrRefused) {
			end()
			return fmt.Errorf("formation: %w", err)
		}
		pause = f.rest(attempt, err, pause)
		end()
	}
	return nil
}

// begin decides what is next, and in the same breath makes it interruptible: an order that comes later finds it so.
func (f *Formation) begin(ctx context.Context) (step, context.Context, func()) {
	f.change.Lock()
	defer f.change.Unlock()
	next := f.decide()
	if next == stepWait {
		return next, ctx, func() {}
	}
	attempt, cancel := context.WithCancelCause(ctx)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.interrupt, f.permit = cancel, false
	return next, attempt, func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.interrupt = nil
		cancel(nil)
	}
}

// rest tells why an attempt failed and waits before the next one. It returns the pause after that.
func (f *Formation) rest(ctx context.Context, err error, pause time.Duration) time.Duration {
	if ctx.Err() != nil {
		err = nil // it did not fail, it was ended
	}
	f.change.Lock()
	f.failed = err
	f.change.Unlock()
	if err == nil {
		return minPause
	}
	f.log.Warn("start failed, trying again", "error", err, "pause", pause)
	f.mu.Lock()
	phase := f.phase
	f.mu.Unlock()
	f.say(phase, err.Error())
	select {
	case <-ctx.Done():
	case <-time.After(pause):
	}
	return min(2*pause, maxPause)
}

func (f *Formation) finishWipe() error {
	f.change.Lock()
	defer f.change.Unlock()
	err := f.disk.finishWipe()
	f.publish(nil)
	return err
}

// Restart stops the server and starts it again within the process, for a store that failed or a replica that can't catch
// up. It returns nil when the new one runs. A disk that is marked or denied waits for an order instead: it may have been
// removed meanwhile. Then, and when no server runs, it fails.
func (f *Formation) Restart(ctx context.Context, reason string) error {
	f.mu.Lock()
	if f.phase != v1.NodeRunning || f.interrupt == nil {
		defer f.mu.Unlock()
		return fmt.Errorf("restart NATS (%s): it does not run, the node is %s: %s", reason, f.phase, f.reason)
	}
	runs := f.runs
	f.interrupt(errRestart)
	f.mu.Unlock()
	f.set(func() {
		if f.runs == runs {
			f.phase, f.reason, f.repair = v1.NodeRepairing, reason, reason
		}
	})
	for {
		f.mu.Lock()
		changed, phase, why, again := f.changed, f.phase, f.reason, f.runs > runs
		f.mu.Unlock()
		switch {
		case again && phase == v1.NodeRunning:
			return nil
		case phase == v1.NodeWaiting || phase == v1.NodeStopping:
			return fmt.Errorf("restart NATS (%s): the node is %s: %s", reason, phase, why)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("restart NATS (%s): %s: %w", reason, why, ctx.Err())
		case <-changed:
		}
	}
}
