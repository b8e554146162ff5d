// SPDX-License-Identifier: Apache-2.0

package scaling

// What drivers do to JetStream.

// administer is what goes to JetStream; it needs leaders.
func (w *world) administer(s *state, o int, a action) {
	lead := w.leader(s)
	if lead < 0 {
		return
	}
	n := w.copy(s)
	n.drivers[o].act = action{}
	view := n.disks[n.at(lead)].view
	x := int(a.c)
	ok := true
	switch a.kind {
	case aRemove:
		if ok = view&bit(int(a.a)) != 0 && count(view) > 1; ok {
			w.commit(n, lead, view&^bit(int(a.a)))
			n.removed |= bit(int(a.a))
			n.ban |= bit(int(a.a))
			for x := range w.streams {
				n.peers[x] &^= bit(int(a.a))
			}
		}
	case aMove:
		ok = w.moveReplica(n, a)
	case aLead:
		ok = w.moveLeader(n, a)
	case aReplicas:
		if int(a.a) < count(n.peers[x]) {
			w.undo()
			w.lower(s, o, a)
			return
		}
		ok = w.streamLeads(n, x) && n.reps[x] != a.a && count(view) >= int(a.a)
		n.reps[x] = a.a
		for b := 0; b < maxNames && count(n.peers[x]) < int(a.a); b++ {
			if view&bit(b) != 0 {
				n.peers[x] |= bit(b)
			}
		}
	}
	if !ok {
		w.undo()
		return
	}
	w.dropReplicas(n)
	w.fullSync(n)
	w.done(n, eDoes, o, int(a.kind), int(a.a))
}

func (w *world) moveReplica(n *state, a action) bool {
	x := a.c
	t := w.nameUp(n, int(a.b))
	if n.noEvac == 1 || t < 0 || !w.streamLeads(n, int(x)) || n.peers[x]&bit(int(a.a)) == 0 || n.peers[x]&bit(int(a.b)) != 0 {
		return false
	}
	n.peers[x] = n.peers[x]&^bit(int(a.a)) | bit(int(a.b))
	to := n.at(t)
	n.disks[to].data[x] = newest
	for d := range n.disks { // the copy has moved
		if k := &n.disks[d]; k.loc != 0 && int(k.name) == int(a.a)+1 && n.held[x]&(1<<uint(d)) != 0 {
			n.held[x] = n.held[x]&^(1<<uint(d)) | 1<<uint(to)
		}
	}
	return true
}

func (w *world) moveLeader(n *state, a action) bool {
	t := w.nameUp(n, int(a.b))
	if t < 0 {
		return false
	}
	if a.c < 2 {
		n.slead[a.c] = a.b + 1
		return w.canLead(n, int(a.c), t)
	}
	if !w.holds(n, t) || !n.joined(t, w.leader(n)) || n.disks[n.at(t)].ver != n.disks[n.at(w.leader(n))].ver {
		return false
	}
	n.lead = uint8(t + 1)
	return true
}

// lower takes replicas away. JetStream keeps the leader, whoever that is by now, then those that are online with the least lag.
func (w *world) lower(s *state, o int, a action) {
	x, want := int(a.c), int(a.a)
	if !w.streamLeads(s, x) {
		return
	}
	var leaders, online uint16
	for b := range maxNames {
		if i := w.nameUp(s, b); i >= 0 && s.peers[x]&bit(b) != 0 {
			online |= bit(b)
			if w.canLead(s, x, i) {
				leaders |= bit(b)
			}
		}
	}
	for keep := uint16(1); keep <= s.peers[x]; keep++ {
		switch {
		case keep&^s.peers[x] != 0, count(keep) != want, keep&leaders == 0:
			continue
		case keep&^online != 0 && online&^keep != 0: // somebody who is offline is kept, and somebody goes who isn't
			continue
		case w.env.leastLag && keep&^leaders != 0 && leaders&^keep != 0: // the same with who is in sync
			continue
		}
		n := w.copy(s)
		n.drivers[o].act = action{}
		n.peers[x], n.reps[x] = keep, a.a
		w.dropReplicas(n)
		w.fullSync(n)
		w.done(n, eDoes, o, int(a.kind), int(a.a))
	}
}
