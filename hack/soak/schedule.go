// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"time"
)

// Kind is what is done to the cluster in one step of a round.
type Kind string

// Faults, and three planned works that are no faults: nothing, rotate and roll.
const (
	nothing Kind = "nothing"
	// rotate replaces all leaf certificates, then the CA: both trusted, new leaves, the old one no longer trusted.
	rotate Kind = "rotate"
	// roll restarts all nodes, one at a time, each when it is safe to.
	roll Kind = "roll"

	// killNode kills a node, and starts it again after Hold.
	killNode Kind = "kill-node"
	// killDriver kills the driver of the change, which is run again.
	killDriver Kind = "kill-driver"
	// killBoth kills a node and the driver together.
	killBoth Kind = "kill-both"
	// killAll kills all nodes and starts them in any order.
	killAll Kind = "kill-all"
	// stopAll stops all nodes, together, and starts them in any order.
	stopAll Kind = "stop-all"
	// twoDrivers runs two drivers of the same change at once.
	twoDrivers Kind = "two-drivers"
	// cancel turns back in the middle of a change, and then makes it after all.
	cancel Kind = "cancel"
	// founderAway makes the founder unreachable, in one of three ways, when a joiner is told to join, for Hold.
	founderAway Kind = "founder-away"
	// pause stops a node's time with SIGSTOP, for Hold.
	pause Kind = "pause"
	// cutReset cuts a node off from the others, for Hold: connections are closed and new ones refused.
	cutReset Kind = "cut-reset"
	// cutSilent cuts a node off from the others, for Hold: nothing comes through, and nobody is told.
	cutSilent Kind = "cut-silent"
	// diskLost kills a node and empties its disk.
	diskLost Kind = "disk-lost"
	// disksSwapped stops two nodes, exchanges their disks and starts them.
	disksSwapped Kind = "disks-swapped"
	// diskOld stops a node and puts back a disk whose name was removed since; without any such, as diskBack.
	diskOld Kind = "disk-old"
	// diskBack stops a node and puts its disk back to what it was a while ago.
	diskBack Kind = "disk-back"
)

// planned says whether writes must go on meanwhile with no gap worth the name.
func (k Kind) planned() bool { return k == nothing || k == rotate || k == roll }

// Role chooses a node by what it is when the fault comes.
type Role string

// Roles. Where nobody has the role any node will do.
const (
	streamLeader Role = "stream-leader"
	metaLeader   Role = "meta-leader"
	follower     Role = "follower"
	founder      Role = "founder"
	lastPlace    Role = "last-place"
)

// Fault is one planned misfortune.
type Fault struct {
	Kind Kind
	Role Role
	// Step, if any, is the driver's step at whose first sight the fault comes; Delay is counted from there, else from the
	// beginning.
	Step  string
	Delay time.Duration
	// Hold is how long it lasts.
	Hold time.Duration
	// Order draws the order of starts.
	Order uint64
}

// String tells the fault in a word or two.
func (f Fault) String() string {
	if f.Kind.planned() {
		return string(f.Kind)
	}
	var b strings.Builder
	b.WriteString(string(f.Kind))
	switch f.Kind {
	case killNode, killBoth, pause, cutReset, cutSilent, diskLost, diskOld, diskBack:
		fmt.Fprintf(&b, " %s", f.Role)
	case founderAway:
		fmt.Fprintf(&b, " by %s", f.way())
	}
	if f.Step != "" {
		fmt.Fprintf(&b, " at %q", f.Step)
	}
	fmt.Fprintf(&b, " +%v", f.Delay)
	switch f.Kind {
	case killNode, killBoth, founderAway, pause, cutReset, cutSilent, killAll, stopAll, diskLost, diskBack, diskOld:
		fmt.Fprintf(&b, " for %v", f.Hold)
	}
	return b.String()
}

// way is how the founder is made unreachable.
func (f Fault) way() Kind { return []Kind{pause, cutReset, cutSilent}[f.Order%3] }

// heals says whether the fault is one after whose end the cluster has to be in true sync soon.
func (f Fault) heals() bool {
	return f.Kind == cutReset || f.Kind == cutSilent || f.Kind == founderAway
}

// Round is one life from one node to three or five and back.
type Round struct {
	Number int
	// Fresh begins with a new cluster, which is created with the fault Create.
	Fresh bool
	// Top is the greatest size.
	Top int
	// Stray makes a stream with one replica at the greatest size: it may lie on a node that leaves.
	Stray                             bool
	Create, Alone, Grow, Full, Shrink Fault
}

