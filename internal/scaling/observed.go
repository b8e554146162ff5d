// SPDX-License-Identifier: Apache-2.0

package scaling

import "time"

// Desired is what the user wishes.
type Desired struct {
	// Name is the prefix of server names: <Name>-<place>-<incarnation>.
	Name string
	// Replicas is the number of members: 1, 3 or 5. 0 means that the cluster is deleted (nodes stopped, disks kept).
	Replicas int
	// DeleteDisks lets volumes of places beyond Replicas be deleted. Default: they are kept.
	DeleteDisks bool
	// Dead are server names that a person declares lost with their disks. The word stands in for "its place answers with another
	// disk" and for nothing else: quorum, and silence of other places, still stop a removal.
	Dead []string
}

// Observed is what one pass has seen, all of it live.
type Observed struct {
	// Now is the time of the observation.
	Now time.Time
	// Quiet is for how long nothing that is observed has changed, lag of replicas and bytes copied included; 0 when unknown. The
	// driver measures it. From Patience on a step that isn't Done asks for a person, and is still the step to try.
	Quiet time.Duration
	// KnownID is the cluster id that is written down beside the record (the status of the UnibusCluster), empty when none is.
	KnownID string
	// Size is how many places are wished to be started (the size of the StatefulSet), whether or not they are there yet.
	Size int
	// Places are all places up to the last one that has a volume, a pod or process, or a node; indexed by number.
	Places []Place
	// Meta is the meta group as its leader tells it, confirmed by a quorum (a leader that was cut off calls itself leader for
	// many seconds); nil when no such leader answers.
	Meta *Group
	// Streams are all streams of all accounts as their leaders tell, those without a leader as the meta leader assigned them
	// (Peers empty when that is unknown too); meaningful only with Meta. One left out is one that may be lost.
	Streams []Stream
}

// Place is one place for a node.
type Place struct {
	// Volume is the UID of the place's volume (on a laptop anything that a new folder doesn't share), empty when it has none.
	Volume string
	// Started is true when a pod or process exists there, whatever its state. A node that is not ours to start (another host)
	// counts as started always.
	Started bool
	// Node is what answers there in this pass, nil when nothing does.
	Node *Node
}

// Node is a node's own word.
type Node struct {
	// Running is true when NATS runs; otherwise the node waits for an order.
	Running bool
	// Waiting is true when the node takes orders that start it.
	Waiting bool
	// DiskID is durable before it is told.
	DiskID string
	// ClusterID and Name are the disk's identity, empty on a virgin disk.
	ClusterID string
	Name      string
	// Mark is empty, "leaving" or "retired".
	Mark string
	// Nonce is what the next order must carry.
	Nonce string
	// Journal is true while a wipe-and-join is not complete.
	Journal bool
	// Aside is true when the disk keeps a store that was set aside.
	Aside bool
	// Alone is true when the node waits, and its disk's meta group has no other member than itself.
	Alone bool
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
	Account string
	Name    string
	// Replicas is the configured number; fewer peers may exist while JetStream looks for another.
	Replicas int
	// Leader is empty when the stream has none.
	Leader string
	Peers  []Peer
}
