// SPDX-License-Identifier: Apache-2.0

// Package e2e has the tests that need real processes: the traps by which clusters have lost their data, a cold start, three
// hosts, bad input. Its folders are the tools that they share with the programs in hack.
package e2e
