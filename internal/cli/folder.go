// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// folder is where everything about one cluster is kept.
type folder struct{ dir string }

func (f folder) path(name string) string { return filepath.Join(f.dir, name) }

// resolved is the folder by its one true path. A node's process is known by the path of its configuration, which has to be the same for
// whoever comes by way of a link.
func (f folder) resolved() (folder, error) {
	dir, err := filepath.Abs(f.dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return f, fmt.Errorf("find the cluster folder %s: %w", f.dir, err)
	}
	return folder{dir}, nil
}

// exists says whether the folder has a file.
func (f folder) exists(name string) bool {
	_, err := os.Lstat(f.path(name))
	return err == nil
}

const (
	// lockLimit is how long a lock is waited for at most. A run holds one for the start or the stop of one node at most.
	lockLimit = startLimit + stopLimit
	// lockPoll is how often a lock is tried that another run holds, lockTold after how long that is told.
	lockPoll = 20 * time.Millisecond
	lockTold = time.Second
)

// locked runs do while no other process holds the named lock of this folder. Locks end with the process that holds them; one that is
// suspended keeps its own, so that a lock is waited for no longer than ctx lasts.
func (f folder) locked(ctx context.Context, name string, do func() error) error {
	l, err := os.OpenFile(f.path(name), os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("lock the cluster folder %s: %w", f.dir, err)
	}
	defer l.Close()
	if err := acquire(ctx, l); err != nil {
		return err
	}
	return do()
}

// acquire locks a file. It is tried at least once, whatever has become of ctx.
func acquire(ctx context.Context, l *os.File) error {
	ctx, cancel := context.WithTimeout(ctx, lockLimit)
	defer cancel()
	began, told := time.Now(), false
	for {
		err := unix.Flock(int(l.Fd()), unix.LOCK_EX|unix.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case !errors.Is(err, unix.EWOULDBLOCK) && !errors.Is(err, unix.EINTR):
			return fmt.Errorf("lock %s: %w", l.Name(), err)
		}
		if !told && time.Since(began) > lockTold {
			told = true
			fmt.Fprintf(os.Stderr, "another run holds %s; it is waited for\n", l.Name())
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("another run holds %s (%w): wait for its end; if it is suspended or hangs, end it", l.Name(), ctx.Err())
		case <-time.After(lockPoll):
		}
	}
}

// write replaces a file in one step: after a crash it has the old content or the new one, and once write has returned, the new one.
func (f folder) write(name string, content []byte, mode fs.FileMode) error {
	tmp := f.path(name + ".new") // writers hold the lock, so the name is free; what a crash left there is overwritten
	if err := writeSynced(tmp, content, mode); err != nil {
		return fmt.Errorf("write %s: %w", f.path(name), err)
	}
	if err := os.Rename(tmp, f.path(name)); err != nil {
		return fmt.Errorf("write %s: %w", f.path(name), err)
	}
	d, err := os.Open(f.dir)
	if err != nil {
		return fmt.Errorf("write %s: %w", f.path(name), err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("write %s: sync its folder: %w", f.path(name), err)
	}
	return nil
}

func writeSynced(path string, content []byte, mode fs.FileMode) error {
	w, err := os.OpenFile(path, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, mode)
	if err != nil {
		return err
	}
	defer w.Close()
	if _, err := w.Write(content); err != nil {
		return err
	}
	if err := w.Sync(); err != nil {
		return err
	}
	return w.Close()
}
