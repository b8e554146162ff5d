// SPDX-License-Identifier: Apache-2.0

package scaling

import "slices"

// faults are what a scenario allows to go wrong, and what users do, as long as its budget lasts.
func (w *world) faults(s *state) {
	for i := range w.places {
		if s.places[i].exists == 1 && s.places[i].phase != down && s.budget[fKill] > 0 {
			n := w.spend(s, fKill)
			w.podDown(n, i)
			w.done(n, eKill, i, 0, 0)
			if w.env.deny && s.places[i].mount != s.denied() { // the mounted record may be up to date by now
				n := w.spend(s, fKill)
				w.podDown(n, i)
				n.places[i].mount = n.denied()
				w.done(n, eKill, i, 1, 0)
			}
		}
		if s.budget[fCut] > 0 && s.cut == 0 && s.up(i) >= 0 {
			n := w.spend(s, fCut)
			n.cut = uint8(i + 1)
			if int(s.lead) == i+1 {
				n.stale = n.cut
			}
			w.done(n, eCut, i, 0, 0)
		}
		if s.budget[fHang] > 0 && s.hang == 0 && (s.places[i].exists == 0 || s.places[i].phase == down) {
			n := w.spend(s, fHang)
			n.hang |= 1 << uint(i)
			n.busy = w.underWay(s)
			w.done(n, eHang, i, 0, 0)
		}
		w.diskFaults(s, i)
	}
	w.unshelve(s)
	w.mixUp(s)
	w.users(s)
	if s.budget[fNoEvac] > 0 && s.noEvac == 0 {
		n := w.spend(s, fNoEvac)
		n.noEvac = 1
		w.done(n, eNoEvac, 0, 0, 0)
	}
	for o := range s.drivers {
		if s.budget[fFreeze] == 0 || o == 1 && s.budget[fOverlap] == 0 || s.drivers[o].frozen != 0 {
			continue
		}
		for f := uint8(1); f <= 3; f++ {
			n := w.spend(s, fFreeze)
			n.drivers[o].frozen = f
			n.drivers[o].cache = n.api
			if f&1 == 0 {
				n.drivers[o].cache.rec = recordState{}
			}
			if f&2 == 0 {
				n.drivers[o].cache = api{rec: n.drivers[o].cache.rec}
			}
			w.done(n, eFreeze, o, int(f), 0)
		}
	}
}

func (w *world) spend(s *state, fault int) *state {
	n := w.copy(s)
	n.budget[fault]--
	return n
}

func (w *world) diskFaults(s *state, i int) {
	d := s.at(i)
	if d < 0 {
		return
	}
	if s.budget[fDestroy] > 0 {
		n := w.spend(s, fDestroy)
		w.ruin(n, d)
		w.podGone(n, i)
		w.forget(n, d)
		n.disks[d] = disk{}
		w.done(n, eDestroy, i, d, 0)
	}
	if s.budget[fShelve] > 0 {
		n := w.spend(s, fShelve)
		w.ruin(n, d)
		w.podGone(n, i)
		n.disks[d].loc = shelf
		w.done(n, eShelve, i, d, 0)
	}
	for j := i + 1; j < w.places && s.budget[fSwap] > 0; j++ {
		if e := s.at(j); e >= 0 {
			n := w.spend(s, fSwap)
			n.lost = 1
			w.podGone(n, i)
			w.podGone(n, j)
			n.disks[d].loc, n.disks[e].loc = n.disks[e].loc, n.disks[d].loc
			w.done(n, eSwap, i, j, 0)
		}
	}
}

// unshelve puts a disk that was taken away into any place; what was there is taken away.
func (w *world) unshelve(s *state) {
	if s.budget[fUnshelve] == 0 {
		return
	}
	for e := range s.disks {
		if s.disks[e].loc != shelf {
			continue
		}
		for i := range w.places {
			n := w.spend(s, fUnshelve)
			if d := n.at(i); d >= 0 {
				w.podGone(n, i)
				w.ruin(n, d)
				n.disks[d].loc = shelf
			}
			n.disks[e].loc = uint8(i + 1)
			if k := &n.disks[e]; k.name != 0 && n.api.dead&k.self() != 0 {
				n.wrong = 1
			}
			w.done(n, eUnshelve, i, e, 0)
		}
	}
}

