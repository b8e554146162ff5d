// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// Space is what a volume has, in bytes.
type Space struct {
	// Total counts all blocks of the volume, Free those that this process may still fill.
	Total, Free int64
}

// VolumeSpace returns the space of the volume that the folder is on, or would be on once it is made.
func VolumeSpace(dir string) (Space, error) {
	at, err := filepath.Abs(dir)
	if err != nil {
		return Space{}, fmt.Errorf("volume of %s: %w", dir, err)
	}
	for {
		var fs syscall.Statfs_t
		switch err := syscall.Statfs(at, &fs); {
		case err == nil:
			block := int64(fs.Bsize)
			return Space{Total: int64(fs.Blocks) * block, Free: int64(fs.Bavail) * block}, nil
		case !os.IsNotExist(err) || at == filepath.Dir(at):
			return Space{}, fmt.Errorf("volume of %s: %w", dir, err)
		}
		at = filepath.Dir(at)
	}
}

// storeLimit is what all streams together may hold: three quarters of the volume, however full it is
// now, so that the limit is the same at every start and leaves room for Raft's logs.
func storeLimit(dir string) (int64, error) {
	s, err := VolumeSpace(dir)
	return s.Total / 4 * 3, err
}

const storeFolder = "jetstream"

// metaFolder is where the server keeps the log of the meta group.
func metaFolder(storeDir string) string {
	return filepath.Join(storeDir, storeFolder, AccountSystem, "_js_", "_meta_")
}
