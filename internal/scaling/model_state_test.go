// SPDX-License-Identifier: Apache-2.0

package scaling

import "math/bits"

// The model: Next, as it is, decides within an environment whose every order of events is explored. This file is the state of that
// environment; it is small and flat, for there are millions of them.

const (
	maxPlaces = 5
	maxDisks  = 7 // that exist at one time
	maxNames  = 16
	maxFlight = 6 // orders under way
)

// What a process does.
const (
	down = iota
	waits
	runs
	wiping // only without the rule atomicWipe: wiped, its new identity only in memory
)

// Phases of names in the record.
const (
	pNone = iota
	pOrdered
	pMember
	pLeaving
	pRemoved
	pRemoving
	pVoid
)

// Kinds of orders that start a node.
const (
	kFound = 1 + iota
	kJoin
	kWipe
	kResume
)

const (
	gone  = 255 // a disk id that no disk has any more
	shelf = 100 // where disks are that were taken away and kept
)

// What a disk has of a stream.
const (
	nothing = iota
	stale
	newest // the newest acknowledged write
)

type disk struct {
	loc    uint8 // 0: there is none; place+1, or shelf
	name   uint8 // name+1
	cid    uint8
	mark   uint8 // 1 leaving, 2 retired
	form   uint8 // 1 founding, 2 done
	intent uint8 // journal of wipe-and-join: the new name+1
	group  uint8 // meta group, by founding
	ver    uint8 // newest meta configuration known
	aside  uint8
	data   [3]uint8 // of each stream; the third is never used, it keeps the struct without padding
	view   uint16   // that configuration
}

type place struct {
	exists, phase, todo uint8
	off                 uint8  // removed while it ran: without JetStream until the process restarts
	mount               uint16 // names denied, as mounted
}

type nameRec struct{ phase, disk, kind, old, place uint8 }

type recordState struct {
	exists, cid, doom uint8 // doom: disks to be deleted
	names             [maxNames]nameRec
}

type order struct{ kind, name, disk, old, cid, keep uint8 }

// api is what drivers read and write with versions.
type api struct {
	dead              uint16 // names declared dead
	spec, size, known uint8
	rec               recordState
}

// action is decided and not yet carried out.
type action struct {
	kind, a, b, c              uint8
	staleRec, staleAPI, staleN uint8 // written meanwhile; or the node showed another nonce since
	name                       nameRec
	order                      order
	rec                        recordState // only where records are written without a version
}

type driver struct {
	cache              api
	frozen             uint8 // its cache stands still: 1 record, 2 the rest
	staleRec, staleAPI uint8
	act                action
}

type state struct {
	disks   [maxDisks]disk
	places  [maxPlaces]place
	api     api
	flight  [maxFlight]order
	drivers [2]driver
	peers   [2]uint16 // of each stream
	reps    [2]uint8  // configured replicas
	slead   [2]uint8  // stream leader, name+1; 0: the highest that can
	lead    uint8     // meta leader, place+1
	newVer  [3]uint8  // newest configuration of each meta group
	newView [3]uint16
	ban     uint16
	doomPol uint8 // volumes of leavers are deleted
	cut     uint8 // place+1 that is cut off from the others
	stale   uint8 // place+1 that was cut off as meta leader and still thinks so
	hang    uint8 // places whose process never comes up
	noEvac  uint8 // moving replicas fails
	nextCid uint8
	// What only the judge knows:
	broken  uint16   // number of a broken promise; as wide as this, it leaves the struct without padding
	removed uint16   // names ever removed from the meta group
	escaped uint16   // those that were cut off at that moment, and have run since
	held    [2]uint8 // disks that had the newest write of each stream, and those of them that were destroyed
	ruined  [2]uint8
	excused uint8 // more than half of those with the data were destroyed: nothing can be promised
	recLost uint8
	lost    uint8 // a disk was destroyed, taken away or exchanged by a fault
	taken   uint8 // a disk was destroyed or taken away by a fault
	wrong   uint8 // somebody declared a disk dead that lives
	unasked uint8 // places that were started without a record, and nobody was asked before
	busy    uint8 // something was under way when a place came up for the last time
	budget  [budgets]uint8
}

