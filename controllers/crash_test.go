// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	"github.com/unibus/unibus/internal/natstest"
)

// TestKilledAfterEveryWrite: an operator that ends right after its first write that changes something, and is replaced by one that does the
// same, again and again, gets where an undisturbed one gets.
func TestKilledAfterEveryWrite(t *testing.T) {
	l := mustLab(t, sample(t, "one"), func(l *lab) { l.fuse = true })
	formed := l.within("a cluster of one", ready)
	l.scale(3)
	grown := l.within("three members", ready)
	if want := "demo-0-0=member demo-1-0=member demo-2-0=member"; names(grown) != want || grown.Status.ClusterID != formed.Status.ClusterID {
		t.Errorf("members: %s of %s, want %s of %s", names(grown), grown.Status.ClusterID, want, formed.Status.ClusterID)
	}
	if l.lives.Load() < 20 {
		t.Errorf("operators lived only %d times", l.lives.Load())
	}
	natstest.Logger().Info("operators", "lives", l.lives.Load())
}
