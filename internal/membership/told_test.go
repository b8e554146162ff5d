// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"
)

// directories runs one on each node, and returns when each was seen by all.
func (x *site) directories(t *testing.T, c Config, change func(int, *watched)) (all []*watched) {
	t.Helper()
	for i := range x.nodes {
		w := newWatched(c)
		change(i, w)
		all = append(all, w.mustRun(t, x.js[i]).withinReady(t))
	}
	for _, w := range all {
		w.within(t, "a heartbeat of each node", func() bool {
			w.mu.RLock()
			defer w.mu.RUnlock()
			return len(w.alive) == len(x.nodes)
		})
	}
	return all
}

// everywhere tells by its error which nodes do not know within a moment.
func (w *watched) everywhere(t *testing.T, d time.Duration) error {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	defer cancel()
	return w.Everywhere(ctx)
}

// A change is everywhere when each node has acted on it, not when it has read it.
func TestEverywhereWaitsUntilAllHaveActed(t *testing.T) {
	x := mustSite(t, 4<<20)
	held := make(chan struct{})
	all := x.directories(t, Config{Heartbeat: 10 * time.Second}, func(i int, w *watched) {
		if hear := w.c.Changed; i == 2 {
			w.c.Changed = func(users []string) { <-held; hear(users) }
		}
	})
	_, hex := mustUser(t, mustStore(t, x.js[0], StoreConfig{}), "ann")
	all[0].within(t, "the change", func() bool { return all[0].IsAuthorized(hex) })
	all[0].within(t, "all but the one that is held", func() bool {
		err := all[0].everywhere(t, 300*time.Millisecond)
		if err == nil {
			t.Fatal("all nodes know, it says, while one is held")
		}
		return strings.HasPrefix(err.Error(), x.nodes[2].Name()+":")
	})
	done := make(chan error, 1)
	go func() { done <- all[0].everywhere(t, time.Minute) }()
	close(held)
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	for i, w := range all {
		if !slices.Contains(w.told.take(), hex) {
			t.Errorf("node %d was not told of the change", i)
		}
	}
}

// A node that is gone is waited for as long as its last heartbeats say that it may be there.
func TestEverywhereDoesNotWaitForWhoIsGone(t *testing.T) {
	x := mustSite(t, 4<<20)
	all := x.directories(t, quick, func(int, *watched) {})
	if err := all[2].stop(); err != nil {
		t.Fatal(err)
	}
	all[0].within(t, "the others", func() bool { return all[0].everywhere(t, time.Second) == nil })
	if err := all[2].everywhere(t, time.Second); err == nil {
		t.Error("a directory that does not run said that all know what it knows")
	}
}
