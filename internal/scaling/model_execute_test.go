// SPDX-License-Identifier: Apache-2.0

package scaling

import "slices"

// From Next's step to an action, and the action carried out; between the two anything may happen, the driver's death included.

func (w *world) translate(v *sight, step Step) action {
	switch step.Action {
	case WriteRecord:
		return w.translateRecord(v, step.Record)
	case WriteKnownID:
		return action{kind: aKnown, a: v.rec.cid}
	case Resize:
		return action{kind: aSize, a: uint8(step.Size)}
	case SendOrder:
		return w.translateOrder(v, step.Order)
	case RemovePeer:
		return action{kind: aRemove, a: w.words.nameNo[step.Name]}
	case MoveReplica:
		return action{kind: aMove, a: w.words.nameNo[step.Name], b: w.words.nameNo[step.To], c: streamNo(step.Stream)}
	case SetReplicas:
		return action{kind: aReplicas, a: uint8(step.Replicas), c: streamNo(step.Stream)}
	case MoveLeader:
		a := action{kind: aLead, b: w.words.nameNo[step.To], c: 2}
		if step.Stream != (StreamRef{}) {
			a.c = streamNo(step.Stream)
		}
		return a
	case DeleteVolume:
		return action{kind: aDelete, a: uint8(step.Place), b: w.words.diskNo[step.Volume]}
	}
	return action{}
}

func streamNo(r StreamRef) uint8 { return r.Name[len(r.Name)-1] - '1' }

func (w *world) translateOrder(v *sight, o Order) action {
	x := order{name: w.words.nameNo[o.Name], disk: w.words.diskNo[o.DiskID], cid: v.rec.cid}
	if o.Old != "" {
		x.old = w.words.nameNo[o.Old] + 1
	}
	if o.KeepMark {
		x.keep = 1
	}
	switch o.Kind {
	case "leave":
		return action{kind: aTell, a: 1, order: x}
	case "retire":
		return action{kind: aTell, a: 2, order: x}
	case "resume":
		x.kind = kResume
	default:
		x.kind = uint8(slices.Index(kinds[:], Kind(o.Kind)))
	}
	return action{kind: aSend, order: x}
}

// translateRecord finds the one thing that is changed.
func (w *world) translateRecord(v *sight, rec *Record) action {
	var doom uint8
	for _, uid := range rec.Doomed {
		doom |= 1 << (w.words.diskNo[uid] - 1)
	}
	if fresh := doom &^ v.rec.doom; fresh != 0 {
		for d := range maxDisks {
			if fresh == 1<<uint(d) {
				return action{kind: aDoom, b: uint8(d + 1)}
			}
		}
	}
	a := action{kind: aRecord}
	if v.rec.exists == 0 {
		a.kind = aCreate
	}
	for name, q := range rec.Names {
		n, known := w.words.nameNo[name]
		if !known {
			return action{kind: aNoNames}
		}
		r := nameRec{phase: uint8(slices.Index(phases[:], q.Phase)), disk: w.words.diskNo[q.DiskID], place: uint8(q.Place)}
		if q.Kind != "" {
			r.kind = uint8(slices.Index(kinds[:], q.Kind))
		}
		if q.Old != "" {
			r.old = w.words.nameNo[q.Old] + 1
		}
		if r != v.rec.names[n] {
			a.a, a.name = n, r
			return a
		}
	}
	panic("scaling wrote a record without a change")
}

// execute carries out what driver o has decided.
func (w *world) execute(s *state, o int) {
	a := s.drivers[o].act
	n := w.copy(s)
	n.drivers[o].act = action{}
	switch a.kind {
	case aReplicas, aLead, aMove, aRemove:
		w.undo()
		w.administer(s, o, a)
		return
	}
	if !w.write(n, a) {
		w.undo()
		return
	}
	w.done(n, eDoes, o, int(a.kind), a.what())
}

