// SPDX-License-Identifier: Apache-2.0

// Package scaling decides how a cluster is formed, grown, shrunk and repaired. It is pure: what is recorded, wished and
// observed goes in, one step or a stated reason for waiting comes out. Whoever carries steps out may die after any of them,
// may overlap with another, and may come late: nothing bad comes of it if three things are kept.
//
//   - What is observed is read live, and one step at most is carried out on it. Each step has a deadline of ActionDeadline.
//   - The record and the size are written against the versions that were read.
//   - Orders carry the nonce that was observed.
//
// A driver's loop is: observe, Next, carry out one step, again; until Done, or until a step has Person set: its Reason and Remedy are
// for the person, and its Action, where it isn't Wait, may still be tried. Wait means: observe again after a while.
//
// What executors owe to each step stands at its Action. Beside that, right before RemovePeer they look once more, on a fresh
// observation, that Next still says so: JetStream may have placed a new stream on the leaver meanwhile.
//
// # The model
//
// The model_*_test.go files explore Next itself, breadth-first, in a small world of nodes, disks, a StatefulSet, Raft groups, orders
// under way and drivers, with faults out of a scenario's budget between any two events. Six promises are judged in every state: one
// meta group and no superseded configuration; the newest acknowledged write kept; nothing founded twice; removed names stay out;
// once faults end, the wish fulfilled or a person told why not, and the leader taken from nobody by one node that never comes up while
// nothing is under way; and no node stopped by a step that the wish keeps. Some scenarios begin at the end of a way that is told by its
// landmarks, close to a danger. TestModel explores all scenarios with all rules, TestModelRules leaves out one rule at a time, each of
// them, and tells what goes wrong then, as a story.
//
// What the model taught, beside the rules that have names:
//
//   - A removal may be carried out long after it was decided. JetStream fills streams up that lack replicas, on a leaver as well; and
//     lowering keeps the leader, whoever it is by then. So a stream without its full number is settled before a name is recorded as
//     removing, and nothing is lowered after that: with the others in sync the removal takes the leaver's replica with it.
//     A lowering that was decided before may be late too: should a stream have come back to the leaver, ActionLife is waited out.
//   - A resume order may be late as well. So a leaver that waits is retired, not only marked as leaving, before it is removed. From
//     then on it can't come back, and is removed even when a stream loses its leader meanwhile: that is what helps the stream.
//   - A stream without a leader is a reason to start every volume's place, as is a meta group without one: the disk that is missed may
//     have been put there.
//   - A place that doesn't answer is not stopped while a member is missed: it may have that member's disk.
//   - Nodes don't tell how new their view of the meta group is, so without a leader the largest group that one of them tells counts.
//   - A place that was asked for, and isn't there yet, is silent too: without a record nothing more is started before the first answers.
//   - The wish and the size are written against one version. Were the size lowered against its own alone, a driver that is late could
//     stop nodes that were wished again, and joined, without the size being written.
//   - What is cut off from the others while it is removed doesn't learn of it, and NATS may list it again when the cut heals (it forgets
//     whom it removed). It holds nothing then, is removed again before anything else happens, and retired.
//   - The word of a person who declares a living disk dead can't be mended: when it comes back under its name, data may be lost that
//     JetStream put on it meanwhile.
//   - Outside the model, which has no disk that goes back in time under the name it has: a founder's disk from when it was alone is a
//     quorum by itself. follow and alone meet it; tests with real nodes, and older_test.go, try it.
//   - Two steps of two drivers that are late at once, a raise from before a shrink and the removal at its end, and the loss of the disk
//     with the other replica in that very moment, lose what was written between them. Only waiting before each removal would help.
package scaling
