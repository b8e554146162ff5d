// SPDX-License-Identifier: Apache-2.0

// Package formation decides when and as whom a node starts NATS: alone as a new cluster, as a member of one, with what
// its disk holds, or not at all until it is told. The part of a node that loses data when it is wrong.
//
// A disk is in one of three states:
//
//   - empty: it has a disk id, and takes one signed order (or what Config.Mode says) to get an identity;
//   - with an identity: the node starts with it, asking nobody, unless the disk is marked as leaving or retired or the
//     name is denied: then it waits for an order;
//   - with a journal: a wipe-and-join is finished before anything else.
//
// Everything that a start depends on is durable before the store of JetStream is touched, by files that are written whole
// or not at all. What does not fit together is refused with a remedy (ErrRefused) and left as it is:
// a node that starts on the wrong disk can delete what the disk holds, or vote for a cluster that forgets.
//
// Differences from what callers may expect: Open refuses and Run drives; a mark set while NATS runs lets it run until its
// next start; a resume order is good for one start of a marked or denied disk.
package formation
