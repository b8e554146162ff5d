// SPDX-License-Identifier: Apache-2.0

package scaling

import (
	"fmt"
	"slices"
	"strings"
)

// Kinds of events.
const (
	eDoes = iota
	eDecides
	eDies
	eThaw
	ePod
	eBoot
	eWiped
	eOrder
	eBan
	eHeal
	eAdd
	eSync
	eData
	eFill
	eWrite
	eKill
	eDestroy
	eShelve
	eUnshelve
	eSwap
	eSpec
	eStray
	eRecdel
	eFreeze
	eCut
	eHang
	eNoEvac
	eDead
	eOldRec
	eFails
	eMount
	eForeign
)

// story tells the way to a state, event by event.
func (w *world) story(from state, v verdict) string {
	var way []int
	for i := v.at; i != 0; i = int(w.parents[i]) {
		way = append(way, i)
	}
	slices.Reverse(way)
	var b strings.Builder
	n0 := w.tellWay(&b, &from)
	s := from
	for k, to := range way {
		for _, n := range w.successors(&s) {
			if w.hash(&n.state) == w.hashes[to] {
				fmt.Fprintf(&b, "  %2d. %s\n", n0+k+1, w.tellEvent(n.by))
				s = n.state
				break
			}
		}
	}
	fmt.Fprintf(&b, "  at last:  %s\n", w.show(&s))
	w.ending(&b, &s)
	fmt.Fprintf(&b, "  promise %d is broken: %s\n", v.promise, v.words)
	return b.String()
}

// ending tells what happens from a state on by itself, its beginning and its end.
func (w *world) ending(b *strings.Builder, s *state) {
	const most = 12
	if promise, _ := w.broken(s); promise != 0 {
		return
	}
	var lines []string
	w.trace = func(line string) { lines = append(lines, line) }
	w.good = newHashes()
	w.settle(s)
	w.trace = nil
	for k, line := range lines {
		switch {
		case len(lines) <= 2*most || k < most || k >= len(lines)-most:
			fmt.Fprintf(b, "  then %s\n", line)
		case k == most:
			fmt.Fprintf(b, "  and so on, %d times\n", len(lines)-2*most)
		}
	}
}

func (w *world) tellEvent(e event) string {
	x, y, z := int(e.x), int(e.y), int(e.z)
	who := fmt.Sprintf("driver %d", x+1)
	switch e.kind {
	case eDoes:
		return who + " does: " + w.tellAction(y, z)
	case eDecides:
		return who + " decides: " + w.tellAction(y, z)
	case eFails:
		return who + " fails"
	case eMount:
		return "the mounted record is up to date"
	case eDies:
		return who + " dies before it acts"
	case eThaw:
		return who + "'s cache is fresh again"
	case eOldRec:
		return "FAULT: the record is restored from a copy that does not know " + w.words.names[x]
	case eFreeze:
		return who + "'s cache of " + []string{"", "the record", "the wish and the size", "everything"}[y] + " stands still from now on"
	case ePod:
		return fmt.Sprintf("place %d %s", x, []string{"is stopped", "is started"}[y])
	case eBoot:
		return fmt.Sprintf("the node at place %d boots from disk %d: %s", x, z+1, []string{"", "it waits for an order", "NATS runs"}[y])
	case eWiped:
		return fmt.Sprintf("the node at place %d writes its new identity", x)
	case eOrder:
		return fmt.Sprintf("the node at place %d takes the order %s as %s", x, tellKind(y), w.words.names[z])
	case eWrite:
		return fmt.Sprintf("a write to stream %d is acknowledged", x+1)
	case eBan:
		return "NATS forgets the names it banned"
	}
	return w.tellFault(e.kind, x, y, z)
}

