// SPDX-License-Identifier: Apache-2.0

package trial

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/unibus/unibus/api/client"
)

// TestKeysStay: a key is made once, whoever starts at the same time.
func TestKeysStay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dev")
	found := make(chan *Trial, 4)
	for range cap(found) {
		go func() {
			x, err := Open(t.Context(), dir)
			if err != nil {
				t.Error(err)
			}
			found <- x
		}()
	}
	first := <-found
	for range cap(found) - 1 {
		if x := <-found; *x != *first {
			t.Errorf("%+v, %+v", x, first)
		}
	}
	if key, err := client.SeedFile(filepath.Join(dir, "dev-guest.nk")).PublicKey(); err != nil || key != first.guestKey {
		t.Errorf("%s, %v, want %s", key, err, first.guestKey)
	}
	if err := os.Chmod(filepath.Join(dir, "dev-admin.nk"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir); err == nil {
		t.Error("a key that others may read is taken")
	}
}
