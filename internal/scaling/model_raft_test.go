// SPDX-License-Identifier: Apache-2.0

package scaling

// What Raft does, as far as it matters: who can lead, who knows what. Votes of members with an empty log count only while a leader is
// in office, or when everybody is there (as nats-server has it).

// elect tells whether the node at a place can be elected meta leader by those that run and reach it.
func (w *world) elect(s *state, c int) bool {
	d := s.up(c)
	if d < 0 {
		return false
	}
	k := &s.disks[d]
	if k.ver == 0 || k.view&k.self() == 0 { // another cluster's meta group is none of ours
		return false
	}
	normal, empty := 0, 0
	for j := range w.places {
		e := s.up(j)
		if e < 0 || !s.joined(c, j) {
			continue
		}
		q := &s.disks[e]
		switch {
		case q.cid != k.cid || k.view&q.self() == 0:
		case q.ver == 0:
			empty++
		case q.group == k.group && q.ver <= k.ver:
			normal++
		}
	}
	size := count(k.view)
	return normal >= quorum(size) || normal+empty == size
}

// holds tells whether a leader in office stays: while a majority answers it, empty ones included.
func (w *world) holds(s *state, c int) bool {
	d := s.up(c)
	if d < 0 {
		return false
	}
	k := &s.disks[d]
	if k.ver == 0 || k.ver < s.newVer[k.group] || k.view&k.self() == 0 {
		return false
	}
	n := 0
	for j := range w.places {
		if e := s.up(j); e >= 0 && s.joined(c, j) && s.disks[e].cid == k.cid && k.view&s.disks[e].self() != 0 {
			n++
		}
	}
	return n >= quorum(count(k.view))
}

// leader is the place of the meta leader that a quorum follows, -1 when there is none.
func (w *world) leader(s *state) int {
	if s.lead > 0 && w.holds(s, int(s.lead)-1) {
		return int(s.lead) - 1
	}
	best := -1
	for i := range w.places {
		if w.elect(s, i) && (best < 0 || s.disks[s.at(i)].ver >= s.disks[s.at(best)].ver) {
			best = i
		}
	}
	return best
}

// streamUp counts a stream's replicas that run by what they have, on the side of a cut that has more of them.
func (w *world) streamUp(s *state, x int) (have [3]int, side int) {
	best := -1
	for c := range w.places {
		if c > 0 && s.cut == 0 {
			break
		}
		var h [3]int
		n := 0
		for i := range w.places {
			if d := s.up(i); d >= 0 && s.joined(c, i) && s.peers[x]&s.disks[d].self() != 0 {
				h[s.disks[d].data[x]]++
				n++
			}
		}
		if n > best {
			best, have, side = n, h, c
		}
	}
	return have, side
}

// streamLeads tells whether a stream can have a leader that has the newest write.
func (w *world) streamLeads(s *state, x int) bool {
	have, _ := w.streamUp(s, x)
	size := count(s.peers[x])
	return have[newest] > 0 && (have[newest]+have[stale] >= quorum(size) || have[newest]+have[stale]+have[nothing] == size)
}

// canLead tells whether the replica of a stream at a place can lead it.
func (w *world) canLead(s *state, x, i int) bool {
	d := s.up(i)
	if d < 0 || s.disks[d].data[x] != newest || s.peers[x]&s.disks[d].self() == 0 {
		return false
	}
	_, side := w.streamUp(s, x)
	return s.joined(side, i)
}

// streamLeader is a stream's leader by name, -1 when it has none: who was made leader last, else the highest, which leaves first.
func (w *world) streamLeader(s *state, x int) int {
	if !w.streamLeads(s, x) {
		return -1
	}
	best := -1
	for i := range w.places {
		if !w.canLead(s, x, i) {
			continue
		}
		n := int(s.disks[s.up(i)].name) - 1
		if n+1 == int(s.slead[x]) {
			return n
		}
		best = max(best, n)
	}
	return best
}

