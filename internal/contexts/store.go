// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/unibus/unibus/api/client"
	"github.com/unibus/unibus/internal/file"
)

const (
	// EnvFile names the file of contexts.
	EnvFile = "UNIBUS_CONTEXTS"
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

// Load reads the contexts; there are none when there is no file. It fails with ErrDamaged when the file is none of contexts, others may
// write it, or it is a link that leads nowhere.
func Load(path string) (File, error) {
	c, err := client.ReadContexts(path)
	if errors.Is(err, client.ErrNotFound) {
		return File{Contexts: map[string]Context{}}, nil
	}
	return File(c), err
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
