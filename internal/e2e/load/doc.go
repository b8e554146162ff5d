// SPDX-License-Identifier: Apache-2.0

// Package load puts a cluster to work and keeps the books: writers whose every acknowledged write is remembered, readers
// that look for what was acknowledged, and a verification that reads everything back from each replica.
//
// A write counts from its acknowledgement on. It keeps one Nats-Msg-Id over all its attempts, so what is stored twice is
// the cluster's fault and not the writer's. Nothing here is judged by what a follower says: a follower may lag, and then
// shows an old picture without an error.
//
// It is for tests and the programs in hack only.
package load
