// SPDX-License-Identifier: Apache-2.0

// Package scaling decides how a cluster is formed, grown, shrunk and repaired. It is pure: what is recorded, wished and
// observed goes in, one step or a stated reason for waiting comes out. Whoever carries steps out may die after any of them,
// may overlap with another, and may come late: nothing bad comes of it if three things are kept.
//
//   - What is observed is read live, and one step at most is carried out on it. Each step has a deadline of ActionDeadline.
//   - The record and the size are written against the versions that were read.
//   - Orders carry the nonce that was observed.
package scaling