// Faults and events that a scenario allows so many of.
const (
	fKill = iota
	fDestroy
	fShelve
	fUnshelve
	fSwap
	fSpec
	fStray
	fRecdel
	fFreeze
	fOverlap
	fCut
	fBlind
	fHang
	fNoEvac
	fDead
	fOldRec
	fForeign
	budgets
)

// environ are the rules that nodes and executors keep; Next's own are in rules.
type environ struct {
	persistID  bool // a disk id is durable before it is told
	newID      bool // a record's cluster id is random, never derived
	deny       bool // removed names are mounted from the record, read at boot
	nonce      bool // orders answer to the nonce of one boot
	atomicWipe bool // wipe and new identity are one journaled step
	recVersion bool // the record is written against the version that was read
	sizeCheck  bool // the size is lowered only against the version that was read
	liveRead   bool // everything is read live before what isn't an API write
	quorumWord bool // the meta leader's word counts only with a quorum's
	leastLag   bool // JetStream keeps the replicas with the least lag when it lowers (it does; it is no rule of ours)
}

func allEnviron() environ {
	return environ{persistID: true, newID: true, deny: true, nonce: true, atomicWipe: true, recVersion: true, sizeCheck: true,
		liveRead: true, quorumWord: true, leastLag: true}
}

func bit(n int) uint16         { return 1 << uint(n) }
func count(x uint16) int       { return bits.OnesCount16(x) }
func (w *world) ord(n int) int { return n % w.places }

// at returns the disk in a place, -1 when there is none.
func (s *state) at(place int) int {
	for d := range s.disks {
		if int(s.disks[d].loc) == place+1 {
			return d
		}
	}
	return -1
}

// up returns the disk of a place where NATS runs, else -1.
func (s *state) up(place int) int {
	if s.places[place].exists == 1 && s.places[place].phase == runs {
		return s.at(place)
	}
	return -1
}

// foreign is the id of another cluster, made with the same name.
const foreign = 200

func (k *disk) alien() bool { return k.cid == foreign }

// self is the bit of a disk's name, none when it is of another cluster: its name is nobody's here.
func (k *disk) self() uint16 {
	if k.alien() {
		return 0
	}
	return bit(int(k.name) - 1)
}

// joined tells whether two places reach each other.
func (s *state) joined(i, j int) bool {
	return s.cut == 0 || i == j || int(s.cut) != i+1 && int(s.cut) != j+1
}

// nameUp returns the place where a name runs, -1 when nowhere.
func (w *world) nameUp(s *state, n int) int {
	for i := range w.places {
		if d := s.up(i); d >= 0 && int(s.disks[d].name) == n+1 && !s.disks[d].alien() {
			return i
		}
	}
	return -1
}

func (s *state) denied() (names uint16) {
	for n := range s.api.rec.names {
		if q := s.api.rec.names[n].phase; q == pRemoved || q == pRemoving {
			names |= bit(n)
		}
	}
	return names
}

// recordWritten makes what was read before stale.
func (s *state) recordWritten() {
	for o := range s.drivers {
		if s.drivers[o].frozen&1 != 0 {
			s.drivers[o].staleRec = 1
		}
		if s.drivers[o].act.kind != 0 {
			s.drivers[o].act.staleRec = 1
		}
	}
}

func (s *state) apiWritten() {
	for o := range s.drivers {
		if s.drivers[o].frozen&2 != 0 {
			s.drivers[o].staleAPI = 1
		}
		if s.drivers[o].act.kind != 0 {
			s.drivers[o].act.staleAPI = 1
		}
	}
}
