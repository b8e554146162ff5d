// SPDX-License-Identifier: Apache-2.0

package scaling

import "slices"

// The judge: six promises. 1: one meta leader group, never under a superseded configuration. 2: the newest acknowledged write is kept.
// 3: nothing is founded a second time. 4: removed names stay out. 5: from every state, once faults end, the wish is fulfilled or a
// person is told why not; one node that never comes up, while nothing is under way, takes the leader from nobody. 6: no step stops a node
// that the wish keeps.

// broken returns the number of the promise that a state breaks, 0 when none.
func (w *world) broken(s *state) (int, string) {
	switch s.broken {
	case 3:
		return 3, "founded while a disk with data may exist"
	case 4:
		return 4, "a removed name is a member again"
	case 6:
		return 6, "a step stopped a node that the wish keeps"
	}
	var g uint8
	for i := range w.places {
		if !w.elect(s, i) {
			continue
		}
		k := &s.disks[s.at(i)]
		if g != 0 && k.group != g {
			return 1, "two meta groups with a leader"
		}
		g = k.group
		if k.ver < s.newVer[g] && s.excused == 0 {
			return 1, "a meta leader under a superseded configuration"
		}
	}
	if s.newVer[1] == 0 || s.excused != 0 {
		return 0, ""
	}
	for x := range w.streams {
		if words := w.brokenStream(s, x); words != "" {
			return 2, words
		}
	}
	return 0, ""
}

func (w *world) brokenStream(s *state, x int) string {
	kept, in := false, false
	for d := range s.disks {
		k := &s.disks[d]
		if k.loc == 0 || k.data[x] != newest {
			continue
		}
		kept = true
		in = in || k.name != 0 && s.peers[x]&k.self() != 0
	}
	if !kept {
		return "no disk has the newest acknowledged write"
	}
	if !in {
		return "no replica of the stream has the newest acknowledged write"
	}
	size := count(s.peers[x])
	for c := range w.places {
		if c > 0 && s.cut == 0 {
			break
		}
		var h [3]int
		for i := range w.places {
			if d := s.up(i); d >= 0 && s.joined(c, i) && s.peers[x]&s.disks[d].self() != 0 {
				h[s.disks[d].data[x]]++
			}
		}
		if h[stale] >= quorum(size) || h[newest] == 0 && h[stale] > 0 && h[stale]+h[nothing] == size {
			return "the stream has a quorum without the newest acknowledged write"
		}
	}
	return ""
}

// goal is true when what is wished is there.
func (w *world) goal(s *state) bool {
	spec := int(s.api.spec)
	if spec == 0 {
		for i := range w.places {
			if s.places[i].exists == 1 {
				return false
			}
		}
		return s.api.size == 0
	}
	lead := w.leader(s)
	if int(s.api.size) != spec || lead < 0 || s.api.rec.exists == 0 {
		return false
	}
	l := s.disks[s.at(lead)]
	if count(l.view) != spec {
		return false
	}
	for x := range w.streams {
		if s.peers[x] != l.view || int(s.reps[x]) != spec {
			return false
		}
	}
	for i := range w.places {
		d := s.up(i)
		if (d >= 0) != (i < spec) {
			return false
		}
		if d < 0 {
			continue
		}
		k := &s.disks[d]
		if k.ver != l.ver || l.view&k.self() == 0 || s.cut != 0 {
			return false
		}
		for x := range w.streams {
			if k.data[x] != newest {
				return false
			}
		}
	}
	for n, q := range s.api.rec.names {
		switch q.phase {
		case pOrdered, pLeaving, pRemoving:
			return false
		}
		if (q.phase == pMember) != (l.view&bit(n) != 0) {
			return false
		}
	}
	return true
}

// person returns why a state may rest without the wish being fulfilled, empty when it may not.
func (w *world) person(s *state) string {
	switch {
	case s.recLost == 1:
		return "the record was lost"
	case s.excused == 1:
		return "most disks with the data were destroyed"
	case s.wrong == 1:
		return "a disk was declared dead that lives"
	case s.hang != 0 && s.busy == 0 && s.lost == 0 && w.leader(s) < 0:
		return "" // the others are enough for a leader
	case s.hang != 0:
		return "a place never comes up"
	}
	if s.mixedUp() {
		return "a disk of another cluster is in a place"
	}
	if s.newVer[1] == 0 {
		if q := s.api.rec.names[0]; s.api.rec.exists == 1 && q.kind == kFound && s.lost == 1 && (q.disk == gone || s.disks[q.disk-1].loc != 1) {
			return "the founder's disk was lost before it founded"
		}
		return ""
	}
	if why, decided := w.doubt(s); decided {
		return why
	}
	if s.noEvac == 1 {
		return "moving replicas fails"
	}
	if s.taken == 0 {
		return "" // whatever disks are missing, no fault took them
	}
	if n := w.attached(s, s.newView[1], func(k *disk) bool { return k.ver > 0 }); n < quorum(count(s.newView[1])) {
		return "the meta group's quorum was lost with its disks"
	}
	for x := range w.streams {
		if n := w.attached(s, s.peers[x], func(k *disk) bool { return k.data[x] > nothing }); n < quorum(count(s.peers[x])) {
			return "a stream's quorum was lost with its disks"
		}
	}
	return ""
}

// mixedUp tells whether a disk of another cluster is in a place.
func (s *state) mixedUp() bool {
	return slices.ContainsFunc(s.disks[:], func(k disk) bool { return k.alien() && k.loc != 0 && k.loc != shelf })
}

// doubt: without a leader, a node that waits may have been removed. That needs a lost disk besides.
func (w *world) doubt(s *state) (why string, decided bool) {
	if w.leader(s) >= 0 {
		return "", false
	}
	for i := range w.places {
		d := s.at(i)
		if d < 0 || s.places[i].phase != waits || s.disks[d].name == 0 {
			continue
		}
		n := int(s.disks[d].name) - 1
		if q := s.api.rec.names[n].phase; (q == pRemoving || q == pRemoved) && s.newView[1]&bit(n) != 0 {
			if s.lost == 0 {
				return "", true
			}
			return "removal in doubt: a leaver restarted between mark and removal, and another disk was lost", true
		}
	}
	return "", false
}

// attached counts the names of a group whose disks are in some place and have something.
func (w *world) attached(s *state, names uint16, has func(*disk) bool) (n int) {
	for name := range maxNames {
		if names&bit(name) == 0 {
			continue
		}
		for d := range s.disks {
			k := &s.disks[d]
			if l := int(k.loc); l >= 1 && l <= w.places && int(k.name) == name+1 && !k.alien() && has(k) {
				n++
				break
			}
		}
	}
	return n
}
