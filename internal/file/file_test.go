// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestOneAtATime: what many change under the lock loses no change.
func TestOneAtATime(t *testing.T) {
	path := filepath.Join(t.TempDir(), "count")
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			err := Locked(t.Context(), path+".lock", time.Minute, func() error {
				b, err := os.ReadFile(path)
				if err != nil && !errors.Is(err, os.ErrNotExist) {
					return err
				}
				n, _ := strconv.Atoi(string(b)) // nothing is 0
				return Write(path, []byte(strconv.Itoa(n+1)), 0o600)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	if b, err := os.ReadFile(path); err != nil || string(b) != "20" {
		t.Errorf("after 20 changes it is %q, %v", b, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestLockThatIsHeld is waited for no longer than the context lasts, and the error says what to do.
func TestLockThatIsHeld(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock")
	err := Locked(t.Context(), path, time.Minute, func() error {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		return Locked(ctx, path, time.Minute, func() error { t.Error("two hold the lock"); return nil })
	})
	if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "another run holds "+path) {
		t.Errorf("a lock that is held: %v", err)
	}
}

// TestWriteLeavesWhatWasThere: when the new content can't be written, the old one stays.
func TestWriteLeavesWhatWasThere(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	if err := Write(path, []byte("old"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(path+".new", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, []byte("new"), 0o600); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("a write that can't be: %v", err)
	}
	if b, err := os.ReadFile(path); err != nil || string(b) != "old" {
		t.Errorf("%q, %v", b, err)
	}
}
