// SPDX-License-Identifier: Apache-2.0

package scaling

// Action is the kind of a step.
type Action string

const (
	// Wait: nothing to do now; Step.Reason says why.
	Wait Action = "wait"
	// Done: what is wished is there.
	Done Action = "done"
	// WriteRecord: write Step.Record. Where there was none it is created, never overwritten, and the executor makes the
	// ClusterID; else it is updated against the version that was read, and a conflict means: observe again.
	WriteRecord Action = "write-record"
	// WriteKnownID: write the record's cluster id beside the record.
	WriteKnownID Action = "write-known-id"
	// Resize: start or stop places, so that places 0 to Step.Size-1 run. Never lowered but against the version that was read.
	Resize Action = "resize"
	// SendOrder: send the order Step.Order to the node at Step.Place.
	SendOrder Action = "send-order"
	// RemovePeer: remove Step.Name from the meta group. Names the record as removing or removed, never else.
	RemovePeer Action = "remove-peer"
	// MoveReplica: move the replica of Step.Stream from Step.Name to Step.To (JetStream may choose another target). One replica
	// is moved by copying first; never by removing the only peer.
	MoveReplica Action = "move-replica"
	// SetReplicas: set the replicas of Step.Stream to Step.Replicas.
	SetReplicas Action = "set-replicas"
	// MoveLeader: move the leader of Step.Stream (of the meta group when Step.Stream is empty) to Step.To.
	MoveLeader Action = "move-leader"
	// DeleteVolume: delete the volume at Step.Place with UID Step.Volume as precondition, and end what runs on it.
	DeleteVolume Action = "delete-volume"
)

// Order is what is sent to a node. Nonce is that of the boot that was observed: never replaced by a newer one, that would turn
// a late order into a fresh one. The executor adds the cluster id of the record and the routes.
type Order struct {
	// Kind is one of the wire contract's order kinds: found, join, wipe-and-join, resume, leave, retire.
	Kind   string
	Name   string
	DiskID string
	Nonce  string
	Old    string
	// KeepMark, in resume, leaves the disk marked as leaving.
	KeepMark bool
}

// StreamRef names a stream.
type StreamRef struct{ Account, Name string }

// Step is one decision. Fields beside Action and Reason are set as Action says.
type Step struct {
	Action Action
	// Reason says why, naming the objects. Never empty.
	Reason string
	// Person is true when nothing but a person can help, or nothing has changed for Patience. Remedy then says what to do.
	Person bool
	Remedy string
	// Leaderless is true when nothing can be decided since no meta leader answers.
	Leaderless bool

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
