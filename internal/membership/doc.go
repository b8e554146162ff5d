// SPDX-License-Identifier: Apache-2.0

// Package membership holds who may connect, which rooms there are and who is in them.
//
//   - Rules are pure: [CheckName], [CheckClass], [Fits], [Limits] and the like.
//   - [Store] writes the three buckets. What it decides by, it reads from their leaders; what it writes, it compares and sets. Each
//     step may be the last before a crash: the same call, made again, finishes.
//   - [Directory] is what one node knows of the buckets, kept in memory by watching them. It answers without waiting, knows what it
//     should have seen, and says how old its knowledge is.
//
// # What a proof is
//
// A watch may be served by a replica that lags, and then shows a part of the keys without an error. So the directory believes a watch
// only after a round: it writes the bucket's heartbeat, which a quorum acknowledges with a sequence; it asks the bucket's leader for
// the last sequence, which must not be lower, and for the number of subjects up to it; and it waits until the watch has passed that
// sequence and has shown as many subjects. Then all that was acknowledged before the heartbeat was sent has been seen. The age of
// the knowledge is the time since then. A watch that does not come to a proof is made anew.
package membership
