// SPDX-License-Identifier: Apache-2.0

package rooms

import "testing"

// A node that stops with more to do than it has time for still hears requests: none may end the process.
func TestARequestThatComesAfterTheEndIsRefused(t *testing.T) {
	r := newReads(2, 2)
	if !r.push(read{user: "a"}) {
		t.Error("the first request was refused")
	}
	r.close()
	if r.push(read{user: "b"}) {
		t.Error("a request was taken that nobody reads")
	}
	n := 0
	for range r.queue {
		n++
	}
	if n != 1 {
		t.Errorf("%d requests were left to the readers, want 1", n)
	}
}
