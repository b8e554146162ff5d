// SPDX-License-Identifier: Apache-2.0

package file

import (
	"context"
	"errors"
	"io"
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

// TestLinks: a link stays one, and the file that it leads to is written, in one step as well; what leads nowhere is left as it is.
func TestLinks(t *testing.T) {
	dir, home := t.TempDir(), t.TempDir()
	file, link, chain := filepath.Join(dir, "real"), filepath.Join(home, "link"), filepath.Join(home, "chain")
	lost, loop := filepath.Join(home, "lost"), filepath.Join(home, "loop")
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	must(os.WriteFile(file, []byte("old"), 0o600))
	for name, to := range map[string]string{link: file, chain: "link", lost: filepath.Join(dir, "gone"), loop: "loop"} {
		must(os.Symlink(to, name))
	}
	before, err := os.Open(file) // so that its number is not given to another
	must(err)
	defer before.Close()
	for _, path := range []string{link, chain} {
		must(Write(path, []byte(path), 0o600))
		if b, err := os.ReadFile(file); err != nil || string(b) != path {
			t.Errorf("through %s: %q, %v", path, b, err)
		}
		if i, err := os.Lstat(path); err != nil || i.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s is no link any more: %v, %v", path, i, err)
		}
	}
	if b, err := io.ReadAll(before); err != nil || string(b) != "old" {
		t.Errorf("it was written over, not replaced: %q, %v", b, err)
	}
	for path, want := range map[string]string{lost: "leads nowhere", loop: "too many links"} {
		if err := Write(path, []byte("new"), 0o600); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", path, err, want)
		}
		if i, err := os.Lstat(path); err != nil || i.Mode()&os.ModeSymlink == 0 {
			t.Errorf("%s is no link any more: %v, %v", path, i, err)
		}
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 {
		t.Errorf("left behind: %v, %v", names, err)
	}
}

// TestWriteFollowsNothingInItsWay: what lies where the new content is written first, from a crash or from somebody else, is not written through,
// and leaves the file no mode of its own.
func TestWriteFollowsNothingInItsWay(t *testing.T) {
	dir := t.TempDir()
	path, other := filepath.Join(dir, "f"), filepath.Join(dir, "other")
	for _, lay := range []func() error{
		func() error { return os.Symlink(other, path+".new") },
		func() error { return os.WriteFile(path+".new", []byte("half"), 0o644) },
		func() error { return os.Link(other, path+".new") },
	} {
		if err := errors.Join(os.WriteFile(other, []byte("other's"), 0o644), lay(), Write(path, []byte("new"), 0o600)); err != nil {
			t.Fatal(err)
		}
		if b, err := os.ReadFile(other); err != nil || string(b) != "other's" {
			t.Errorf("another file is written: %q, %v", b, err)
		}
		if i, err := os.Lstat(path); err != nil || i.Mode() != 0o600 {
			t.Errorf("%v, %v", i.Mode(), err)
		}
	}
}
