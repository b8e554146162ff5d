// SPDX-License-Identifier: Apache-2.0

package embeddednats_test

import (
	"runtime"
	"testing"

	"github.com/unibus/unibus/internal/natstest"
)

// The collector waits for far more than a server that does nothing has in use.
func TestCollectionsAreRare(t *testing.T) {
	natstest.MustCluster(t, 1, natstest.Options{})
	runtime.GC()
	var m runtime.MemStats
	if runtime.ReadMemStats(&m); m.NextGC < 128<<20 {
		t.Errorf("the next collection is when the heap has %d MiB", m.NextGC>>20)
	}
}
