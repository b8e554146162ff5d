// SPDX-License-Identifier: Apache-2.0

// Package lock has commands take turns.
package lock

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/unibus/unibus/hack/devcluster/internal/poll"
)

// Take takes the lock of a file, and makes the file. While another process has the lock it waits until ctx ends, having
// called waits once. The lock ends with release, or with the process, however that ends. Who has it may remove the file.
func Take(ctx context.Context, path string, waits func()) (release func(), err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return nil, err
	}
	said := false
	err = poll.Until(ctx, func() error {
		file, err := try(path)
		if err == nil {
			release = func() { file.Close() }
			return nil
		}
		if !errors.Is(err, syscall.EWOULDBLOCK) {
			return poll.Hopeless(err)
		}
		if !said {
			said = true
			waits()
		}
		return err
	})
	return release, err
}

// try returns EWOULDBLOCK if somebody has the lock, or had it and took the file away.
func try(path string) (*os.File, error) {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		mine, failed := file.Stat()
		now, gone := os.Stat(path)
		if failed == nil && gone == nil && os.SameFile(mine, now) {
			return file, nil
		}
		err = syscall.EWOULDBLOCK
	}
	file.Close()
	return nil, err
}
