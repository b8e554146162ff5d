// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
)

// Paths of a node's control endpoint.
const (
	// PathNode answers GET with a NodeStatus.
	PathNode = "/v1/node"
	// PathOrders takes POST of a SignedOrder and answers with a NodeStatus or an Error. It answers once the order is durable.
	PathOrders = "/v1/node/orders"
)

// NodePhase is where a node is in its life.
type NodePhase string

const (
	// NodeWaiting means that only the control endpoint runs: the node waits for an order.
	NodeWaiting NodePhase = "waiting"
	// NodeStarting means that NATS is being started or is not usable yet.
	NodeStarting NodePhase = "starting"
	// NodeRunning means that NATS runs, whatever its health.
	NodeRunning NodePhase = "running"
	// NodeRepairing means that NATS is stopped for now: a full volume, or a replica that could not catch up.
	NodeRepairing NodePhase = "repairing"
	// NodeStopping means that the process is about to end.
	NodeStopping NodePhase = "stopping"
)

// Marks that a disk can carry.
const (
	// MarkLeaving: the disk's server is being removed from the cluster; it starts only by a resume order.
	MarkLeaving = "leaving"
	// MarkRetired: the disk's server was removed from the cluster; it only takes wipe-and-join.
	MarkRetired = "retired"
)

// NodeStatus is what a node says of itself. It holds no secret.
type NodeStatus struct {
	Version string    `json:"version"`
	Phase   NodePhase `json:"phase"`
	// Reason says in words why the node is in this phase.
	Reason string `json:"reason,omitempty"`
	// Nonce is what the next order must carry.
	Nonce       string `json:"nonce"`
	DiskID      string `json:"diskID"`
	ClusterID   string `json:"clusterID,omitempty"`
	ClusterName string `json:"clusterName"`
	ServerName  string `json:"serverName,omitempty"`
	// Mark is empty, MarkLeaving or MarkRetired.
	Mark string `json:"mark,omitempty"`
	// Founding is true until the node's cluster of one is complete.
	Founding bool `json:"founding,omitempty"`
	// Journal is true while a wipe-and-join is not complete.
	Journal bool `json:"journal,omitempty"`
	// Aside is true when the disk keeps a store that was set aside.
	Aside bool `json:"aside,omitempty"`
	// Alone is true when NATS does not run, and the disk's meta group has no other member than this server.
	Alone bool `json:"alone,omitempty"`
	// Removed is true when NATS runs but its server was removed from the meta group in this process's life.
	Removed bool `json:"removed,omitempty"`
	// RaftTimers are those that the node's disk keeps for its cluster, such as "2s/4s/500ms"; empty before its first start.
	RaftTimers string `json:"raftTimers,omitempty"`
	// Meta is the node's own view of the meta group, nil when it has none (empty, or NATS is not running).
	Meta *MetaView `json:"meta,omitempty"`
	// RouteSecrets are those of routes, as marks; nil where there are none, and where the control endpoint is open to all.
	RouteSecrets *RouteSecrets `json:"routeSecrets,omitempty"`
	// ClientURL, RouteURL and HTTPURL are where the node is reached.
	ClientURL string `json:"clientURL,omitempty"`
	RouteURL  string `json:"routeURL,omitempty"`
	HTTPURL   string `json:"httpURL,omitempty"`
}

// RouteSecrets tells by marks which secrets of routes a node uses: see SecretMark.
type RouteSecrets struct {
	// Dials is what the node's server shows to others, and Next what it will after its next start. They are the same unless the secret was
	// replaced since.
	Dials string `json:"dials"`
	Next  string `json:"next"`
	// Accepts are all that the node accepts of others, now.
	Accepts []string `json:"accepts"`
}

// SecretMark is by what a secret is known to those who have it. It holds for one answer: the salt is the nonce beside it. Nobody gets from the
// mark to the secret but by guessing, so that only a secret that can't be guessed is safe with it.
func SecretMark(secret, nonce string) string {
	h := hmac.New(sha256.New, []byte(secret))
	h.Write([]byte("unibus route secret\n" + nonce)) // a hash never fails to take what is written to it
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// MetaView is the JetStream meta group as one node sees it.
type MetaView struct {
	// Leader is the server name of the leader, empty when the node knows none.
	Leader string `json:"leader,omitempty"`
	// Size is the number of members of the group.
	Size int `json:"size"`
	// Members are server names, the node's own included, sorted; for one that the node has not met since its start, the id that it has in Raft groups.
	Members []string `json:"members"`
}
