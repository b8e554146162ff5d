// SPDX-License-Identifier: Apache-2.0

// Package natstest helps tests, and the programs under hack/, to run embedded servers in their own
// process: one, or a cluster of them, with keys, certificates and links that can be cut.
//
// What takes a testing.TB ends the test on an error; everything else returns the error, so that
// programs can use it too.
package natstest

import (
	"fmt"
	"net"
	"testing"
	"time"
)

// Until polls cond, every 10 ms, until it holds or limit has passed, and says whether it held.
func Until(limit time.Duration, cond func() bool) bool {
	for end := time.Now().Add(limit); ; time.Sleep(10 * time.Millisecond) {
		if cond() {
			return true
		}
		if time.Now().After(end) {
			return false
		}
	}
}

// Within ends the test if cond does not hold within limit.
func Within(t testing.TB, limit time.Duration, what string, cond func() bool) {
	t.Helper()
	if !Until(limit, cond) {
		t.Fatalf("not within %v: %s", limit, what)
	}
}

// FreePort returns a TCP port of 127.0.0.1 that was free a moment ago.
func FreePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("no free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// MustFreePort is FreePort for tests.
func MustFreePort(t testing.TB) int {
	t.Helper()
	p, err := FreePort()
	if err != nil {
		t.Fatal(err)
	}
	return p
}
