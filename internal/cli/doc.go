// SPDX-License-Identifier: Apache-2.0

// Package cli is the unibus program: it forms, grows, shrinks and repairs a cluster without Kubernetes, with local processes or
// with nodes that wait for orders on other hosts.
//
// All that it knows is in one folder. Two runs may work on it at the same time: what they write is compared with what they read, under a
// lock, and a run that is killed at any point is finished by the next one.
package cli
