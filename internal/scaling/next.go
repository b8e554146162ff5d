// SPDX-License-Identifier: Apache-2.0

package scaling

import (
	"fmt"
	"time"
)

const (
	// ActionDeadline is how long an executor may work on one step before it gives up.
	ActionDeadline = 10 * time.Second
	// ActionLife is how old a phase must be before no action decided under it can still take effect. It is a multiple of
	// ActionDeadline, for clocks that differ and executors that stall.
	ActionLife = 2 * time.Minute
	// Patience is how long observations may stay the same before a person is asked to look.
	Patience = 2 * time.Minute
)

// Next returns the one step to take now. It doesn't change its arguments; a Step's Record is a new one. The record is nil when
// there is none.
func Next(record *Record, desired Desired, seen Observed) Step {
	return next(allRules(), record, desired, seen)
}

func next(r rules, record *Record, desired Desired, seen Observed) Step {
	p := newPass(r, record, desired, seen)
	return p.askWhenQuiet(p.decide())
}

// decide asks one concern after another; the first that has something to say decides.
func (p *pass) decide() Step {
	concerns := []func() *Step{p.wish, p.strangers, p.found, p.knownID, p.grownSize, p.orders, p.alone, p.leaderless, p.moves, p.follow,
		p.retirements, p.deaths, p.takenBack, p.removals, p.pendingJoin, p.staying}
	if p.refillFirst {
		concerns = append(concerns, p.refill)
	}
	concerns = append(concerns, p.shrink, p.lowerSize, p.volumes)
	if !p.refillFirst {
		concerns = append(concerns, p.refill)
	}
	for _, concern := range append(concerns, p.raise) {
		if step := concern(); step != nil {
			return *step
		}
	}
	return p.rest()
}

// askWhenQuiet turns a step that has had no effect for long into a call for a person. It stays the step to try.
func (p *pass) askWhenQuiet(step Step) Step {
	if step.Person || step.Action == Done {
		return step
	}
	if p.seen.Quiet < Patience {
		step.Remedy = ""
		return step
	}
	step.Person = true
	step.Reason = fmt.Sprintf("%s; nothing has changed for %s", step.Reason, p.seen.Quiet.Round(time.Second))
	if step.Remedy == "" {
		step.Remedy = "look at what the driver's last attempts at this step were answered"
	}
	return step
}

// wish refuses sizes that gain nothing, and stops what is to be deleted.
func (p *pass) wish() *Step {
	switch p.want.Replicas {
	case 1, 3, 5:
		return nil
	case 0:
		if p.seen.Size > 0 {
			return p.resize(0, "the cluster is deleted: its nodes are stopped, its disks kept")
		}
		for i := range p.seen.Places {
			if p.seen.Places[i].Started {
				return wait(fmt.Sprintf("look why place %d doesn't stop", i), "place %d is stopping", i)
			}
		}
		return &Step{Action: Done, Reason: "the cluster is deleted: nothing runs"}
	}
	return person("ask for 1, 3 or 5", "%d replicas are refused: with an even number as many losses are fatal as with one less, and more than 5 are not supported", p.want.Replicas)
}

// strangers stops everything while a node or a member is seen that the record can't account for.
func (p *pass) strangers() *Step {
	disks := map[string]int{}
	for i, n := range p.nodes {
		if n == nil {
			continue
		}
		if j, twice := disks[n.DiskID]; twice && n.DiskID != "" {
			return person("stop the one that is the copy and take its volume away",
				"disk %s answers at place %d and at place %d: one is a copy", n.DiskID, j, i)
		}
		disks[n.DiskID] = i
		if p.rec != nil && p.cidCheck && n.Name != "" && n.ClusterID != p.rec.ClusterID {
			return person("take its volume away, or restore the record it belongs to",
				"the node at place %d (%s, disk %s) is of cluster id %s, the record is of %s", i, n.Name, n.DiskID, n.ClusterID, p.rec.ClusterID)
		}
	}
	if p.rec == nil || !p.led || !p.ghostKnown {
		return nil
	}
	for _, peer := range p.seen.Meta.Peers {
		if _, known := p.rec.Names[peer.Name]; !known {
			return person("find out what it is; if it is a node of this cluster, restore the record, else remove it from the meta group by hand",
				"the meta group lists %s, which the record does not know", peer.Name)
		}
	}
	return nil
}