// String tells the round in a line.
func (r Round) String() string {
	s := fmt.Sprintf("round %d:", r.Number)
	if r.Fresh {
		s += fmt.Sprintf(" create (%v),", r.Create)
	}
	s += fmt.Sprintf(" alone (%v), grow to %d (%v), full (%v), shrink (%v)", r.Alone, r.Top, r.Grow, r.Full, r.Shrink)
	if r.Stray {
		s += ", stray stream"
	}
	return s
}

// deck deals its cards in random order, each once before any comes again.
type deck struct {
	r     *rand.Rand
	cards []Kind
	left  []Kind
}

func (d *deck) deal() Kind {
	if len(d.left) == 0 {
		d.left = append(d.left, d.cards...)
		d.r.Shuffle(len(d.left), func(i, j int) { d.left[i], d.left[j] = d.left[j], d.left[i] })
	}
	k := d.left[0]
	d.left = d.left[1:]
	return k
}

// steps are words of the driver about its steps in each change, by which faults are timed. They are those that it says when it takes a
// step, which are not always the plan's.
var steps = map[string][]string{
	"create": {"founds the cluster"},
	"grow":   {"nodes are to run", "is ordered for", "joins on", "joins on node-2", "SOAK gets"},
	"shrink": {"is leaving", "the leader of", "SOAK gets", "is marked as leaving", "is removed from the meta group", "stops NATS"},
}

// joins are the driver's words when it tells a node to join. A grown cluster has at least three members.
var joins = []string{"joins on node-1", "joins on node-2"}

const (
	// foundTime is about how long the founding of a cluster takes.
	foundTime = time.Second
	// minCut and maxCut are how long cuts last. Who leads a stream when it is cut off gives up after 10 to 20 s, and what the cut leaves
	// behind depends on whether it has.
	minCut, maxCut = 5 * time.Second, 22 * time.Second
	// minAway and maxAway are how long a founder is away: longer than a joiner waits for an answer.
	minAway, maxAway = 5 * time.Second, 10 * time.Second
)

// Schedule draws the rounds. The same seed gives the same rounds, whatever the cluster does.
func Schedule(seed uint64, rounds int) []Round {
	r := rand.New(rand.NewPCG(seed, 0x756e69627573))
	create := &deck{r: r, cards: []Kind{nothing, killNode, killDriver, killBoth}}
	alone := &deck{r: r, cards: []Kind{nothing, killNode, stopAll, rotate}}
	grow := &deck{r: r, cards: []Kind{nothing, nothing, killNode, killNode, killDriver, killBoth, killAll, twoDrivers, cancel, founderAway, cutReset}}
	full := &deck{r: r, cards: []Kind{killNode, killNode, killAll, stopAll, pause, cutReset, cutSilent, diskLost, disksSwapped, diskOld, diskBack, rotate, roll}}
	shrink := &deck{r: r, cards: []Kind{nothing, nothing, killNode, killNode, killDriver, killBoth, killAll, twoDrivers, cancel, cutSilent}}
	roles := []Role{streamLeader, metaLeader, follower, founder, lastPlace}
	draw := func(change string, d *deck) Fault {
		f := Fault{Kind: d.deal(), Role: roles[r.IntN(len(roles))], Order: r.Uint64()}
		named, delay, hold := r.IntN(2) == 0, between(r, 0, 3*time.Second), between(r, 0, 2*time.Second)
		if change == "create" {
			delay = between(r, 0, foundTime)
		}
		if names := steps[change]; len(names) > 0 && named {
			f.Step, delay = names[r.IntN(len(names))], delay/10
		}
		f.Delay, f.Hold = delay, hold
		switch f.Kind {
		case founderAway:
			f.Role, f.Step = founder, joins[r.IntN(len(joins))]
			f.Delay, f.Hold = between(r, 0, 100*time.Millisecond), between(r, minAway, maxAway)
		case pause:
			f.Hold = 2*time.Second + 6*hold
		case cutReset, cutSilent:
			f.Hold = between(r, minCut, maxCut)
			if r.IntN(3) > 0 {
				f.Role = streamLeader // whose log gets entries that nobody else has
			}
		}
		return f
	}
	var all []Round
	for n := 1; n <= rounds; n++ {
		round := Round{Number: n, Top: 3, Fresh: n%5 == 1 || r.IntN(6) == 0, Stray: r.IntN(3) == 0}
		if n%4 == 0 {
			round.Top = 5
		}
		if round.Fresh {
			round.Create = draw("create", create)
		}
		round.Alone = draw("", alone)
		round.Grow, round.Full, round.Shrink = draw("grow", grow), draw("", full), draw("shrink", shrink)
		all = append(all, round)
	}
	return all
}

// between draws a time in milliseconds.
func between(r *rand.Rand, from, to time.Duration) time.Duration {
	return from + time.Duration(r.Int64N(int64((to-from)/time.Millisecond)))*time.Millisecond
}
