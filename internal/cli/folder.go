// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/unibus/unibus/internal/file"
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

// lockLimit is how long a lock is waited for at most. A run holds one for the start or the stop of one node at most.
const lockLimit = startLimit + stopLimit

// locked runs do while no other process holds the named lock of this folder. Locks end with the process that holds them; one that is
// suspended keeps its own, so that a lock is waited for no longer than ctx lasts.
func (f folder) locked(ctx context.Context, name string, do func() error) error {
	return file.Locked(ctx, f.path(name), lockLimit, do)
}

// write replaces a file in one step: after a crash it has the old content or the new one, and once write has returned, the new one.
func (f folder) write(name string, content []byte, mode fs.FileMode) error {
	return file.Write(f.path(name), content, mode)
}