// mixUp puts a disk of another cluster, which was made with the same name, into a place; what was there is taken away.
func (w *world) mixUp(s *state) {
	for i := 0; i < w.places && s.budget[fForeign] > 0; i++ {
		free := slices.IndexFunc(s.disks[:], func(k disk) bool { return k.loc == 0 })
		if free < 0 {
			return
		}
		n := w.spend(s, fForeign)
		if d := n.at(i); d >= 0 {
			w.podGone(n, i)
			w.ruin(n, d)
			n.disks[d].loc = shelf
		}
		n.disks[free] = disk{loc: uint8(i + 1), name: uint8(i + 1), cid: foreign, form: 2, group: 2, ver: 1, view: bit(w.places) - 1}
		if !w.env.newID { // derived from the name, so it is the same
			n.disks[free].cid = 1
		}
		w.done(n, eForeign, i, i, 0)
	}
}

// underWay is 1 while a change of the members is decided or begun, or one of them isn't current, or there are too few to miss one.
func (w *world) underWay(s *state) uint8 {
	lead := w.leader(s)
	if lead < 0 {
		return 1
	}
	l := s.disks[s.at(lead)]
	have := 0 // one is missed already: the one that never comes up
	for i := range w.places {
		if d := s.up(i); d >= 0 && l.view&s.disks[d].self() != 0 && s.disks[d].ver == l.ver {
			have++
		}
	}
	if have < count(l.view)-1 || count(l.view) < 3 || have < quorum(count(l.view)) {
		return 1
	}
	for n, q := range s.api.rec.names {
		if (q.phase == pMember) != (l.view&bit(n) != 0) || q.phase == pOrdered {
			return 1
		}
	}
	for o := range s.drivers {
		if s.drivers[o].act.kind != 0 || s.drivers[o].frozen != 0 {
			return 1
		}
	}
	return 0
}

// users change the wish, the size by hand, delete the record, or declare a disk dead.
func (w *world) users(s *state) {
	if s.budget[fSpec] > 0 {
		for _, v := range w.specs {
			if v == s.api.spec {
				continue
			}
			n := w.spend(s, fSpec)
			n.api.spec = v
			if v == 0 {
				n.api.known = 0
			}
			n.apiWritten() // the wish and the size have one version
			w.done(n, eSpec, int(v), 0, 0)
		}
	}
	if s.budget[fStray] > 0 {
		for _, v := range []uint8{0, 1, uint8(w.places)} {
			if v != s.api.size {
				n := w.spend(s, fStray)
				n.api.size = v
				n.apiWritten()
				w.done(n, eStray, int(v), 0, 0)
			}
		}
	}
	if s.budget[fRecdel] > 0 && s.api.rec.exists == 1 {
		n := w.spend(s, fRecdel)
		n.api.rec = recordState{}
		n.recLost = 1
		n.recordWritten()
		w.done(n, eRecdel, 0, 0, 0)
	}
	for name, q := range s.api.rec.names {
		if s.budget[fOldRec] > 0 && q.phase != pNone && q.kind != kFound {
			n := w.spend(s, fOldRec)
			n.api.rec.names[name] = nameRec{}
			n.recLost = 1
			n.recordWritten()
			w.done(n, eOldRec, name, 0, 0)
		}
	}
	if s.budget[fDead] == 0 {
		return
	}
	for name, q := range s.api.rec.names {
		if q.phase == pNone || q.phase == pRemoved || s.api.dead&bit(name) != 0 {
			continue
		}
		n := w.spend(s, fDead)
		n.api.dead |= bit(name)
		if w.lives(s, name) {
			n.wrong = 1
		}
		w.done(n, eDead, name, int(n.wrong), 0)
	}
}

// lives tells whether a name's disk can still come up somewhere by itself.
func (w *world) lives(s *state, name int) bool {
	for d := range s.disks {
		k := &s.disks[d]
		if k.alien() {
			continue
		}
		ordered := k.name == 0 && int(s.api.rec.names[name].disk) == d+1
		if k.loc != 0 && k.loc != shelf && (ordered || int(k.name) == name+1) && s.hang&(1<<(k.loc-1)) == 0 {
			return true
		}
	}
	return false
}
