// SPDX-License-Identifier: Apache-2.0

package scaling

import (
	"fmt"
	"hash/maphash"
	"time"
)

// From the model's state to what Next gets, and from its step to an action. Deciding is remembered by what was observed, for the same
// few thousand observations come again and again.

// Kinds of actions.
const (
	aCreate = 1 + iota
	aRecord
	aDoom
	aKnown
	aSize
	aSend
	aTell
	aRemove
	aMove
	aReplicas
	aLead
	aDelete
	aNoNames // the model has no more names: this way is not followed
)

var phases = [...]Phase{pOrdered: Ordered, pMember: Member, pLeaving: Leaving, pRemoved: Removed, pRemoving: Removing, pVoid: Void}
var kinds = [...]Kind{kFound: Found, kJoin: Join, kWipe: WipeAndJoin}
var marks = [...]string{"", "leaving", "retired"}

var moment = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// words are the strings of the model, made once.
type words struct {
	names   [maxNames]string
	disks   [256]string
	volumes [maxDisks]string
	cids    [256]string
	nameNo  map[string]uint8
	diskNo  map[string]uint8
}

func newWords(places int) *words {
	v := &words{nameNo: map[string]uint8{}, diskNo: map[string]uint8{"": 0}}
	for n := range v.names {
		v.names[n] = fmt.Sprintf("c-%d-%d", n%places, n/places)
		v.nameNo[v.names[n]] = uint8(n)
	}
	for d := 1; d < 256; d++ {
		v.disks[d] = fmt.Sprint("disk", d)
		v.cids[d] = fmt.Sprint("id", d)
		v.diskNo[v.disks[d]] = uint8(d)
	}
	for d := range v.volumes {
		v.volumes[d] = fmt.Sprint("volume", d+1)
		v.diskNo[v.volumes[d]] = uint8(d + 1)
	}
	return v
}

// sight is all that decides, flat.
type sight struct {
	rec               recordState
	spec, size, known uint8
	quiet, policy     uint8
	dead              uint16
	nodes             [maxPlaces]nodeSight
	led               uint8
	leader            uint8
	members, current  uint16
	late              uint16 // names whose phase is too fresh: an action under way may still concern them
	streams           [2]streamSight
}

type nodeSight struct {
	started, disk, answers, phase, off, name, mark, aside, intent, cid uint8
	view                                                               uint16
}

type streamSight struct {
	peers, inSync   uint16
	replicas, leads uint8
}

// see is an observation through the cache of driver o; blind places don't answer it.
func (w *world) see(s *state, o int, blind uint8) (v sight, staleRec, staleAPI uint8) {
	from := s.api
	if c := &s.drivers[o]; c.frozen != 0 {
		if c.frozen&1 != 0 {
			from.rec, staleRec = c.cache.rec, c.staleRec
		}
		if c.frozen&2 != 0 {
			from.spec, from.size, from.known, from.dead, staleAPI = c.cache.spec, c.cache.size, c.cache.known, c.cache.dead, c.staleAPI
		}
	}
	v.rec, v.spec, v.size, v.known, v.dead, v.policy = from.rec, from.spec, from.size, from.known, from.dead, s.doomPol
	for i := range w.places {
		v.nodes[i] = s.seeNode(i, blind)
	}
	w.seeMeta(s, &v)
	for x := range w.streams {
		t := &v.streams[x]
		t.peers, t.replicas = s.peers[x], s.reps[x]
		t.leads = uint8(w.streamLeader(s, x) + 1)
		_, side := w.streamUp(s, x)
		for i := range w.places {
			if d := s.up(i); d >= 0 && s.joined(side, i) && s.disks[d].data[x] == newest && s.peers[x]&s.disks[d].self() != 0 {
				t.inSync |= s.disks[d].self()
			}
		}
	}
	for i := range s.drivers {
		switch a := &s.drivers[i].act; a.kind {
		case aRemove:
			v.late |= bit(int(a.a))
		case aReplicas:
			v.late = 1<<maxNames - 1
		}
	}
	return v, staleRec, staleAPI
}

func (s *state) seeNode(i int, blind uint8) (v nodeSight) {
	p := &s.places[i]
	v.started = p.exists
	d := s.at(i)
	if d < 0 {
		return v
	}
	v.disk = uint8(d + 1)
	if p.exists == 0 || p.phase == down || p.phase == wiping || blind&(1<<uint(i)) != 0 {
		return v
	}
	k := &s.disks[d]
	v.answers, v.phase, v.off = 1, p.phase, p.off
	v.name, v.mark, v.aside, v.intent, v.cid = k.name, k.mark, k.aside, k.intent, k.cid
	if p.phase == runs && k.ver > 0 {
		v.view = k.view
	}
	return v
}

func (w *world) seeMeta(s *state, v *sight) {
	lead := w.leader(s)
	if !w.env.quorumWord && s.stale != 0 && s.up(int(s.stale)-1) >= 0 {
		lead = int(s.stale) - 1
	}
	if lead < 0 {
		return
	}
	l := &s.disks[s.at(lead)]
	v.led, v.leader, v.members = 1, l.name, l.view
	for i := range w.places {
		d := s.up(i)
		if d < 0 || !s.joined(lead, i) && int(s.stale) != lead+1 {
			continue
		}
		k := &s.disks[d]
		if k.cid == l.cid && k.group == l.group && k.ver == l.ver && l.view&k.self() != 0 {
			v.current |= k.self()
		}
	}
}

