// SPDX-License-Identifier: Apache-2.0

package scaling

import (
	"fmt"
	"slices"
)

// joining returns a name that is ordered and can still join.
func (p *pass) joining() string {
	for _, name := range p.names {
		if p.rec.Names[name].Phase == Ordered && !(p.members[name] && p.dead(name)) {
			return name
		}
	}
	return ""
}

// pendingJoin lets nothing else begin while a name is ordered: one joins at a time, and what is ordered is completed.
func (p *pass) pendingJoin() *Step {
	name := p.joining()
	if name == "" || !p.oneByOne {
		return nil
	}
	n := p.rec.Names[name]
	return wait("start its node; to cancel, let the join complete and shrink then", "%s joins with disk %s at place %d", name, n.DiskID, n.Place)
}

// staying takes leaving back where the place is wanted again.
func (p *pass) staying() *Step {
	for _, name := range p.names {
		if p.rec.Names[name].Phase == Leaving && p.place(name) < p.want.Replicas {
			return p.phase(name, Member, "its place %d is wanted again", p.place(name))
		}
	}
	return nil
}

// refill gives a name to the first place below the wished number that has none.
func (p *pass) refill() *Step {
	for i := range p.want.Replicas {
		used := slices.ContainsFunc(p.names, func(name string) bool {
			return p.active(name) && (p.place(name) == i || p.rec.Names[name].Phase == Ordered && p.rec.Names[name].Place == i)
		})
		if !used {
			return p.join(i)
		}
	}
	return nil
}

func (p *pass) join(place int) *Step {
	if behind, ok := p.allCurrent(); !ok && p.joinGate {
		return wait(have, "place %d is filled when all members are current; %s is not", place, behind)
	}
	n := p.node(place)
	if n != nil && n.Name != "" {
		if _, known := p.rec.Names[n.Name]; !known {
			return person("take its volume away, or restore the record that knows it",
				"the disk %s at place %d has an identity, %s, that the record does not know", n.DiskID, place, n.Name)
		}
	}
	if n == nil || !n.Waiting || n.Journal {
		return wait("start it, and see why it doesn't come up", "place %d is empty, and no node waits there for an order", place)
	}
	if volume := p.seen.Places[place].Volume; p.discard && volume != "" && slices.Contains(p.rec.Doomed, volume) {
		return p.deleteVolume(place)
	}
	if n.Name == "" {
		for _, name := range p.names {
			if q := p.rec.Names[name]; p.diskName && q.Phase == Void && q.DiskID == n.DiskID && q.Kind == Join {
				q.Phase, q.Place, q.Since = Ordered, place, p.seen.Now
				return p.write(name, q, "%s is ordered again for disk %s, now at place %d", name, n.DiskID, place)
			}
		}
	}
	name := p.newName(place)
	order := Name{Phase: Ordered, Place: place, DiskID: n.DiskID, Kind: Join, Since: p.seen.Now}
	if n.Name == "" {
		return p.write(name, order, "%s is ordered for the empty disk %s at place %d", name, n.DiskID, place)
	}
	if p.rec.Names[n.Name].Phase == Removed || !p.retire {
		order.Kind, order.Old = WipeAndJoin, n.Name
		return p.write(name, order, "%s is ordered for disk %s at place %d, where %s was removed: its store is set aside", name, n.DiskID, place, n.Name)
	}
	return person("take its volume away, or bring it back to its own place",
		"the disk %s at place %d is that of %s, which the record has as %s", n.DiskID, place, n.Name, p.rec.Names[n.Name].Phase)
}

// newName is the first name of a place that was never given.
func (p *pass) newName(place int) string {
	for k := 0; ; k++ {
		name := fmt.Sprintf("%s-%d-%d", p.want.Name, place, k)
		if _, used := p.rec.Names[name]; !used {
			return name
		}
	}
}
