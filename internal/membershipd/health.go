// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

const (
	// holdLooks is how many looks in a row must be good before good is believed.
	holdLooks = 3
	// stillLimit is how long a replica may stand still before the node says so.
	stillLimit = time.Second
	// leaderlessLimit is how long a group may be without a leader before the node says so: longer than a stock election.
	leaderlessLimit = 10 * time.Second
	// silenceLimit is how long a member may give no answer before it counts as out of reach.
	silenceLimit = 3 * time.Second
	// turnLimit is how long the watching may take for one turn before the process is called dead.
	turnLimit = 2 * time.Minute
)

// Answer is the body of the health endpoints.
type Answer struct {
	OK bool `json:"ok"`
	// Reason says in words why not, or what is special.
	Reason string `json:"reason,omitempty"`
	// Server is the node's server name, empty as long as it has none.
	Server string `json:"server,omitempty"`
	// Phase is where the node is in its life, as in the control endpoint's status.
	Phase string `json:"phase,omitempty"`
}

// health turns pictures into answers. Its methods may be called by several goroutines.
type health struct {
	now func() time.Time

	mu sync.Mutex
	// watching is true while pictures are expected; looked is when the last one came.
	watching bool
	looked   time.Time
	picture  picture
	// troubled is what was bad in the latest bad look; good counts the good looks since.
	troubled string
	good     int
	// reached is, by group, how far the leader was in the look before: what this node must have now to be in sync.
	reached map[string]reached
	synced  int
	lagging string
	// latched is true once this start of NATS has been in sync with users admitted.
	latched bool
	// shut says why no user is admitted, empty when users are.
	shut string
	// leaderless is since when a group has no leader that answers; answered is when a server last did.
	leaderless, answered map[string]time.Time
	// Reasons against readiness that do not depend on the latch, empty when there is none.
	stopping, stuck string
	// strange says who must not be in one cluster with this node: clients are served all the same.
	strange string
}

type reached struct{ applied, last uint64 }

func newHealth(now func() time.Time) *health {
	h := &health{now: now}
	h.reset("NATS has not been started")
	return h
}

// reset forgets everything about the server that was watched: another one is to come.
func (h *health) reset(why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watching, h.picture, h.troubled, h.good = false, picture{}, why, 0
	h.reached, h.synced, h.lagging, h.latched, h.shut = nil, 0, why, false, "the membership buckets are not open yet"
	h.leaderless, h.answered = map[string]time.Time{}, map[string]time.Time{}
	h.stuck, h.strange = "", ""
}

// started says that pictures are to come from now on.
func (h *health) started() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.watching, h.looked = true, h.now()
	h.troubled, h.lagging = "NATS has just been started", "NATS has just been started"
}

// restarting says that no more pictures are to come until the next start, and why.
func (h *health) restarting(why string) {
	h.set(func() { h.watching, h.latched, h.troubled, h.lagging = false, false, why, why })
}

// setShut says why no user is admitted, with an empty text that users are.
func (h *health) setShut(why string) { h.set(func() { h.shut = why }) }

// setStopping takes readiness back for good.
func (h *health) setStopping(why string) { h.set(func() { h.stopping = why }) }

func (h *health) set(f func()) {
	h.mu.Lock()
	defer h.mu.Unlock()
	f()
}

// look takes the next picture, the replicas in it that stand still and those of them that are stuck.
func (h *health) look(p picture, still, stuck []stuckReplica) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.looked, h.picture = h.now(), p
	if h.stuck = ""; len(stuck) > 0 {
		h.stuck = stuck[0].describe(p)
	}
	h.strange = ""
	for _, name := range sortedKeys(p.Strange) {
		h.strange = p.Strange[name]
	}
	for name := range p.Others {
		h.answered[name] = p.At
	}
	why := h.trouble(p, still)
	h.lagging = h.lack(p)
	if h.synced++; why != "" || h.lagging != "" {
		h.synced = 0
	}
	// A node that was well stays so while it lags and moves; one that was not must have caught up.
	if h.good++; why != "" {
		h.troubled, h.good = why, 0
	} else if h.good <= holdLooks && h.lagging != "" {
		h.troubled, h.good = h.lagging, 0
	}
	h.reached = map[string]reached{}
	for _, g := range p.groups() {
		_, word := p.leader(g)
		h.reached[g] = reached{word.Applied, p.LeaderLast[g]}
	}
	if h.shut == "" && h.synced >= holdLooks {
		h.latched = true
	}
}

