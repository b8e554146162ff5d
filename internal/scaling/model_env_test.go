// SPDX-License-Identifier: Apache-2.0

package scaling

// What happens by itself: pods come and go with the size, processes boot, orders arrive, Raft goes on.

func (w *world) nature(s *state) {
	for i := range w.places {
		w.pods(s, i)
		if s.places[i].exists == 0 {
			continue
		}
		d := s.at(i)
		if d < 0 {
			continue
		}
		switch s.places[i].phase {
		case down:
			if s.hang&(1<<uint(i)) == 0 {
				n := w.copy(s)
				w.boot(n, i, d)
				w.done(n, eBoot, i, int(n.places[i].phase), d)
			}
		case wiping:
			n := w.copy(s)
			k := &n.disks[d]
			k.name, k.cid, k.form = n.places[i].todo, n.api.rec.cid, 2
			n.places[i].todo, n.places[i].phase = 0, runs
			w.done(n, eWiped, i, 0, 0)
		case waits:
			for _, x := range s.flight {
				if x.kind == 0 || int(x.disk) != d+1 {
					continue
				}
				n := w.copy(s)
				if w.take(n, i, d, x) {
					w.done(n, eOrder, i, int(x.kind), int(x.name))
				} else {
					w.undo()
				}
			}
		}
	}
	w.raft(s)
	if s.ban != 0 { // in memory, for five minutes: gone with the leader's process
		n := w.copy(s)
		n.ban = 0
		w.done(n, eBan, 0, 0, 0)
	}
	if s.cut != 0 {
		n := w.copy(s)
		n.cut, n.stale = 0, 0
		w.done(n, eHeal, int(s.cut)-1, 0, 0)
	}
}

// pods is what the StatefulSet's controller does at a place.
func (w *world) pods(s *state, i int) {
	if i < int(s.api.size) && s.places[i].exists == 0 {
		n := w.copy(s)
		if n.at(i) < 0 {
			free := -1
			for d := range n.disks {
				if n.disks[d].loc == 0 {
					free = d
					break
				}
			}
			if free < 0 {
				w.undo()
				return
			}
			n.disks[free] = disk{loc: uint8(i + 1)}
		}
		n.places[i] = place{exists: 1}
		if w.env.deny {
			n.places[i].mount = n.denied()
		}
		w.done(n, ePod, i, 1, 0)
	}
	if i >= int(s.api.size) && s.places[i].exists == 1 {
		n := w.copy(s)
		w.podGone(n, i)
		w.done(n, ePod, i, 0, 0)
	}
}

// raft lets the meta leader add whoever runs and isn't listed, and lets members and replicas catch up.
func (w *world) raft(s *state) {
	lead := w.leader(s)
	if lead < 0 {
		return
	}
	l := s.disks[s.at(lead)]
	for i := range w.places {
		d := s.up(i)
		if d < 0 || s.disks[d].cid != l.cid || !s.joined(lead, i) {
			continue
		}
		k := &s.disks[d]
		b := k.self()
		switch {
		case l.view&b == 0 && s.ban&b == 0 && s.places[i].off == 0:
			n := w.copy(s)
			w.commit(n, lead, l.view|b)
			// With the record lost nobody knows of a disk that was away when it was removed, but who starts it beside others
			// unasked is to blame; a person's wrong word is theirs; and what was cut off while it was removed doesn't know, and
			// is only put out again.
			if n.removed&b&^n.escaped != 0 && (n.recLost == 0 || k.mark != 0 || n.unasked&(1<<uint(i)) != 0) && n.wrong == 0 {
				n.broken = 4
			}
			if n.removed&b != 0 && n.wrong != 0 {
				n.excused = 1
			}
			if n.disks[d].group != l.group {
				n.disks[d].group, n.disks[d].ver, n.disks[d].view = l.group, 0, 0
			}
			w.done(n, eAdd, i, int(k.name)-1, 0)
		case l.view&b != 0 && k.ver < l.ver:
			n := w.copy(s)
			q := &n.disks[d]
			q.group, q.ver, q.view = l.group, l.ver, l.view
			for x := range w.streams {
				if n.peers[x]&b == 0 {
					q.data[x] = nothing
				}
			}
			w.done(n, eSync, i, int(k.name)-1, 0)
		}
	}
	for x := range w.streams {
		w.stream(s, x, lead)
	}
}

// stream lets replicas catch up, writes be acknowledged, and JetStream fill up missing replicas.
func (w *world) stream(s *state, x, lead int) {
	if !w.streamLeads(s, x) {
		return
	}
	l := s.disks[s.at(lead)]
	have, side := w.streamUp(s, x)
	for i := range w.places {
		d := s.up(i)
		if d < 0 || !s.joined(side, i) || s.disks[d].ver != l.ver {
			continue
		}
		k := s.disks[d]
		switch {
		case s.peers[x]&k.self() != 0 && k.data[x] != newest:
			n := w.copy(s)
			n.disks[d].data[x] = newest
			w.fullSync(n)
			w.done(n, eData, i, int(k.name)-1, x)
		case s.peers[x]&k.self() == 0 && count(s.peers[x]) < int(s.reps[x]) && l.view&k.self() != 0 && s.joined(lead, i):
			n := w.copy(s)
			n.peers[x] |= k.self()
			w.done(n, eFill, i, int(k.name)-1, x)
		}
	}
	if have[newest] < quorum(count(s.peers[x])) {
		return
	}
	n := w.copy(s)
	n.held[x], n.ruined[x] = 0, 0
	for d := range n.disks {
		k := &n.disks[d]
		if k.data[x] != newest {
			continue
		}
		i := int(k.loc) - 1
		if i >= 0 && i < w.places && n.up(i) == d && n.joined(side, i) && n.peers[x]&k.self() != 0 {
			n.held[x] |= 1 << uint(d)
		} else {
			k.data[x] = stale
		}
	}
	w.done(n, eWrite, x, 0, 0)
}