// decide is what driver o does next on what it sees. kind 0: nothing.
func (w *world) decide(s *state, o int, blind uint8) action {
	v, staleRec, staleAPI := w.see(s, o, blind)
	a := w.remembered(&v)
	if a.kind == 0 || a.kind == aNoNames {
		return a
	}
	if w.env.liveRead && (staleRec != 0 || staleAPI != 0) {
		switch a.kind { // before what isn't an API write with a version, it reads again and finds that it was mistaken
		case aSend, aTell, aRemove, aMove, aReplicas, aLead, aDelete:
			return action{}
		}
	}
	a.staleRec, a.staleAPI = staleRec, staleAPI
	if a.kind == aSize && v.rec.exists == 0 {
		a.b = v.unasked(a.a)
	}
	if !w.env.recVersion {
		switch a.kind {
		case aCreate, aRecord, aDoom:
			a.rec = v.rec
		}
	}
	return a
}

// unasked is 1 where several places are started without a record, and it isn't known that those that run are all virgin.
func (v *sight) unasked(size uint8) uint8 {
	asked := size <= 1
	for _, n := range v.nodes {
		switch {
		case n.started == 1 && (n.answers == 0 || n.name != 0):
			return 1
		case n.started == 1:
			asked = true
		}
	}
	if asked {
		return 0
	}
	return 1
}

const cacheBits = 16

type remembered struct {
	key uint64
	act action
}

func (w *world) remembered(v *sight) action {
	h := maphash.Bytes(w.seed, raw(v)) | 1
	slot := &w.cache[h>>(64-cacheBits)]
	if slot.key != h {
		slot.key, slot.act = h, w.translate(v, w.ask(v))
	}
	return slot.act
}

// ask puts what is seen into words and asks Next.
func (w *world) ask(v *sight) Step {
	rec, seen := w.describe(v)
	want := Desired{Name: "c", Replicas: int(v.spec), DeleteDisks: v.policy == 1}
	for n := range maxNames {
		if v.dead&bit(n) != 0 {
			want.Dead = append(want.Dead, w.words.names[n])
		}
	}
	return next(w.rules, rec, want, seen)
}

func (w *world) describe(v *sight) (*Record, Observed) {
	seen := Observed{Now: moment, Size: int(v.size)}
	if v.quiet != 0 {
		seen.Quiet = time.Hour
	}
	if v.known != 0 {
		seen.KnownID = w.words.cids[v.known]
	}
	for i := range w.places {
		seen.Places = append(seen.Places, w.describePlace(&v.nodes[i]))
	}
	if v.led != 0 {
		seen.Meta = &Group{Leader: w.words.names[v.leader-1], Peers: w.peers(v.members, v.current)}
	}
	for x := range w.streams {
		t := &v.streams[x]
		st := Stream{Account: "A", Name: fmt.Sprint("stream", x+1), Replicas: int(t.replicas), Peers: w.peers(t.peers, t.inSync)}
		if t.leads != 0 {
			st.Leader = w.words.names[t.leads-1]
		}
		seen.Streams = append(seen.Streams, st)
	}
	if v.rec.exists == 0 {
		return nil, seen
	}
	rec := &Record{ClusterID: w.words.cids[v.rec.cid], Names: map[string]Name{}}
	for n, q := range v.rec.names {
		if q.phase == pNone {
			continue
		}
		r := Name{Phase: phases[q.phase], Place: int(q.place), DiskID: w.words.disks[q.disk], Kind: kinds[q.kind], Since: moment.Add(-time.Hour)}
		if q.old != 0 {
			r.Old = w.words.names[q.old-1]
		}
		if v.late&bit(n) != 0 {
			r.Since = moment
		}
		rec.Names[w.words.names[n]] = r
	}
	for d := range maxDisks {
		if v.rec.doom&(1<<uint(d)) != 0 {
			rec.Doomed = append(rec.Doomed, w.words.volumes[d])
		}
	}
	return rec, seen
}

func (w *world) describePlace(v *nodeSight) Place {
	p := Place{Started: v.started == 1}
	if v.disk != 0 {
		p.Volume = w.words.volumes[v.disk-1]
	}
	if v.answers == 0 {
		return p
	}
	p.Node = &Node{Running: v.phase == runs, Waiting: v.phase == waits, DiskID: w.words.disks[v.disk], Nonce: "n", Mark: marks[v.mark],
		Journal: v.intent != 0, Aside: v.aside != 0, Off: v.off != 0}
	if v.name != 0 {
		p.Node.Name, p.Node.ClusterID = w.words.names[v.name-1], w.words.cids[v.cid]
	}
	for n := range maxNames {
		if v.view&bit(n) != 0 {
			p.Node.Members = append(p.Node.Members, w.words.names[n])
		}
	}
	return p
}

func (w *world) peers(all, current uint16) (ps []Peer) {
	for n := range maxNames {
		if all&bit(n) != 0 {
			ps = append(ps, Peer{Name: w.words.names[n], Current: current&bit(n) != 0})
		}
	}
	return ps
}
