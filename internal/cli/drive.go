// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/scaling"
	"github.com/unibus/unibus/internal/steering"
)

const (
	// pause is how long is waited between two looks when there was nothing to do.
	pause = 300 * time.Millisecond
	// slow is how long one look at the cluster may take before that is told.
	slow = 3 * time.Second
	// sure is how many looks in a row have to come to the same call for a person before it is believed.
	sure = 4
)

// driver brings a cluster to what its inventory wishes.
type driver struct {
	*observer
	executor *executor
	say      *narrator
}

// drive observes, decides and carries out one step, again and again, until the wish is there. It ends early when a person is needed, when
// the limit is over, and between two steps when ctx ends.
func (d *driver) drive(ctx context.Context, limit time.Duration) (observation, error) {
	whole, cancel := context.WithTimeout(ctx, limit) // of all that is waited for: locks, nodes that start or stop, answers
	defer cancel()
	var last string // what was waited for
	over := func() error {
		return console.Failf(console.ExitTimeout, "not done after %v; last: %s\n  the same command goes on, --timeout gives it longer", limit, last)
	}
	var q steering.Quiet
	calls := 0
	for {
		o, err := d.pass(whole, &q)
		switch {
		case ctx.Err() != nil:
			return o, console.Failf(console.ExitInterrupted, "interrupted; nothing is half done, and the same command goes on")
		case err != nil && whole.Err() != nil:
			last = cmp.Or(last, err.Error())
			return o, over()
		case err != nil:
			return o, err
		}
		if o.inv.Stopped {
			return o, console.Failf(console.ExitFailed, "stopped by another run (unibus cluster stop); nothing is half done, and unibus cluster start goes on")
		}
		step := o.next()
		last = step.Reason
		if step.Action == scaling.Done {
			d.say.line("%s", step.Reason)
			return o, nil
		}
		if step.Person {
			if calls++; calls >= sure {
				return o, console.Failf(console.ExitPerson, "a person is needed: %s\n  what to do: %s", step.Reason, step.Remedy)
			}
		} else {
			calls = 0
		}
		if err := d.launcher.hopeless(); err != nil && step.Action == scaling.Wait {
			return o, console.Failf(console.ExitPerson, "a person is needed: %s\n%w", step.Reason, err)
		}
		if whole.Err() != nil {
			return o, over()
		}
		d.say.step(step)
		if d.act(ctx, o, step) {
			continue
		}
		select {
		case <-whole.Done():
		case <-time.After(pause):
		}
	}
}

// pass starts and stops processes as the inventory says, and observes.
func (d *driver) pass(ctx context.Context, q *steering.Quiet) (observation, error) {
	inv, err := d.folder.inventory()
	if err != nil {
		return observation{}, err
	}
	if inv.Stopped {
		return observation{inv: inv}, nil
	}
	// A node that can't be started or stopped is seen as one that doesn't answer, and decided on as such.
	switch err := d.launcher.settle(ctx, inv); {
	case err != nil && ctx.Err() != nil:
		return observation{}, err
	case err != nil:
		d.say.trouble(err)
	}
	began := time.Now()
	o, err := d.observe(ctx)
	if err != nil {
		return o, err
	}
	if took := time.Since(began); took > slow {
		d.say.line("the cluster answers slowly: one look took %.1f s", took.Seconds())
	}
	o.inv = d.remember(ctx, o)
	o.seen.Quiet = q.Measure(o.record, o.seen, o.JetStream)
	return o, nil
}

// act carries out a step and says whether to look again at once. A step that was begun is finished within its deadline, whatever
// happens to ctx.
func (d *driver) act(ctx context.Context, o observation, step scaling.Step) bool {
	if step.Action == scaling.Wait {
		return false
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), scaling.ActionDeadline)
	defer cancel()
	err := d.executor.do(ctx, o, d.admin, step)
	switch {
	case errors.Is(err, errConflict):
		d.say.trouble(errors.New("another run works on this cluster too; looking again"))
		return false
	case err != nil:
		d.say.trouble(err)
		return false
	}
	d.say.done(step)
	switch step.Action {
	case scaling.WriteRecord, scaling.WriteKnownID, scaling.Resize:
		return true
	}
	return false
}

// remember writes down where nodes were seen, for the time when they don't answer, and returns the inventory to go on with. When
// another run has written as well that is the one observed, so that the next step finds the conflict.
func (d *driver) remember(ctx context.Context, o observation) inventory {
	var found uint64
	inv, err := d.folder.update(ctx, func(inv *inventory) error {
		found = inv.Version
		for i, s := range o.nodes {
			if s != nil && i < len(inv.Places) {
				rememberPlace(&inv.Places[i], s)
			}
		}
		// A person's word is about one loss. It must not be taken for the next one's: it ends when the server answers after all, or is gone.
		inv.Dead = slices.DeleteFunc(inv.Dead, func(name string) bool { return o.settled(name) })
		return nil
	})
	if err != nil {
		d.say.trouble(err)
		return o.inv
	}
	if found != o.inv.Version {
		return o.inv
	}
	return inv
}

// settled says whether there is nothing left to declare about a server.
func (o observation) settled(name string) bool {
	if slices.ContainsFunc(o.nodes, func(s *v1.NodeStatus) bool { return s != nil && s.ServerName == name }) {
		return true
	}
	if o.record.Record == nil {
		return false
	}
	p := o.record.Record.Names[name].Phase
	return p == scaling.Removed || p == scaling.Void
}

func rememberPlace(p *place, s *v1.NodeStatus) {
	p.DiskID = s.DiskID
	if s.RouteURL != "" {
		p.Route = s.RouteURL
	}
	if s.ClientURL != "" {
		p.Client = s.ClientURL
	}
}
