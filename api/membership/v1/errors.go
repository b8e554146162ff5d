// SPDX-License-Identifier: Apache-2.0

package v1

import "fmt"

// Codes of Error. They are stable: callers decide by them.
const (
	// CodeMalformed: the request is not what the path takes.
	CodeMalformed = "malformed"
	// CodeUnsigned: the order is not signed by the cluster's order key, or the node has no order key.
	CodeUnsigned = "unsigned"
	// CodeNonce: the order answers another boot, or its nonce was used. Read NodeStatus again.
	CodeNonce = "nonce"
	// CodeCluster: the order is for another cluster.
	CodeCluster = "cluster"
	// CodeDisk: the order is for another disk.
	CodeDisk = "disk"
	// CodeName: the order's server name, or old name, is not one that the disk has or may get.
	CodeName = "name"
	// CodeState: the node can't take an order of this kind in its present state.
	CodeState = "state"
	// CodeInternal: the node failed.
	CodeInternal = "internal"
	// CodeForbidden: the caller may not do that. What it may not even know of is told in the same words as what is not there.
	CodeForbidden = "forbidden"
	// CodeNotKept: the room keeps no history.
	CodeNotKept = "not-kept"
	// CodeTooLarge: the message is larger than its room's class takes.
	CodeTooLarge = "too-large"
	// CodeHeader: a header that the sender may not set.
	CodeHeader = "header"
	// CodeRate: too many messages a second. Try again later.
	CodeRate = "rate"
	// CodeFull: the room, or its class, is full and its class refuses.
	CodeFull = "full"
	// CodeUnavailable: the node can't answer now: cut off, busy, or without a leader. Try again.
	CodeUnavailable = "unavailable"
)

// Error is the body of a refused request.
type Error struct {
	// Code is one of the Code constants.
	Code string `json:"code"`
	// Message names the thing and the remedy.
	Message string `json:"message"`
}

// Error implements error.
func (e *Error) Error() string { return fmt.Sprintf("%s (%s)", e.Message, e.Code) }
