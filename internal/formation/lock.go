// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// lock keeps a store folder for one process. It ends with the process, however that ends.
type lock struct{ f *os.File }

// acquire takes the lock of the folder, or fails at once with ErrLocked.
func acquire(dir string) (*lock, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock store folder %s (it must be writable, with space left): %w", dir, err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		holder, _ := os.ReadFile(path)
		f.Close()
		if errors.Is(err, unix.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s is locked by another process (%s); stop it, or give this node its own --store-dir",
				ErrLocked, dir, holderName(holder))
		}
		return nil, fmt.Errorf("lock %s: %w; the store folder must be on a file system with flock", path, err)
	}
	// The pid only makes the message above better, so a volume too full to take it is no reason to fail.
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "pid %d\n", os.Getpid())
	}
	return &lock{f: f}, nil
}

func holderName(b []byte) string {
	if s := strings.TrimSpace(string(b)); strings.HasPrefix(s, "pid ") && len(s) < 32 {
		return s
	}
	return "pid unknown"
}

// release gives the folder up. Closing alone would leave it locked while a process that was forked meanwhile, and has not become
// another program yet, holds a copy of the file.
func (l *lock) release() error {
	return errors.Join(unix.Flock(int(l.f.Fd()), unix.LOCK_UN), l.f.Close())
}
