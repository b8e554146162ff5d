// SPDX-License-Identifier: Apache-2.0

package scaling

import "slices"

// dead is true when a name's disk is gone by evidence: its place answers live with another disk, or a person declared it lost;
// nobody answers with the name or the disk; and every place that is started, or about to be, answers, for the disk may be there.
// Silence is never death.
func (p *pass) dead(name string) bool {
	if !p.evidence {
		return !p.running(name)
	}
	n := p.rec.Names[name]
	is := func(x *Node) bool { return x.Name == name || n.DiskID != "" && x.DiskID == n.DiskID && !p.older(x, n) }
	if home := p.node(n.Place); !p.declared(name) && (home == nil || home.DiskID == "" || is(home)) {
		return false // what answers without a disk is no node of this program
	}
	for i, x := range p.nodes {
		if x != nil && is(x) {
			return false
		}
		if p.allAnswer && x == nil && p.awaited(i) && !(p.declared(name) && p.declaredHome(i)) {
			return false
		}
	}
	return true
}

// awaited is true for a place that is to answer: what runs there, or is about to, may have any disk.
func (p *pass) awaited(place int) bool {
	return p.started(place) || place < p.seen.Size && place < len(p.seen.Places) && p.seen.Places[place].Volume != ""
}

// older is true for a node on a member's disk that was put back to what it was before the disk got that name: it shows the name of
// before, which was removed. A member ran with its name, so the disk had it, durably and without a journal.
func (p *pass) older(x *Node, n Name) bool {
	return n.Kind == WipeAndJoin && n.Phase != Ordered && n.Phase != Void && !x.Journal && p.rec.Names[x.Name].Phase == Removed
}

func (p *pass) declared(name string) bool { return slices.Contains(p.want.Dead, name) }

// declaredHome is true for the place of a name that was declared lost: a pod that can't come up there must not hinder the person's
// word, which is about that very place. Of others' disks, which may have come there, it says nothing.
func (p *pass) declaredHome(place int) bool {
	return slices.ContainsFunc(p.want.Dead, func(name string) bool {
		n, known := p.rec.Names[name]
		return known && n.Place == place && p.active(name)
	})
}

// deaths begins the removal of members whose disks are gone.
func (p *pass) deaths() *Step {
	leaving := slices.ContainsFunc(p.names, func(name string) bool { return p.rec.Names[name].Phase == Leaving })
	for _, name := range p.names {
		switch p.rec.Names[name].Phase {
		case Member, Leaving, Ordered:
			if !p.members[name] || !p.dead(name) || !p.deadFirst && leaving {
				continue
			}
			if p.recordFirst {
				return p.phase(name, Removing, "its disk %s is gone from place %d", p.rec.Names[name].DiskID, p.rec.Names[name].Place)
			}
			step, _ := p.remove(name)
			return step
		}
	}
	return nil
}
