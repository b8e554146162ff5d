// SPDX-License-Identifier: Apache-2.0

package scaling

import (
	"fmt"
	"slices"
	"strings"
)

// leaderless says what is known while no meta leader answers. Nothing is decided about members then.
func (p *pass) leaderless() *Step {
	if p.led {
		return nil
	}
	var lost, silent, waiting []string
	group := 0
	for _, name := range p.names {
		n := p.rec.Names[name]
		if !p.active(name) {
			continue
		}
		if n.Kind == Found && n.Phase == Ordered && p.dead(name) {
			return person("bring the disk back; if nothing was ever stored, delete the record and the known cluster id, and begin again",
				"disk %s of %s was lost from place %d before the cluster was founded", n.DiskID, name, n.Place)
		}
		if n.Phase != Ordered {
			group++
		}
		switch _, node := p.at(name); {
		case n.Phase != Ordered && p.dead(name):
			lost = append(lost, name)
		case node == nil:
			silent = append(silent, name)
		case !node.Running:
			waiting = append(waiting, name)
		}
	}
	for _, n := range p.nodes {
		if n != nil && n.Running && !n.Off {
			group = max(group, len(n.Members))
		}
	}
	if len(lost) > 0 && group-len(lost) < quorum(group) {
		step := person("bring a disk back; if that can't be, rescue the meta group from what is left, then declare the lost ones dead",
			"no meta leader, and the quorum of %d members is lost: the disks of %s are gone", group, strings.Join(lost, ", "))
		step.Leaderless = true
		return step
	}
	step := wait("start what doesn't answer or bring its disk back; if disks are lost for good, rescue the meta group from what is left",
		"no meta leader answers%s%s%s", listed("no answer from", silent), listed("not running:", waiting), listed("disk gone:", lost))
	step.Leaderless = true
	return step
}

func listed(what string, names []string) string {
	if len(names) == 0 {
		return ""
	}
	return fmt.Sprintf("; %s %s", what, strings.Join(names, ", "))
}

// moves has the record follow disks that answer at another place.
func (p *pass) moves() *Step {
	if !p.followMove {
		return nil
	}
	for _, name := range p.names {
		if n := p.rec.Names[name]; p.active(name) && p.place(name) != n.Place {
			from := n.Place
			n.Place = p.place(name)
			return p.write(name, n, "%s answers at place %d, it was at %d", name, n.Place, from)
		}
	}
	return nil
}

// follow brings phases up to what the meta leader says.
func (p *pass) follow() *Step {
	for _, name := range p.names {
		n, in := p.rec.Names[name], p.members[name]
		switch n.Phase {
		case Ordered:
			if in && p.current[name] {
				return p.phase(name, Member, "the meta leader lists it as current")
			}
			if !in && n.Kind != Found && p.withdrawn(name) {
				if p.diskName {
					return p.phase(name, Void, "its disk %s is gone from place %d before it joined", n.DiskID, n.Place)
				}
				return p.phase(name, Removed, "its disk %s is gone from place %d before it joined", n.DiskID, n.Place)
			}
		case Member, Leaving, Removing:
			if in {
				continue
			}
			// Only what is being removed is ever removed by a step. A leader that does not list another member, while a node
			// still does, is one whose disk is older than that member: it knows less than those that follow it.
			if by := p.listedBy(name); n.Phase != Removing && by != "" {
				return wait(outdated, "%s leads the meta group and does not list %s, a member that was not removed, and %s still lists it: "+
					"the disk of %s may be an older copy", p.seen.Meta.Leader, name, by, p.seen.Meta.Leader)
			}
			return p.phase(name, Removed, "the meta leader no longer lists it")
		case Void:
			if in || p.running(name) {
				return p.phase(name, Ordered, "its disk is back with that name")
			}
		case Removed:
			if in {
				return p.removePeer(name, "%s was removed, and the meta group lists it again", name)
			}
		}
	}
	if !p.ghostKnown {
		for _, peer := range p.seen.Meta.Peers {
			if _, known := p.rec.Names[peer.Name]; !known {
				return p.removePeer(peer.Name, "%s is not in the record", peer.Name)
			}
		}
	}
	return nil
}

// outdated is the remedy for a disk that was put back to an earlier state.
const outdated = "stop it and bring its right disk back; or move its store folder away (keep it), and start it with an empty one"

// listedBy returns a running node that has a name in its view of the meta group, empty when none has.
func (p *pass) listedBy(name string) string {
	for _, n := range p.nodes {
		if n != nil && n.Running && !n.Off && slices.Contains(n.Members, name) {
			return n.Name
		}
	}
	return ""
}

// alone asks for a person while a member waits whose disk is from when it was the only one: it would lead by itself, without what
// the others have, and have them forget it.
func (p *pass) alone() *Step {
	for i, n := range p.nodes {
		phase := Phase("")
		if n != nil && n.Waiting && n.Alone {
			phase = p.rec.Names[n.Name].Phase
		}
		if phase != Member && phase != Leaving {
			continue
		}
		if other := p.otherMember(n.Name); other != "" {
			return person(outdated, "the disk of %s at place %d is from when it was the only member, and the record has %s as well: "+
				"an older copy was put back", n.Name, i, other)
		}
	}
	return nil
}

// otherMember returns a name that is a member beside the given one, empty when there is none.
func (p *pass) otherMember(name string) string {
	for _, other := range p.names {
		if phase := p.rec.Names[other].Phase; other != name && (phase == Member || phase == Leaving) {
			return other
		}
	}
	return ""
}

// withdrawn is true when an order can't be completed any more.
func (p *pass) withdrawn(name string) bool {
	n := p.rec.Names[name]
	if p.evidence && p.dead(name) || p.cancelled(name) && !p.started(n.Place) {
		return true
	}
	home := p.node(n.Place)
	return !p.evidence && home != nil && home.DiskID != n.DiskID
}

func (p *pass) removePeer(name, format string, args ...any) *Step {
	step := wait("look at what the meta leader answered", format, args...)
	step.Action, step.Name = RemovePeer, name
	return step
}

// retirements stop nodes that were removed and still run: they look healthy and hold nothing.
func (p *pass) retirements() *Step {
	for i, n := range p.nodes {
		if p.retire && n != nil && n.Running && n.Name != "" && p.rec.Names[n.Name].Phase == Removed {
			return p.order(i, "retire", n.Name, "%s was removed and still runs at place %d", n.Name, i)
		}
	}
	return nil
}
