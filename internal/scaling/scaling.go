// SPDX-License-Identifier: Apache-2.0

// Package scaling decides how a cluster is formed, grown, shrunk and repaired. It is pure: what is recorded, wished and
// observed goes in, one step or a stated reason for waiting comes out. Whoever carries steps out may die after any of them.
package scaling

import "time"

// Phase is where a server name is in its life. A name never comes back once it is Removed.
type Phase string

const (
	// Ordered: the name is given to a disk, whose node is not yet seen as a member.
	Ordered Phase = "ordered"
	// Member: the meta leader has listed it as current.
	Member Phase = "member"
	// Leaving: it is being emptied; this can be taken back.
	Leaving Phase = "leaving"
	// Removing: it is being removed; this can't be taken back.
	Removing Phase = "removing"
	// Removed: it is out for good. The name is kept so that it is never given again.
	Removed Phase = "removed"
	// Void: the order was withdrawn on evidence. The name belongs to that disk for ever.
	Void Phase = "void"
)

// Kind is how a name was given to a disk.
type Kind string

const (
	// Found: the first name of a cluster.
	Found Kind = "found"
	// Join: given to an empty disk.
	Join Kind = "join"
	// WipeAndJoin: given to a disk whose server was removed before.
	WipeAndJoin Kind = "wipe-and-join"
)

// Name is what is recorded of one server name.
type Name struct {
	Phase Phase `json:"phase"`
	// Place is where its node was last seen: the ordinal of a pod, or the number of a node on a laptop.
	Place  int    `json:"place"`
	DiskID string `json:"diskID,omitempty"`
	Kind   Kind   `json:"kind,omitempty"`
	// Old is the server name that a wipe-and-join sets aside.
	Old string `json:"old,omitempty"`
	// Since is when the phase began.
	Since time.Time `json:"since"`
}

// Record is the identity record of a cluster: the one truth about which disk has which name.
type Record struct {
	// ClusterID is random, made when the record is created.
	ClusterID string          `json:"clusterID"`
	Names     map[string]Name `json:"names"`
	// Doomed are the UIDs of volumes that are to be deleted.
	Doomed []string `json:"doomed,omitempty"`
}

// Desired is what the user wishes.
type Desired struct {
	// Name is the prefix of server names: <Name>-<place>-<incarnation>.
	Name string
	// Replicas is the number of members: 1, 3 or 5. 0 means that the cluster is deleted (nodes stopped, disks kept).
	Replicas int
	// DeleteDisks lets volumes of places beyond Replicas be deleted. Default: they are kept.
	DeleteDisks bool
	// Dead are server names that a person declares lost with their disks.
	Dead []string
}

// Observed is what one pass has seen, all of it live.
type Observed struct {
	// Now is the time of the observation.
	Now time.Time
	// KnownID is the cluster id that is written down beside the record (the status of the UnibusCluster), empty when none is.
	KnownID string
	// Size is how many places are started (the size of the StatefulSet).
	Size int
	// Places are all places that have a volume or a node, indexed by number.
	Places []Place
	// Meta is the meta group as its leader tells it, confirmed by a quorum; nil when no leader answers.
	Meta *Group
	// Streams are all streams of all accounts as their leaders tell; meaningful only with Meta.
	Streams []Stream
}

// Place is one place for a node.
type Place struct {
	// Volume is the UID of the place's volume, empty when it has none.
	Volume string
	// Started is true when a pod or process exists there.
	Started bool
	// Node is what answers there, nil when nothing does.
	Node *Node
}

// Node is a node's own word.
type Node struct {
	// Running is true when NATS runs; otherwise the node waits for an order.
	Running bool
	// Waiting is true when the node takes orders that start it.
	Waiting   bool
	DiskID    string
	ClusterID string
	Name      string
	// Mark is empty, "leaving" or "retired".
	Mark    string
	Nonce   string
	Journal bool
	Aside   bool
	// Off is true when NATS runs but was removed from the meta group.
	Off bool
	// Members is the node's own view of the meta group, nil when it has none.
	Members []string
	// RouteURL is where its peers reach it.
	RouteURL string
}

// Group is the meta group.
type Group struct {
	Leader string
	Peers  []Peer
}

// Peer is a member of a Raft group, its leader included.
type Peer struct {
	Name string
	// Current is true when the peer is online and has everything; for streams two witnesses said so.
	Current bool
}

// Stream is one JetStream stream.
type Stream struct {
	Account  string
	Name     string
	Replicas int
	// Leader is empty when the stream has none.
	Leader string
	Peers  []Peer
}

// Action is the kind of a step.
type Action string

const (
	// Wait: nothing to do now; Step.Reason says why.
	Wait Action = "wait"
	// Done: what is wished is there.
	Done Action = "done"
	// WriteRecord: write Step.Record, created when there was none (the executor then makes the ClusterID), else updated
	// against the version that was read.
	WriteRecord Action = "write-record"
	// WriteKnownID: write the record's cluster id beside the record.
	WriteKnownID Action = "write-known-id"
	// Resize: start or stop places, so that Step.Size of them run.
	Resize Action = "resize"
	// SendOrder: send the order Step.Order to the node at Step.Place.
	SendOrder Action = "send-order"
	// RemovePeer: remove Step.Name from the meta group.
	RemovePeer Action = "remove-peer"
	// MoveReplica: move the replica of Step.Stream from Step.Name to Step.To (JetStream may choose another target).
	MoveReplica Action = "move-replica"
	// SetReplicas: set the replicas of Step.Stream to Step.Replicas.
	SetReplicas Action = "set-replicas"
	// MoveLeader: move the leader of Step.Stream (of the meta group when Step.Stream is empty) to Step.To.
	MoveLeader Action = "move-leader"
	// DeleteVolume: delete the volume with UID Step.Volume at Step.Place.
	DeleteVolume Action = "delete-volume"
)

// Order is what is sent to a node. The executor adds the nonce that it read live, and the routes.
type Order struct {
	// Kind is one of the wire contract's order kinds: found, join, wipe-and-join, resume, leave, retire.
	Kind     string
	Name     string
	DiskID   string
	Nonce    string
	Old      string
	KeepMark bool
}

// StreamRef names a stream.
type StreamRef struct{ Account, Name string }

// Step is one decision. Fields beside Action and Reason are set as Action says.
type Step struct {
	Action   Action
	Reason   string
	Person   bool
	Place    int
	Size     int
	Name     string
	To       string
	Volume   string
	Replicas int
	Stream   StreamRef
	Order    Order
	Record   *Record
}
