// SPDX-License-Identifier: Apache-2.0

// Package embeddednats runs the nats-server with JetStream inside the process, always as a member of
// a cluster, be it a cluster of one.
//
// Which of the ways to start is right is decided by internal/formation, from what the disk holds:
//
//   - [Found], once in a cluster's life, on an empty store: the node becomes a meta group of one.
//     It may be killed anywhere and run again.
//   - [Resume], ever after: the node starts with what its store holds, alone or among others.
//   - [Join], on an empty store, for a node that others wait for. It never founds.
//   - [Probe]: NATS without JetStream, to see who is there before anything is decided.
//   - [Start]: none of these recipes, a server for development and tests.
//
// A running server looks after itself in two ways: it notices that its store can't be written
// ([Server.StoreFailed]), and as a leader it makes snapshots for replicas that come no nearer, as a
// former leader after a healed partition would for minutes.
//
// # Differences from what callers may expect
//
// A store is never emptied here, except the founding helper's, which holds nothing.
// [Server.StoreError] is a state and [Server.StoreFailed] a channel closed once it is set, as with
// the Err and Done of a context.
package embeddednats

// Accounts of every embedded server.
const (
	// AccountSystem is the system account: questions to servers, and the meta group.
	AccountSystem = "SYS"
	// AccountClients is where users are. It has no JetStream.
	AccountClients = "CLIENTS"
	// AccountMembership holds the buckets of users, rooms and members.
	AccountMembership = "MEMBERSHIP"
	// AccountHistory holds the streams of what was said.
	AccountHistory = "HISTORY"
	// AccountEmpty has nothing and no user: the companion of a lone node is bound to it.
	AccountEmpty = "EMPTY"
)

// Prefixes and values of server tags, by which servers tell each other what they are.
const (
	// TagCluster is followed by the cluster's id.
	TagCluster = "unibus-cluster:"
	// TagTimers is followed by the RaftTimers that are in force. Every server has it.
	TagTimers = "unibus-timers:"
	// TagState is followed by StateForming or StateMember.
	TagState = "unibus-state:"
	// StateForming is a node without an identity that looks around.
	StateForming = "forming"
	// StateMember is a node with an identity.
	StateMember = "member"
)

// HelperName is the server name of the helper that makes founding possible. No node may bear it.
const HelperName = "unibus-founding-helper"