// failed says that no picture could be taken.
func (h *health) failed(err error) {
	h.set(func() { h.looked, h.troubled, h.good, h.synced = h.now(), "no look at the server: "+err.Error(), 0, 0 })
}

// trouble is what is wrong now, empty when all is well.
func (h *health) trouble(p picture, still []stuckReplica) string {
	var why []string
	if p.Removed {
		why = append(why, "this server was removed from the cluster")
	}
	if !p.Healthy {
		why = append(why, p.Unhealthy)
	}
	if have, quorum := h.reach(p), len(p.Members)/2+1; have < quorum {
		why = append(why, fmt.Sprintf("cut off: %d of %d other members answer, a quorum is %d with this one", have-1, len(p.Members)-1, quorum))
	}
	for _, r := range still {
		if p.At.Sub(r.Since) >= stillLimit {
			why = append(why, r.describe(p))
		}
	}
	for _, g := range p.groups() {
		if name, _ := p.leader(g); name != "" {
			delete(h.leaderless, g)
		} else if since, ok := h.leaderless[g]; !ok {
			h.leaderless[g] = p.At
		} else if d := p.At.Sub(since); d >= leaderlessLimit {
			why = append(why, fmt.Sprintf("%s has had no leader that answers for %v", p.name(g), d.Round(time.Second)))
		}
	}
	return strings.Join(slices.Compact(why), "; ")
}

// reach counts the members of the meta group that a route stands to and that have answered lately, this node included. A route
// may stand for minutes after its packets are dropped.
func (h *health) reach(p picture) int {
	have := 0
	for _, m := range p.Members {
		if m == p.Self || slices.Contains(p.Routes, m) && p.At.Sub(h.answered[m]) < silenceLimit {
			have++
		}
	}
	return have
}

// lack is what keeps the node from being in sync, empty when it has all that the leaders had one look ago. It compares with
// that and not with now, since under load some write is always on its way.
func (h *health) lack(p picture) string {
	if p.MetaLeader == "" {
		return "no leader of the meta group is known"
	}
	for _, g := range p.groups() {
		leader, _ := p.leader(g)
		if leader == "" {
			return fmt.Sprintf("no leader of %s answers", p.name(g))
		}
		want, seen := h.reached[g]
		if leader != p.Self && !seen {
			return fmt.Sprintf("%s was only now seen", p.name(g))
		}
		if leader != p.Self && (p.Own[g].Applied < want.applied || p.OwnLast[g] < want.last) {
			return fmt.Sprintf("%s is not in sync with its leader %s", p.name(g), leader)
		}
	}
	return ""
}

// healthz says whether everything is well now.
func (h *health) healthz() (bool, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.stuck != "":
		return false, h.stuck
	case !h.watching || h.good == 0:
		return false, h.troubled
	case h.good < holdLooks:
		return false, fmt.Sprintf("well in %d looks of %d, before that: %s", h.good, holdLooks, h.troubled)
	}
	return h.strange == "", h.strange
}

// readyz says whether clients are welcome.
func (h *health) readyz() (bool, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	switch {
	case h.stopping != "":
		return false, h.stopping
	case h.stuck != "":
		return false, h.stuck
	case h.latched:
		return h.shut == "", h.shut
	case !h.watching:
		return false, h.troubled
	case h.shut != "":
		return false, h.shut
	case h.good == 0:
		return false, h.troubled
	case h.lagging != "":
		return false, h.lagging
	}
	return false, fmt.Sprintf("in sync in %d looks of %d", h.synced, holdLooks)
}

// livez says whether the process turns.
func (h *health) livez() (bool, string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if d := h.now().Sub(h.looked); h.watching && d > turnLimit {
		return false, fmt.Sprintf("the embedded server has not answered a look for %v", d.Round(time.Second))
	}
	return true, ""
}

// hurry says whether the next look should come soon: something is about to change.
func (h *health) hurry() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return !h.latched || h.good < holdLooks
}

// last returns the latest picture.
func (h *health) last() picture {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.picture
}
