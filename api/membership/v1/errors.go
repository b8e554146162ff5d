// SPDX-License-Identifier: Apache-2.0

package v1

import "fmt"

// Codes of Error. They are stable: drivers decide by them.
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
	// CodeInternal: the node could not make the order durable.
	CodeInternal = "internal"
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