// commit makes a new configuration of the meta group, known at once to those that run and are reached.
func (w *world) commit(s *state, lead int, view uint16) {
	l := &s.disks[s.at(lead)]
	g, old := l.group, l.view
	s.newVer[g]++
	s.newView[g] = view
	for i := range w.places {
		d := s.up(i)
		if d < 0 {
			continue
		}
		if !s.joined(lead, i) {
			s.escaped |= old &^ view & s.disks[d].self()
			continue
		}
		if k := &s.disks[d]; k.group == g && k.ver > 0 && old&k.self() != 0 {
			k.ver, k.view = s.newVer[g], view
			if view&k.self() == 0 {
				s.places[i].off = 1
			}
		}
	}
}

// dropReplicas deletes what running nodes have of streams they are no peers of any more.
func (w *world) dropReplicas(s *state) {
	for i := range w.places {
		d := s.up(i)
		if d < 0 || s.disks[d].group != 1 {
			continue
		}
		for x := range w.streams {
			if s.peers[x]&s.disks[d].self() == 0 {
				s.disks[d].data[x] = nothing
			}
		}
	}
}

// fullSync notes that every replica has the newest write: only they count from now on.
func (w *world) fullSync(s *state) {
	for x := range w.streams {
		if s.peers[x] == 0 || !w.streamLeads(s, x) {
			continue
		}
		var have uint8
		n := 0
		for d := range s.disks {
			if k := &s.disks[d]; k.loc != 0 && k.name != 0 && s.peers[x]&k.self() != 0 && k.data[x] == newest {
				have |= 1 << uint(d)
				n++
			}
		}
		if n == count(s.peers[x]) {
			s.held[x], s.ruined[x] = have, 0
		}
	}
}

// ruin notes a disk destroyed or taken away by a fault.
func (w *world) ruin(s *state, d int) {
	s.lost, s.taken = 1, 1
	for x := range w.streams {
		if s.held[x]&(1<<uint(d)) != 0 {
			s.ruined[x] |= 1 << uint(d)
			if 2*count(uint16(s.ruined[x])) > count(uint16(s.held[x])) {
				s.excused = 1
			}
		}
	}
}

// canon makes configuration numbers relative and forgets what can't matter any more, so that like states are one.
func (w *world) canon(s *state) {
	s.lead = uint8(w.leader(s) + 1)
	leaving := !w.rules.recordFirst
	for n := range s.api.rec.names {
		q := s.api.rec.names[n].phase
		leaving = leaving || q == pLeaving || q == pRemoving
	}
	for x := range w.streams {
		if !leaving {
			s.slead[x] = 0
		} else {
			s.slead[x] = uint8(w.streamLeader(s, x) + 1)
		}
	}
	for g := uint8(1); g <= 2; g++ {
		var seen [256]bool
		top := s.newVer[g]
		seen[top] = true
		for d := range s.disks {
			if s.disks[d].group == g {
				seen[s.disks[d].ver] = true
			}
		}
		var to [256]uint8
		k := uint8(0)
		for v := 1; v <= int(top); v++ {
			if seen[v] {
				k++
				to[v] = k
			}
		}
		if k == top {
			continue
		}
		for d := range s.disks {
			if s.disks[d].group == g {
				s.disks[d].ver = to[s.disks[d].ver]
			}
		}
		s.newVer[g] = to[top]
	}
	if w.env.atomicWipe {
		w.forgetOrders(s, func(x order) bool {
			name := s.disks[x.disk-1].name
			return (x.kind == kFound || x.kind == kJoin) && name != 0 || x.kind == kWipe && name != x.old
		})
	}
}

// forgetOrders takes orders out of flight.
func (w *world) forgetOrders(s *state, which func(order) bool) {
	k := 0
	var left [maxFlight]order
	for _, x := range s.flight {
		if x.kind != 0 && !which(x) {
			left[k] = x
			k++
		}
	}
	s.flight = left
}
