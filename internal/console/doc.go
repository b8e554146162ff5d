// SPDX-License-Identifier: Apache-2.0

// Package console is how the commands of unibus speak: exit codes, results for people and for programs, questions, and what is said
// while something takes long.
package console