// boot is a node's start.
func (w *world) boot(s *state, i, d int) {
	k := &s.disks[d]
	if k.intent != 0 {
		w.finishWipe(s, d)
	}
	if k.name == 0 {
		if !w.env.persistID {
			w.forget(s, d)
		}
		s.places[i].phase = waits
		return
	}
	n := int(k.name) - 1
	if k.mark != 0 || w.env.deny && s.places[i].mount&bit(n) != 0 || !w.rules.nameByDisk && w.ord(n) != i {
		s.places[i].phase = waits
		return
	}
	s.places[i].phase = runs
	w.runsNow(s, d)
}

// runsNow founds, where that was ordered.
func (w *world) runsNow(s *state, d int) {
	k := &s.disks[d]
	if k.form != 1 {
		return
	}
	g := uint8(1)
	if s.newVer[1] != 0 {
		g = 2
	}
	for e := range s.disks {
		if q := &s.disks[e]; q.loc != 0 && !q.alien() && (q.group != 0 || q.data[0] != 0 || q.data[1] != 0 || q.aside != 0) {
			s.broken = 3
		}
	}
	if g == 2 && s.excused == 0 {
		s.broken = 3
	}
	k.form, k.group, k.ver, k.view = 2, g, 1, k.self()
	s.newVer[g], s.newView[g] = 1, k.view
	for x := range w.streams {
		k.data[x] = newest
		if g == 1 {
			s.peers[x], s.reps[x] = k.view, 1
			s.held[x], s.ruined[x] = 1<<uint(d), 0
		}
	}
}

func (w *world) finishWipe(s *state, d int) {
	k := &s.disks[d]
	*k = disk{loc: k.loc, name: k.intent, cid: k.cid, form: 2, aside: 1}
}

// take is a node taking an order that fits its disk; whether it does. Late and doubled ones come here as well.
func (w *world) take(s *state, i, d int, x order) bool {
	k := &s.disks[d]
	switch x.kind {
	case kFound, kJoin:
		if k.name != 0 || k.intent != 0 {
			return false
		}
		k.name, k.cid, k.form = x.name+1, x.cid, 2
		if x.kind == kFound {
			k.form = 1
		}
		s.places[i].phase = down // the identity is durable; killed here it starts with that
	case kWipe:
		if k.name != x.old || k.cid != x.cid {
			return false
		}
		if !w.env.atomicWipe {
			*k = disk{loc: k.loc, aside: 1}
			s.places[i].phase, s.places[i].todo = wiping, x.name+1
			return true
		}
		k.intent, k.cid = x.name+1, x.cid
		s.places[i].phase = down
	case kResume:
		if k.mark > 1 || k.name != x.name+1 || k.cid != x.cid {
			return false
		}
		if x.keep == 0 {
			k.mark = 0
		}
		s.places[i].phase = runs
		w.runsNow(s, d)
	}
	w.newNonce(s, d)
	return true
}

// newNonce makes what was sent to a node before worthless.
func (w *world) newNonce(s *state, d int) {
	if !w.env.nonce {
		return
	}
	w.forgetOrders(s, func(x order) bool { return int(x.disk) == d+1 })
	for o := range s.drivers {
		if a := &s.drivers[o].act; (a.kind == aSend || a.kind == aTell) && int(a.order.disk) == d+1 {
			a.staleN = 1
		}
	}
}

// podDown is the end of a process.
func (w *world) podDown(s *state, i int) {
	s.places[i].phase, s.places[i].todo, s.places[i].off = down, 0, 0
	if d := s.at(i); d >= 0 {
		w.newNonce(s, d)
		if s.disks[d].name != 0 {
			s.escaped &^= s.disks[d].self()
		}
	}
}

func (w *world) podGone(s *state, i int) {
	w.podDown(s, i)
	s.places[i] = place{}
}

// forget is the end of a disk id: nothing answers with it any more.
func (w *world) forget(s *state, d int) {
	id := uint8(d + 1)
	fix := func(r *recordState) {
		for n := range r.names {
			if r.names[n].disk == id {
				r.names[n].disk = gone
			}
		}
		r.doom &^= 1 << uint(d)
	}
	fix(&s.api.rec)
	for o := range s.drivers {
		fix(&s.drivers[o].cache.rec)
		a := &s.drivers[o].act
		fix(&a.rec)
		if a.name.disk == id {
			a.name.disk = gone
		}
		if a.order.disk == id {
			a.order.disk, a.staleN = gone, 1
		}
		if (a.kind == aDelete || a.kind == aDoom) && a.b == id {
			a.b = gone
		}
	}
	w.forgetOrders(s, func(x order) bool { return int(x.disk) == d+1 })
}
