// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/unibus/unibus/internal/file"
)

const (
	// EnvFile names the file of contexts.
	EnvFile = "UNIBUS_CONTEXTS"
	// mostFile is the most bytes of it.
	mostFile = 1 << 20
	// lockLimit is how long another writer is waited for: it writes one small file.
	lockLimit = 10 * time.Second
)

// Folder is where this program keeps what belongs to its user.
func Folder() (string, error) {
	dir, err := os.UserConfigDir()
	if err != nil {
		return "", fmt.Errorf("find the folder for contexts: %w; set %s or HOME", err, EnvFile)
	}
	return filepath.Join(dir, "unibus"), nil
}

// Path is the file of contexts: $UNIBUS_CONTEXTS, or contexts.json in Folder.
func Path() (string, error) {
	if path := os.Getenv(EnvFile); path != "" {
		return path, nil
	}
	dir, err := Folder()
	return filepath.Join(dir, "contexts.json"), err
}

// Load reads the contexts; there are none when there is no file. It fails with ErrDamaged when the file is none of contexts or others may
// write it.
func Load(path string) (File, error) {
	none := File{Contexts: map[string]Context{}}
	path, err := file.Resolve(path)
	if err != nil {
		return none, fmt.Errorf("read the contexts: %w", err)
	}
	r, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return none, nil
	}
	if err != nil {
		return none, fmt.Errorf("read the contexts: %w", err)
	}
	defer r.Close()
	info, err := r.Stat()
	if err != nil {
		return none, fmt.Errorf("read the contexts: %w", err)
	}
	if mode := info.Mode().Perm(); mode&0o022 != 0 {
		return none, fmt.Errorf("the contexts in %s: %w: others may write it (mode %04o), and so say where you connect to: look through it, then chmod 600 it", path, ErrDamaged, mode)
	}
	b, err := io.ReadAll(io.LimitReader(r, mostFile+1))
	if err != nil {
		return none, fmt.Errorf("read the contexts: %w", err)
	}
	if len(b) > mostFile {
		return none, fmt.Errorf("the contexts in %s: %w: more than %d bytes; move it away", path, ErrDamaged, mostFile)
	}
	f, err := Parse(b)
	if err != nil {
		return none, fmt.Errorf("the contexts in %s: %w; correct it, or move it away", path, err)
	}
	return f, nil
}

// Update changes the file under a lock, as it is then, in one step. Nothing is written when change fails. It fails as Load does.
func Update(ctx context.Context, path string, change func(*File) error) error {
	path, err := file.Resolve(path) // by whatever name it is known, there is one lock
	if err != nil {
		return fmt.Errorf("change the contexts: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make the folder for contexts: %w", err)
	}
	return file.Locked(ctx, path+".lock", lockLimit, func() error {
		f, err := Load(path)
		if err != nil {
			return err
		}
		if err := change(&f); err != nil {
			return err
		}
		b, err := json.MarshalIndent(f, "", "  ")
		if err != nil {
			return fmt.Errorf("encode the contexts: %w", err)
		}
		return file.Write(path, append(b, '\n'), 0o600)
	})
}
