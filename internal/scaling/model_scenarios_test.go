// SPDX-License-Identifier: Apache-2.0

package scaling

// budget says how many of each fault and event a scenario allows.
type budget map[int]uint8

// scenario is a beginning and what may happen in it. Every order of what may happen is explored.
type scenario struct {
	name    string
	places  int
	streams int
	formed  uint8   // size at the beginning, 0: nothing there yet
	spec    uint8   // wished at the beginning, when nothing is there
	specs   []uint8 // what users may wish
	policy  uint8   // 1: volumes of leavers are deleted
	allow   budget
	weight  int // share of the time
}

var scenarios = []scenario{
	{"form1", 3, 1, 0, 1, []uint8{1, 3}, 0, budget{fKill: 2, fDestroy: 1, fSpec: 1, fFreeze: 1}, 1},
	{"form3", 3, 1, 0, 3, []uint8{1, 3}, 0, budget{fKill: 1, fDestroy: 1, fSpec: 1}, 2},
	{"form3-ops", 3, 1, 0, 3, []uint8{1, 3}, 0, budget{fOverlap: 2, fFreeze: 1, fShelve: 1, fUnshelve: 1}, 2},
	{"cycle", 3, 1, 1, 1, []uint8{1, 3}, 0, budget{fSpec: 3, fKill: 1}, 1},
	{"cycle-ops", 3, 1, 1, 1, []uint8{1, 3}, 0, budget{fSpec: 2, fOverlap: 1, fFreeze: 1}, 1},
	{"down-ops", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fSpec: 2, fOverlap: 1, fFreeze: 1}, 1},
	{"down-kill", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fSpec: 2, fKill: 2}, 2},
	{"down-lost", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fSpec: 1, fKill: 1, fDestroy: 1}, 2},
	{"lost2", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fDestroy: 2, fKill: 1}, 1},
	{"stray", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fSpec: 2, fStray: 2, fKill: 1}, 2},
	{"shelf", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fShelve: 1, fUnshelve: 1, fKill: 1, fSpec: 1}, 2},
	{"shelf2", 3, 1, 3, 3, []uint8{3}, 0, budget{fShelve: 2, fUnshelve: 2, fKill: 1}, 2},
	{"swap", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fSwap: 1, fSpec: 2, fKill: 1}, 2},
	{"delete", 3, 1, 3, 3, []uint8{0, 1, 3}, 0, budget{fSpec: 3, fKill: 1}, 2},
	{"recdel", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fRecdel: 1, fDestroy: 1, fSpec: 1, fStray: 1}, 1},
	{"recdel-form", 3, 1, 0, 3, []uint8{1, 3}, 0, budget{fRecdel: 1, fKill: 1, fOverlap: 1, fFreeze: 1}, 2},
	{"pvc", 3, 1, 3, 3, []uint8{1, 3}, 1, budget{fSpec: 2, fOverlap: 1, fFreeze: 1}, 1},
	{"pvc-kill", 3, 1, 3, 3, []uint8{1, 3}, 1, budget{fSpec: 2, fKill: 1, fDestroy: 1}, 2},
	{"mix", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fSpec: 2, fKill: 1, fDestroy: 1, fOverlap: 1, fFreeze: 1}, 2},
	{"stray-ops", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fSpec: 2, fStray: 1, fKill: 1, fOverlap: 1}, 2},
	{"delete-lost", 3, 1, 3, 3, []uint8{0, 1, 3}, 0, budget{fSpec: 2, fDestroy: 1, fShelve: 1, fUnshelve: 1}, 2},
	{"recdel-old", 3, 1, 1, 1, []uint8{1, 3}, 0, budget{fSpec: 1, fRecdel: 1, fShelve: 1, fUnshelve: 1, fKill: 1}, 1},
	{"wipe-replay", 3, 1, 3, 3, []uint8{3}, 0, budget{fShelve: 1, fUnshelve: 1, fKill: 2}, 2},
	{"pvc-ops", 3, 1, 3, 3, []uint8{1, 3}, 1, budget{fSpec: 2, fOverlap: 1, fDestroy: 1}, 2},
	{"five", 5, 1, 3, 3, []uint8{1, 3, 5}, 0, budget{fSpec: 2, fKill: 1}, 2},
	{"five-lost", 5, 1, 5, 5, []uint8{3, 5}, 0, budget{fSpec: 1, fDestroy: 1, fKill: 1}, 2},

	{"cut", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fCut: 1, fSpec: 1, fKill: 1, fDestroy: 1}, 2},
	{"cut-ops", 3, 1, 1, 1, []uint8{1, 3}, 0, budget{fCut: 2, fSpec: 2, fOverlap: 1}, 2},
	{"blind", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fBlind: 2, fSpec: 1, fDestroy: 1, fKill: 1}, 2},
	{"blind-form", 3, 1, 0, 3, []uint8{1, 3}, 0, budget{fBlind: 2, fShelve: 1, fUnshelve: 1}, 2},
	{"two-streams", 3, 2, 3, 3, []uint8{1, 3}, 0, budget{fSpec: 2, fKill: 1}, 2},
	{"two-streams-lost", 3, 2, 3, 3, []uint8{1, 3}, 0, budget{fSpec: 1, fDestroy: 1, fShelve: 1, fUnshelve: 1}, 2},
	{"hang", 3, 1, 1, 1, []uint8{1, 3}, 0, budget{fHang: 1, fSpec: 2, fKill: 1}, 2},
	{"hang-declared", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fHang: 1, fKill: 1, fDead: 1, fSpec: 1}, 2},
	{"no-evacuation", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fNoEvac: 1, fSpec: 2, fKill: 1}, 2},
	{"declared", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fDead: 2, fShelve: 1, fUnshelve: 1, fDestroy: 1}, 2},
	{"recdel-delete", 3, 1, 3, 3, []uint8{0, 3}, 0, budget{fRecdel: 1, fSpec: 2, fDestroy: 1}, 1},
	{"old-record", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fOldRec: 1, fSpec: 1, fKill: 1}, 1},
	{"down-lost2", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fSpec: 1, fKill: 1, fDestroy: 2}, 2},
	{"late", 3, 1, 1, 1, []uint8{1, 3}, 0, budget{fSpec: 2, fOverlap: 3}, 2},
	{"late-kill", 3, 1, 1, 1, []uint8{1, 3}, 0, budget{fSpec: 2, fOverlap: 1, fKill: 1}, 1},
	{"swap-stray", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fSwap: 1, fStray: 1, fSpec: 1, fKill: 1}, 2},
	{"five-down", 5, 1, 5, 5, []uint8{3, 5}, 0, budget{fSpec: 1, fKill: 2}, 2},
}

// wilds allow so much that only walks at random get deep into them.
var wilds = []scenario{
	{"wild", 3, 1, 3, 3, []uint8{1, 3}, 0, budget{fSpec: 2, fKill: 2, fDestroy: 1, fShelve: 1, fUnshelve: 1, fSwap: 1, fStray: 1, fFreeze: 1, fOverlap: 2, fCut: 1, fBlind: 1}, 2},
	{"wild-streams", 3, 2, 1, 1, []uint8{1, 3}, 0, budget{fSpec: 3, fKill: 2, fDestroy: 1, fShelve: 1, fUnshelve: 1, fStray: 1, fOverlap: 3, fCut: 1}, 2},
	{"wild-delete", 3, 1, 3, 3, []uint8{0, 1, 3}, 1, budget{fSpec: 3, fKill: 2, fDestroy: 1, fRecdel: 1, fShelve: 1, fUnshelve: 1, fFreeze: 1, fOverlap: 2}, 2},
	{"wild-five", 5, 1, 3, 3, []uint8{1, 3, 5}, 0, budget{fSpec: 3, fKill: 2, fDestroy: 1, fSwap: 1, fOverlap: 2, fCut: 1}, 2},
}
