// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

const (
	// farBehind is how many operations a replica may lag and still carry a quorum when this node leaves for a moment.
	farBehind = 2000
	// firstCooldown is how long after a repair the next may begin; it doubles up to lastCooldown while repairs don't help.
	firstCooldown = 10 * time.Second
	lastCooldown  = 5 * time.Minute
	// claimLimit is how long a node's announcement of a repair holds others back: a restart takes 2 to 5 s.
	claimLimit = 15 * time.Second
)

// mayRestart says why this node must not be restarted now, given the replicas on it that are stuck; empty when it may.
//
// A stuck replica votes and acknowledges nothing, so its own group loses nothing. Every other group that this node is a member
// of must have a quorum without it, of members that answer and are not far behind.
func mayRestart(p picture, stuck []stuckReplica) string {
	if len(p.Solo) > 0 {
		return fmt.Sprintf("%s has its only replica on this node", strings.Join(p.Solo, ", "))
	}
	for _, g := range p.groups() {
		if slices.ContainsFunc(stuck, func(r stuckReplica) bool { return r.Group == g }) {
			continue
		}
		own := p.Own[g]
		leader, word := p.leader(g)
		if leader == "" {
			continue // nothing can be taken from a group that has no leader in reach
		}
		fit := 0
		for server, groups := range p.Others {
			w, member := groups[g]
			if member && slices.Contains(own.Peers, server) && w.Applied+farBehind >= word.Applied && (!w.CatchingUp || w.Leads) {
				fit++
			}
		}
		if fit < own.Quorum {
			return fmt.Sprintf("%s has %d members in sync without this node and needs %d", p.name(g), fit, own.Quorum)
		}
	}
	return ""
}

// cooldown spaces repairs, ever wider while they don't help. It is not for concurrent use.
type cooldown struct {
	wait time.Duration
	end  time.Time
}

// over says whether a repair may begin.
func (c *cooldown) over(now time.Time) bool { return !now.Before(c.end) }

// repaired begins the next wait, twice as long as the one before.
func (c *cooldown) repaired(now time.Time) {
	c.wait = min(max(2*c.wait, firstCooldown), lastCooldown)
	c.end = now.Add(c.wait)
}

// helped says that the node has been in sync since: the next wait is a short one again.
func (c *cooldown) helped() { c.wait = 0 }

// claims are the announcements of repairs that were heard, by server. It is not for concurrent use.
type claims map[string]time.Time

// yieldTo returns the server that goes first, empty when this one may. Of two that announce at the same time the lower name goes.
func (c claims) yieldTo(self string, mine, now time.Time) string {
	for _, server := range sortedKeys(c) {
		at := c[server]
		if server == self || now.Sub(at) > claimLimit {
			continue
		}
		if at.Before(mine) || server < self {
			return server
		}
	}
	return ""
}
