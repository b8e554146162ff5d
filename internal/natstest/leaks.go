// SPDX-License-Identifier: Apache-2.0

package natstest

import "go.uber.org/goleak"

// Leaks are the goroutines that nats-server leaves behind by itself, for goleak to overlook: those of the store of a
// Raft group or stream that was being made as the server shut down. Nothing stops such a store (createRaftGroup of
// v2.15.2 drops it where startRaftNode fails), so that it goes with the process only. A server that was not shut down
// is still found: it has hundreds of other goroutines.
func Leaks(more ...goleak.Option) []goleak.Option {
	return append(more,
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server.(*fileStore).flushStreamStateLoop"),
		goleak.IgnoreAnyFunction("github.com/nats-io/nats-server/v2/server/ats.Register.func1"), // the clock that stores share
	)
}