func (w *world) tellFault(kind uint8, x, y, z int) string {
	switch kind {
	case eHeal:
		return fmt.Sprintf("place %d is reached again", x)
	case eAdd:
		return fmt.Sprintf("the meta leader adds %s (place %d)", w.words.names[y], x)
	case eSync:
		return fmt.Sprintf("%s has caught up with the meta group", w.words.names[y])
	case eData:
		return fmt.Sprintf("%s has all of stream %d", w.words.names[y], z+1)
	case eFill:
		return fmt.Sprintf("JetStream gives stream %d a replica on %s", z+1, w.words.names[y])
	case eKill:
		return fmt.Sprintf("FAULT: the process at place %d is killed%s", x, []string{"", ", its mounted record is up to date"}[y])
	case eDestroy:
		return fmt.Sprintf("FAULT: disk %d at place %d is destroyed", y+1, x)
	case eShelve:
		return fmt.Sprintf("FAULT: disk %d is taken away from place %d, and kept", y+1, x)
	case eUnshelve:
		return fmt.Sprintf("FAULT: disk %d comes back, at place %d", y+1, x)
	case eSwap:
		return fmt.Sprintf("FAULT: the disks of places %d and %d are exchanged", x, y)
	case eSpec:
		return fmt.Sprintf("USER: replicas = %d", x)
	case eStray:
		return fmt.Sprintf("FAULT: somebody sets the size to %d", x)
	case eRecdel:
		return "FAULT: the record is deleted"
	case eCut:
		return fmt.Sprintf("FAULT: the network cuts place %d off from the others", x)
	case eForeign:
		return fmt.Sprintf("FAULT: a disk of another cluster of the same name, %s, is put in place %d", w.words.names[y], x)
	case eHang:
		return fmt.Sprintf("FAULT: place %d never comes up from now on", x)
	case eNoEvac:
		return "FAULT: moving replicas fails from now on"
	case eDead:
		return fmt.Sprintf("USER: declares %s dead, %s", w.words.names[x], []string{"which it is", "which is wrong"}[y])
	}
	return fmt.Sprint("event ", kind)
}

func tellKind(kind int) string { return []string{"", "found", "join", "wipe-and-join", "resume"}[kind] }

var phaseWords = []string{"nothing", "ordered", "member", "leaving", "removed", "removing", "void"}

func (w *world) tellAction(kind, what int) string {
	switch kind {
	case aCreate:
		return "create the record"
	case aRecord:
		return fmt.Sprintf("record %s as %s", w.words.names[what&15], phaseWords[what>>4])
	case aDoom:
		return "record a volume for deletion"
	case aKnown:
		return "write the cluster id beside the record"
	case aSize:
		return fmt.Sprint("set the size to ", what)
	case aSend:
		return "send the order " + tellKind(what)
	case aTell:
		return "mark a disk as " + marks[what]
	case aRemove:
		return "REMOVE " + w.words.names[what]
	case aMove:
		return "move a replica off " + w.words.names[what]
	case aReplicas:
		return fmt.Sprint("set a stream's replicas to ", what)
	case aLead:
		return "move a leader"
	case aDelete:
		return fmt.Sprint("delete the volume at place ", what)
	}
	return fmt.Sprint("action ", kind)
}

// show is a state in one line.
func (w *world) show(s *state) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d wished, %d started", s.api.spec, s.api.size)
	for i := range w.places {
		fmt.Fprintf(&b, "; place %d ", i)
		d := s.at(i)
		switch {
		case s.places[i].exists == 0:
			b.WriteString("stopped")
		default:
			b.WriteString([]string{"down", "waits", "runs", "wiping"}[s.places[i].phase])
		}
		if d < 0 {
			continue
		}
		k := &s.disks[d]
		name := "empty"
		if k.name != 0 {
			name = w.words.names[k.name-1]
		}
		fmt.Fprintf(&b, " disk %d %s", d+1, name)
		if k.mark != 0 {
			b.WriteString(" " + marks[k.mark])
		}
		for x := range w.streams {
			b.WriteString([]string{" no data", " old data", " newest data"}[k.data[x]])
		}
	}
	b.WriteString("; record:")
	if s.api.rec.exists == 0 {
		b.WriteString(" none")
	}
	for n, q := range s.api.rec.names {
		if q.phase != pNone {
			fmt.Fprintf(&b, " %s=%s", w.words.names[n], phaseWords[q.phase])
		}
	}
	lead := w.leader(s)
	if lead >= 0 {
		fmt.Fprintf(&b, "; meta leader at %d lists", lead)
		for n := range maxNames {
			if s.disks[s.at(lead)].view&bit(n) != 0 {
				b.WriteString(" " + w.words.names[n])
			}
		}
	} else {
		b.WriteString("; no meta leader")
	}
	return b.String()
}
