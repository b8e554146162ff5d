// SPDX-License-Identifier: Apache-2.0

package scaling

import "slices"

// shrink lets one member leave, the one at the highest place first.
func (p *pass) shrink() *Step {
	last := ""
	for _, name := range p.names {
		switch p.rec.Names[name].Phase {
		case Leaving:
			return p.leave(name)
		case Member:
			if p.place(name) >= p.want.Replicas && (last == "" || p.place(name) > p.place(last)) {
				last = name
			}
		}
	}
	if last == "" {
		return nil
	}
	if !p.recordFirst {
		return p.leave(last)
	}
	return p.phase(last, Leaving, "%d replicas are wished, and it is at place %d", p.want.Replicas, p.place(last))
}

// leave empties a leaver, which can be taken back until it is recorded as removing.
func (p *pass) leave(name string) *Step {
	if behind, ok := p.allCurrent(); !ok && p.removeGate {
		return wait(have, "%s leaves when all members are current; %s is not", name, behind)
	}
	if step, _ := p.empty(name); step != nil {
		return step
	}
	if p.recordFirst {
		return p.phase(name, Removing, "no data is on it alone")
	}
	step, _ := p.remove(name)
	return step
}

// lowerSize stops the places that have no name any more. While a member is missed, a place that doesn't answer is not stopped: its
// disk may be there.
func (p *pass) lowerSize() *Step {
	need := p.want.Replicas
	for _, name := range p.names {
		if p.active(name) && p.sizeByName {
			need = max(need, p.place(name)+1)
		}
	}
	if p.seen.Size <= need || need != p.want.Replicas {
		return nil
	}
	if missed, ok := p.allCurrent(); !ok {
		for i := need; i < len(p.nodes); i++ {
			if p.nodes[i] == nil && p.started(i) {
				return wait("start it, or see why it doesn't answer", "place %d is not stopped while %s is missed and may be there", i, missed)
			}
		}
	}
	return p.resize(need, "the places from %d on have no member any more", need)
}

// volumes deletes, where that is wished, the volumes of places beyond the wished number: its UID goes into the record first, so that
// nothing joins on a volume that somebody is about to delete.
func (p *pass) volumes() *Step {
	if !p.want.DeleteDisks {
		return nil
	}
	for i := p.want.Replicas; i < len(p.seen.Places); i++ {
		place := p.seen.Places[i]
		busy := slices.ContainsFunc(p.names, func(name string) bool { return p.active(name) && p.rec.Names[name].Place == i })
		if place.Volume == "" || place.Started || busy {
			continue
		}
		if p.discard && !slices.Contains(p.rec.Doomed, place.Volume) {
			return p.doom(i)
		}
		return p.deleteVolume(i)
	}
	return nil
}

// doom records the volume at a place for deletion, and forgets volumes that are gone.
func (p *pass) doom(place int) *Step {
	volume := p.seen.Places[place].Volume
	step := p.write("", Name{}, "volume %s at place %d is not needed any more: recorded for deletion", volume, place)
	delete(step.Record.Names, "")
	step.Record.Doomed = slices.DeleteFunc(step.Record.Doomed, func(uid string) bool {
		return !slices.ContainsFunc(p.seen.Places, func(q Place) bool { return q.Volume == uid })
	})
	step.Record.Doomed = append(step.Record.Doomed, volume)
	return step
}

func (p *pass) deleteVolume(place int) *Step {
	step := wait("look why it can't be deleted", "volume %s at place %d is recorded for deletion", p.seen.Places[place].Volume, place)
	step.Action, step.Place, step.Volume = DeleteVolume, place, p.seen.Places[place].Volume
	return step
}
