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
package scaling
