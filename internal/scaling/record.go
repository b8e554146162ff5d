// SPDX-License-Identifier: Apache-2.0

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
	// Since is when the phase began, by the clock of the driver that wrote it.
	Since time.Time `json:"since"`
}

// Record is the identity record of a cluster: the one truth about which disk has which name.
type Record struct {
	// ClusterID is random, made by the executor when it creates the record; never derived from anything.
	ClusterID string          `json:"clusterID"`
	Names     map[string]Name `json:"names"`
	// Doomed are the UIDs of volumes that are to be deleted; nothing joins on one.
	Doomed []string `json:"doomed,omitempty"`
}
