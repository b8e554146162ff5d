// SPDX-License-Identifier: Apache-2.0

// Package screens holds the tests of `unibus chat` in terminals: two people on a node for trying out, and on three nodes, one of which is killed.
// With -write they draw screens for the documentation.
package screens