// write is what goes to the API server and to nodes.
func (w *world) write(n *state, a action) bool {
	switch a.kind {
	case aCreate:
		if n.api.rec.exists == 1 || a.name.disk == gone {
			return false
		}
		n.nextCid++
		n.api.rec = recordState{exists: 1, cid: n.nextCid}
		if !w.env.newID {
			n.api.rec.cid = 1
		}
		n.api.rec.names[a.a] = a.name
		n.recordWritten()
	case aRecord, aDoom:
		if w.env.recVersion && (a.staleRec != 0 || n.api.rec.exists == 0) {
			return false
		}
		if !w.env.recVersion {
			n.api.rec = a.rec // the last one wins
			n.api.rec.exists = 1
		}
		if a.kind == aRecord {
			n.api.rec.names[a.a] = a.name
		} else if a.b != gone {
			n.api.rec.doom |= 1 << (a.b - 1)
		}
		n.recordWritten()
	case aKnown:
		if n.api.known != 0 || n.api.spec == 0 || a.staleAPI != 0 {
			return false
		}
		n.api.known = a.a
	case aSize:
		if a.a == n.api.size || a.a < n.api.size && w.env.sizeCheck && a.staleAPI != 0 {
			return false
		}
		n.stops(int(a.a))
		for i := n.api.size; i < a.a; i++ {
			n.unasked |= a.b << i
		}
		n.api.size = a.a
		n.apiWritten()
	case aSend:
		return a.staleN == 0 && a.order.disk != gone && w.send(n, a.order)
	case aTell:
		return w.tell(n, a)
	case aDelete:
		return w.deleteVolume(n, a)
	}
	return true
}

// stops judges a step that sets the size: what the wish keeps is not to be stopped.
func (s *state) stops(size int) {
	for i := size; i < int(min(s.api.size, s.api.spec)); i++ {
		if d := s.up(i); d >= 0 && s.disks[d].name != 0 {
			s.broken = 6
		}
	}
}

// send puts an order on its way: it may arrive late, or twice.
func (w *world) send(n *state, x order) bool {
	k := 0
	for k < maxFlight && n.flight[k].kind != 0 {
		if n.flight[k] == x {
			return false
		}
		k++
	}
	if k == maxFlight {
		copy(n.flight[:], n.flight[1:])
		k--
	}
	n.flight[k] = x
	for ; k > 0 && n.flight[k].before(n.flight[k-1]); k-- {
		n.flight[k], n.flight[k-1] = n.flight[k-1], n.flight[k]
	}
	return true
}

func (x order) before(y order) bool {
	if x.disk != y.disk {
		return x.disk < y.disk
	}
	if x.name != y.name {
		return x.name < y.name
	}
	return x.kind < y.kind || x.kind == y.kind && x.keep < y.keep
}

// tell marks a disk, at once.
func (w *world) tell(n *state, a action) bool {
	for i := range w.places {
		d := n.at(i)
		if d < 0 || d+1 != int(a.order.disk) {
			continue
		}
		k := &n.disks[d]
		if k.name != a.order.name+1 || k.cid != a.order.cid || n.places[i].phase == down || n.places[i].exists == 0 || a.staleN != 0 || k.mark >= a.a {
			return false
		}
		k.mark = a.a
		if a.a == 2 {
			n.places[i].phase, n.places[i].off = waits, 0
		}
		w.newNonce(n, d)
		return true
	}
	return false
}

// deleteVolume also ends the pod that holds it, for until then the volume stays.
func (w *world) deleteVolume(n *state, a action) bool {
	d := n.at(int(a.a))
	if d < 0 || w.rules.discard && d+1 != int(a.b) {
		return false
	}
	if n.places[a.a].exists == 1 {
		w.podGone(n, int(a.a))
	}
	w.forget(n, d)
	n.disks[d] = disk{}
	return true
}

// what is the part of an action that a story tells.
func (a action) what() int {
	switch a.kind {
	case aSend:
		return int(a.order.kind)
	case aRecord:
		return int(a.name.phase)<<4 | int(a.a)
	}
	return int(a.a)
}
