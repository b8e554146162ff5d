// SPDX-License-Identifier: Apache-2.0

package lock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

func TestTake(t *testing.T) {
	path := filepath.Join(t.TempDir(), "made", "lock")
	release, err := Take(t.Context(), path, func() { t.Error("it waits, and nobody has it") })
	if err != nil {
		t.Fatal(err)
	}

	// Who waits says so once, and can be interrupted.
	ctx, cancel := context.WithCancel(t.Context())
	said := 0
	if _, err := Take(ctx, path, func() { said++; cancel() }); !errors.Is(err, context.Canceled) || said != 1 {
		t.Errorf("got %v, said %d times", err, said)
	}

	// The file may go with the lock.
	again, err := Take(t.Context(), path, func() { _ = os.Remove(path); release() })
	if err != nil {
		t.Fatal(err)
	}
	if _, err := try(path); !errors.Is(err, syscall.EWOULDBLOCK) {
		t.Errorf("got %v: two have the lock", err)
	}
	again()
	if _, err := Take(t.Context(), filepath.Dir(path), func() {}); err == nil {
		t.Error("the lock of a folder was taken")
	}
}
