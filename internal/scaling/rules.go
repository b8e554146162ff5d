// SPDX-License-Identifier: Apache-2.0

package scaling

// rules are the parts of the protocol that can be left out, to see by the model what each is there for. Production code has them
// all: Next knows no other way. What executors and nodes have to keep beside them is switched in the model's environment.
type rules struct {
	foundGuard  bool // found only when every volume is mounted and answers, live, that it is virgin
	known       bool // the cluster id is known beside the record before found is sent; with it and no record: no found
	askOrder    bool // without a record, nothing more is started once a node has answered with an identity
	cidCheck    bool // nothing is done while a node of another cluster id answers
	ghostKnown  bool // only names that the record has as removing or removed are removed
	retire      bool // leavers are marked before they are removed; removed ones that run are retired
	markWaiting bool // a waiting node is retired before it is removed, so that no late order starts it
	sizeByName  bool // as many places run as the names that may be members need
	removeGate  bool // removed only when all others are current and hold no data that is only there
	lowerSync   bool // replicas are lowered only when all of them are in sync
	noRefilling bool // before a peer is removed no stream lacks replicas, which JetStream would put on it
	lateRemove  bool // nothing is lowered while a peer is being removed: the removal may come late
	syncFirst   bool // a waiting peer is removed only when all other replicas are in sync
	recordFirst bool // leaving and removing are recorded before the first step that destroys
	refillFirst bool // places that stay are filled before a live member leaves
	deadFirst   bool // dead peers are removed before live ones leave
	waitRemove  bool // a removing node that waits is removed by the others' quorum, not resumed first
	resumeProof bool // a marked node is resumed only if no removal of it can have been committed
	takeBack    bool // removing is taken back for a sole member, when no action can be under way any more
	discard     bool // volumes are deleted by UID, recorded first; nothing joins on one of them
	neverCancel bool // an ordered name is completed, or voided on evidence; never withdrawn
	evidence    bool // a peer is dead only when its place answers live with another disk
	allAnswer   bool // a peer is dead only while every place that is started answers
	joinGate    bool // joins wait until all members are current
	oneByOne    bool // one ordered name at a time
	nameByDisk  bool // a name is where its disk answers now, wherever it was
	followMove  bool // the record follows a disk that answers at another place
	findDisk    bool // a leader is missing, and a place answers with another disk: every volume's place is started
	diskName    bool // a disk keeps the name it was given once, also when the order was withdrawn
	everyStream bool // what holds for one stream is asked of each
}

func allRules() rules {
	return rules{
		foundGuard: true, known: true, askOrder: true, cidCheck: true, ghostKnown: true, retire: true, markWaiting: true,
		sizeByName: true, removeGate: true, lowerSync: true, noRefilling: true, lateRemove: true, syncFirst: true, recordFirst: true, refillFirst: true,
		deadFirst: true, waitRemove: true, resumeProof: true, takeBack: true, discard: true, neverCancel: true,
		evidence: true, allAnswer: true, joinGate: true, oneByOne: true, nameByDisk: true, followMove: true,
		findDisk: true, diskName: true, everyStream: true,
	}
}
