// SPDX-License-Identifier: Apache-2.0

// Package screens holds the test of `unibus chat` in terminals: two people on three nodes, one of which is killed. With -write it draws their
// screens for the documentation.
package screens
