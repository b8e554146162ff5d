// SPDX-License-Identifier: Apache-2.0

package scaling

import "slices"

// grownSize starts as many places as the wish and the names that may be members need. The size is never lowered here.
func (p *pass) grownSize() *Step {
	need, why := p.want.Replicas, "as many replicas are wished"
	for _, name := range p.names {
		if place := p.place(name); p.sizeByName && p.active(name) && !p.cancelled(name) && place+1 > need {
			need, why = place+1, name+" may be a member"
		}
		if place := p.rec.Names[name].Place; !p.sizeByName && p.members[name] && place+1 > need {
			need, why = place+1, name+" is a member"
		}
	}
	if lost := p.astray(); lost != "" {
		for i, place := range p.seen.Places {
			if place.Volume != "" && i+1 > need {
				need, why = i+1, "a leader is missing, and the disk of "+lost+" may be in any volume"
			}
		}
	}
	if p.seen.Size < need {
		return p.resize(need, "%d places are started: %s", need, why)
	}
	return nil
}

// cancelled is true for an ordered name that isn't wanted any more, where orders are withdrawn (the model only).
func (p *pass) cancelled(name string) bool {
	n := p.rec.Names[name]
	return !p.neverCancel && n.Phase == Ordered && n.Place >= p.want.Replicas && !p.members[name]
}

// astray returns a member whose place answers with another disk while the meta group or a stream has no leader: its disk is missed.
func (p *pass) astray() string {
	leaderless := slices.ContainsFunc(p.streams, func(s Stream) bool { return s.Leader == "" })
	if !p.findDisk || p.led && !leaderless {
		return ""
	}
	for _, name := range p.names {
		switch p.rec.Names[name].Phase {
		case Member, Leaving, Removing:
			if n := p.node(p.place(name)); n != nil && n.Name != name {
				return name
			}
		}
	}
	return ""
}

// orders sends what the record says to nodes that wait for it.
func (p *pass) orders() *Step {
	for i, n := range p.nodes {
		if n == nil || !n.Waiting || n.Journal {
			continue
		}
		if n.Name != "" && n.Mark != "retired" && p.active(n.Name) && (!n.Alone || p.otherMember(n.Name) == "") && p.mayResume(n.Name) {
			keep := p.rec.Names[n.Name].Phase == Removing
			step := p.order(i, "resume", n.Name, "%s waits at place %d and belongs to the cluster", n.Name, i)
			step.Order.KeepMark = keep
			return step
		}
		for _, name := range p.names {
			q := p.rec.Names[name]
			if q.Phase != Ordered || q.DiskID == "" || q.DiskID != n.DiskID || p.cancelled(name) {
				continue
			}
			if q.Kind == WipeAndJoin && n.Name != q.Old || q.Kind != WipeAndJoin && n.Name != "" {
				continue
			}
			step := p.order(i, string(q.Kind), name, "disk %s waits at place %d, and %s is recorded for it", n.DiskID, i, name)
			step.Order.Old = q.Old
			return step
		}
	}
	return nil
}

func (p *pass) order(place int, kind, name, format string, args ...any) *Step {
	n := p.nodes[place]
	step := wait("look at what the node answered to the order", format, args...)
	step.Action, step.Place, step.Name = SendOrder, place, name
	step.Order = Order{Kind: kind, Name: name, DiskID: n.DiskID, Nonce: n.Nonce}
	return step
}

// mayResume is false for a node whose removal may have been committed: started again it would look healthy and hold nothing, or
// bring back a superseded configuration.
func (p *pass) mayResume(name string) bool {
	phase := p.rec.Names[name].Phase
	if p.led {
		if !p.members[name] {
			return false
		}
		return phase == Member || phase == Leaving || !p.resumeProof || p.leaderlessWith(name)
	}
	return phase == Member || phase == Leaving || !p.resumeProof || p.provenMember(name)
}

// leaderlessWith is true when a stream has no leader and may need the replica of name to get one.
func (p *pass) leaderlessWith(name string) bool {
	for _, s := range p.streams {
		if s.Leader == "" && (len(s.Peers) == 0 || s.has(name)) {
			return true
		}
	}
	return false
}

// provenMember is true when, without a leader, so many others still list name that no quorum can have removed it: no running node
// excludes it, and |members| - quorum + 1 others list it. The largest group told counts, as the careful reading.
func (p *pass) provenMember(name string) bool {
	listing, size := 0, 0
	for _, n := range p.nodes {
		if n == nil || !n.Running || n.Off || len(n.Members) == 0 {
			continue
		}
		if !slices.Contains(n.Members, name) {
			return false
		}
		size = max(size, len(n.Members))
		if n.Name != name {
			listing++
		}
	}
	return listing > 0 && listing >= size-quorum(size)+1
}
