// SPDX-License-Identifier: Apache-2.0

package embeddednats

import "time"

// RaftTimers are how soon members of a Raft group give up a silent leader. The zero value means those
// of nats-server: 4 s, 9 s and 1 s.
type RaftTimers struct {
	MinElection, MaxElection, Heartbeat time.Duration
}

// DefaultRaftTimers are those of a UniBus cluster: 2 s, 4 s and 500 ms.
func DefaultRaftTimers() RaftTimers {
	return RaftTimers{MinElection: 2 * time.Second, MaxElection: 4 * time.Second, Heartbeat: 500 * time.Millisecond}
}

// StockRaftTimers are those of nats-server.
func StockRaftTimers() RaftTimers {
	return RaftTimers{MinElection: 4 * time.Second, MaxElection: 9 * time.Second, Heartbeat: time.Second}
}

// RaftTimersInForce returns what the servers of this process go by.
func RaftTimersInForce() RaftTimers { return StockRaftTimers() }
