// SPDX-License-Identifier: Apache-2.0

// Package trial furnishes a node for trying out: keys of an admin and of a guest, a room that both are in, and contexts in which the
// command line knows them.
package trial
