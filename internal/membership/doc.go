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
//
// # When markers go
//
// A removal leaves a marker, and markers would fill a bucket in the end: [Store.PurgeMarkers] purges them. Who is removed must not stay
// listed by a directory that has not seen the marker. What a directory knows of a key ends in two ways: it sees the marker, or a watch
// comes to a proof that has not shown the key. So a removal is overlooked only by a watch that has shown the key as it was before, and
// will show no marker. There is no such watch:
//
//   - A watch begins on a replica that has a heartbeat which was acknowledged before; by its first heartbeat one on a replica that lags is
//     found out. A replica takes what it is told in order, purges included. So what was purged before the watch is not shown, and of
//     each removal that was not purged the marker is.
//   - A removal that comes later has its marker in the bucket for an hour, by the clock of a process that has seen it. A watch that is
//     without a proof for ten minutes is made anew. So the watch has come to a proof behind the marker, and has shown it.
//
// Besides, a watch that has shown a key that is gone has shown more subjects than there are, and does not come to a proof. That is how
// each watch ends after a purge, also one that has shown the marker, and why it is not done more often than needed: each directory reads
// the bucket anew, and nothing is proven as long as markers go.
//
// # Which history a room has
//
// A class that was deleted may be made again, and what removes the stream of the former may be held up for as long as you like right before
// the stream's removal, which the server does by name alone. So each class has a history of its own, by a name that is never used again, and
// what is in the history of a class that is gone is of rooms that are gone:
//
//   - The name of a history has the revision of the marker over which its class was made, or none: no two classes of a name come after the
//     same marker, or after none, since the write compares and sets, and markers of classes stay.
//   - Nobody is in a room before its class has been written after it, by who made the room or by who takes somebody in. Who deletes the class
//     reads it, then lists the rooms, from a leader that knows as much, and then removes it if it has not changed. So the room is in the list,
//     or the class has changed: a class with rooms that have members is not deleted.
//   - A node takes for the history of a room only that of a class whose record it knows at a revision above the room's: [Directory.Kept]. The
//     class at that revision was there after the room, and went only after it. So it is not the class of the name that was there before
//     the room, which a node that is behind may still know.
//
// Hence whoever is told that an append is kept is told so of the history that is read for as long as the room is there; and what a node
// that is behind appends to the history of a class that is gone was sent to a room that is gone. A janitor that is late removes such a stream, or
// makes it again, empty, for another to remove: neither touches the history of the class that there is.
package membership
