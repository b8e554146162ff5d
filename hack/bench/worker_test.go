// SPDX-License-Identifier: Apache-2.0

package main

import "testing"

// A flood goes on when all that was on its way is lost.
func TestPlacesComeBack(t *testing.T) {
	places := make(chan struct{}, 3)
	for range 3 * cap(places) {
		take(places)
	}
	for range 2 * cap(places) {
		give(places) // of what comes late
	}
	if len(places) != 0 {
		t.Errorf("%d places are taken", len(places))
	}
}
