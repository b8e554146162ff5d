// SPDX-License-Identifier: Apache-2.0

// Package file changes files that several runs of a program share: whole or not at all, one at a time.
package file

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

const (
	// lockPoll is how often a lock is tried that another run holds, lockTold after how long that is told.
	lockPoll = 20 * time.Millisecond
	lockTold = time.Second
)

// Locked runs do while no other process holds the lock, which is a file of its own. Locks end with the process that holds them; one that is
// suspended keeps its own, so that a lock is waited for no longer than limit and ctx last.
func Locked(ctx context.Context, path string, limit time.Duration, do func() error) error {
	l, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|unix.O_CLOEXEC, 0o600)
	if err != nil {
		return fmt.Errorf("lock %s: %w", path, err)
	}
	defer l.Close()
	if err := acquire(ctx, l, limit); err != nil {
		return err
	}
	return do()
}

// acquire locks a file. It is tried at least once, whatever has become of ctx.
func acquire(ctx context.Context, l *os.File, limit time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	began, told := time.Now(), false
	for {
		held, err := Hold(l)
		if err != nil || held {
			return err
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

// Hold locks an open file until it is closed, or says that another process has locked it.
func Hold(f *os.File) (bool, error) {
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); {
	case err == nil:
		return true, nil
	case errors.Is(err, unix.EWOULDBLOCK), errors.Is(err, unix.EINTR):
		return false, nil
	default:
		return false, fmt.Errorf("lock %s: %w", f.Name(), err)
	}
}

// Write replaces a file in one step: after a crash it has the old content or the new one, and once Write has returned, the new one. No
// other may write it at the same time. Of a link, the file that it leads to is replaced, as Resolve finds it.
func Write(path string, content []byte, mode fs.FileMode) error {
	target, err := Resolve(path)
	if err != nil {
		return fmt.Errorf("write %w", err)
	}
	tmp := target + ".new" // writers hold a lock, so the name is free, but for what a crash left there
	_ = unix.Unlink(tmp)   // or else it can't be made
	if err := writeSynced(tmp, content, mode); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	if err := os.Rename(tmp, target); err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return Sync(filepath.Dir(target))
}

// Resolve is the file that a link leads to, through other links where there are some, and any other path as it is. It fails for a link that leads
// nowhere, since what it led to may only be out of reach for now.
func Resolve(path string) (string, error) {
	if info, err := os.Lstat(path); err != nil || info.Mode()&fs.ModeSymlink == 0 {
		return path, nil // what is wrong with it is found out by writing
	}
	target, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return "", fmt.Errorf("%s: a link that leads nowhere: bring back what it leads to, or remove it: %w", path, err)
	}
	if err != nil {
		return "", fmt.Errorf("%s: %w", path, err)
	}
	return target, nil
}

// Sync makes durable which files a folder has.
func Sync(folder string) error {
	d, err := os.Open(folder)
	if err != nil {
		return fmt.Errorf("sync %s: %w", folder, err)
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return fmt.Errorf("sync %s: %w", folder, err)
	}
	return nil
}

func writeSynced(path string, content []byte, mode fs.FileMode) error {
	w, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, mode)
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
