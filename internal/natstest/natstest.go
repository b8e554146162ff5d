// SPDX-License-Identifier: Apache-2.0

// Package natstest helps tests, and the programs under hack/, to run embedded servers in their own
// process: one, or a cluster of them, with keys, certificates and links that can be cut.
//
// What takes a testing.TB ends the test on an error; everything else returns the error, so that
// programs can use it too.
package natstest

import (
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"syscall"
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

// HungUp says whether err is a server that ended the connection without a word: a plain end, or a reset if the server had yet to read something.
func HungUp(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, syscall.ECONNRESET) }

// Ports are sought below those that the kernel gives to outgoing connections and to listeners on port 0 (32768 and up on Linux),
// so that a server which is stopped for a while finds its port free again.
const (
	firstPort = 10_000
	lastPort  = 32_000
)

// FreePorts returns TCP ports of 127.0.0.1 that were free a moment ago, all different.
func FreePorts(n int) ([]int, error) {
	var ports []int
	for range 100 * n {
		l, err := net.Listen("tcp", fmt.Sprintf("127.0.0.1:%d", firstPort+rand.IntN(lastPort-firstPort)))
		if err != nil {
			continue // somebody has it
		}
		defer l.Close() // all at the end, so that no port is found twice
		if ports = append(ports, l.Addr().(*net.TCPAddr).Port); len(ports) == n {
			return ports, nil
		}
	}
	return nil, fmt.Errorf("no %d free ports of 127.0.0.1 from %d to %d in %d attempts", n, firstPort, lastPort, 100*n)
}

// FreePort returns a TCP port of 127.0.0.1 that was free a moment ago.
func FreePort() (int, error) {
	ports, err := FreePorts(1)
	if err != nil {
		return 0, err
	}
	return ports[0], nil
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
