// SPDX-License-Identifier: Apache-2.0

// Package benchmark measures what a room of a bus gives to those who use it by the client library: speaking, hearing, reading history and
// asking.
package benchmark
