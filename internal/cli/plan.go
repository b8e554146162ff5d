// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"strings"

	"github.com/unibus/unibus/internal/scaling"
)

// plan is what will be done, in words.
type plan struct {
	From  int        `json:"from" yaml:"from"`
	To    int        `json:"to" yaml:"to"`
	Steps []planStep `json:"steps" yaml:"steps"`
	// Blocked says why the plan can't be carried out to its end now, Remedy what to do.
	Blocked string `json:"blocked,omitempty" yaml:"blocked,omitempty"`
	Remedy  string `json:"remedy,omitempty" yaml:"remedy,omitempty"`
	person  bool
}

// planStep is one step, and the cluster after it.
type planStep struct {
	Do string `json:"do" yaml:"do"`
	// Members after the step, how many of them must answer, and how many may be lost.
	Members int `json:"members" yaml:"members"`
	Quorum  int `json:"quorum" yaml:"quorum"`
	Spare   int `json:"spare" yaml:"spare"`
}

// planFor plans the way from what is observed to what the observation's inventory wishes.
func planFor(o observation) plan {
	steps, last := simulate(o)
	p := plan{To: o.inv.Replicas, Steps: []planStep{}}
	if o.Meta != nil {
		p.From = len(o.Meta.Members)
	}
	for i, p0 := range o.seen.Places { // the driver starts what should run before it looks
		if i < o.seen.Size && p0.Node == nil && !p0.Started {
			p.add(fmt.Sprintf("start node-%d", i), p.From)
		}
	}
	size := o.seen.Size
	for _, s := range steps {
		if words := planWords(s, size, o.inv); words != "" {
			p.add(words, s.after)
		}
		if s.step.Action == scaling.Resize {
			size = s.step.Size
		}
	}
	if last.Action != scaling.Done {
		p.Blocked, p.Remedy, p.person = last.Reason, last.Remedy, last.Person
	}
	return p
}

func (p *plan) add(do string, members int) {
	quorum := members/2 + 1
	if members == 0 {
		quorum = 0
	}
	p.Steps = append(p.Steps, planStep{Do: do, Members: members, Quorum: quorum, Spare: members - quorum})
}

// planWords says in words what a step does, empty for mere bookkeeping.
func planWords(s simulated, size int, inv inventory) string {
	step := s.step
	switch step.Action {
	case scaling.Resize:
		return resizeWords(size, step.Size, inv)
	case scaling.WriteRecord:
		if step.Record.Names[step.Name].Phase == scaling.Leaving {
			return step.Name + " begins to leave; this can still be taken back"
		}
		return ""
	case scaling.WriteKnownID:
		return ""
	case scaling.SendOrder:
		return orderWords(step)
	}
	return stepWords(step)
}

func resizeWords(from, to int, inv inventory) string {
	var nodes []string
	for i := min(from, to); i < max(from, to); i++ {
		if i < len(inv.Places) && inv.Places[i].Local == nil {
			continue // not ours to start or stop
		}
		nodes = append(nodes, fmt.Sprintf("node-%d", i))
	}
	switch {
	case len(nodes) == 0:
		return ""
	case to > from:
		return "start " + strings.Join(nodes, ", ")
	}
	return "stop " + strings.Join(nodes, ", ") + "; disks are kept"
}

func orderWords(step scaling.Step) string {
	switch step.Order.Kind {
	case "found":
		return fmt.Sprintf("%s founds the cluster on node-%d", step.Order.Name, step.Place)
	case "join":
		return fmt.Sprintf("%s joins on node-%d", step.Order.Name, step.Place)
	case "wipe-and-join":
		return fmt.Sprintf("%s joins on node-%d; what %s left there is set aside", step.Order.Name, step.Place, step.Order.Old)
	case "resume":
		return fmt.Sprintf("%s resumes on node-%d", step.Order.Name, step.Place)
	case "retire":
		return fmt.Sprintf("%s stops NATS for good", step.Order.Name)
	}
	return ""
}

// stepWords says in words what a step does, whatever it is.
func stepWords(step scaling.Step) string {
	stream := step.Stream.Account + "/" + step.Stream.Name
	switch step.Action {
	case scaling.RemovePeer:
		return step.Name + " is removed from the meta group"
	case scaling.MoveReplica:
		return fmt.Sprintf("the replica of %s on %s is copied to %s", stream, step.Name, step.To)
	case scaling.SetReplicas:
		if step.Replicas == 1 {
			return fmt.Sprintf("%s gets 1 replica", stream)
		}
		return fmt.Sprintf("%s gets %d replicas", stream, step.Replicas)
	case scaling.MoveLeader:
		if step.Stream.Name == "" {
			return "the meta leader moves to " + step.To
		}
		return fmt.Sprintf("the leader of %s moves to %s", stream, step.To)
	case scaling.SendOrder:
		if words := orderWords(step); words != "" {
			return words
		}
		return fmt.Sprintf("%s is marked as leaving", step.Order.Name)
	case scaling.Resize:
		if step.Size == 1 {
			return "1 node is to run"
		}
		return fmt.Sprintf("%d nodes are to run", step.Size)
	}
	return step.Reason
}
