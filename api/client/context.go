// SPDX-License-Identifier: Apache-2.0

package client

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// mostContexts is the most bytes that a file of contexts has.
const mostContexts = 1 << 20

// LoadContext returns the options of a context that was made with `unibus context add`: where the bus is, its CA, which cluster it is, and the
// key. Without a name it is that of UNIBUS_CONTEXT, or else the current one. What other options there are may be set before Connect or NewAPI.
//
// The file is UNIBUS_CONTEXTS, or unibus/contexts.json in the folder that os.UserConfigDir says. It fails with ErrNotFound when there is no such
// file or context, and with ErrInvalid when the file is none of contexts or may be written by others, who would so say where the key is used.
func LoadContext(name string) (Options, error) {
	o, err := loadContext(cmp.Or(name, os.Getenv("UNIBUS_CONTEXT")))
	if err != nil {
		return Options{}, fmt.Errorf("load a context: %w", err)
	}
	return o, nil
}

func loadContext(name string) (o Options, err error) {
	path := os.Getenv("UNIBUS_CONTEXTS")
	if path == "" {
		dir, err := os.UserConfigDir()
		if err != nil {
			return o, fmt.Errorf("%w: set UNIBUS_CONTEXTS or HOME: %w", ErrInvalid, err)
		}
		path = filepath.Join(dir, "unibus", "contexts.json")
	}
	content, err := readContexts(path)
	if errors.Is(err, fs.ErrNotExist) {
		return o, fmt.Errorf("%w: make one with unibus context add: %w", ErrNotFound, err)
	}
	if err != nil {
		return o, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var all struct {
		Current  string
		Contexts map[string]struct {
			Servers                 []string
			API, CA, Key, ClusterID string
		}
	}
	if err := json.Unmarshal(content, &all); err != nil {
		return o, fmt.Errorf("%w: %s is no file of contexts: %w", ErrInvalid, path, err)
	}
	c, found := all.Contexts[cmp.Or(name, all.Current)]
	switch {
	case !found && name == "":
		return o, fmt.Errorf("%w: no context in %s is the current one: give a name, or choose one with unibus context use", ErrNotFound, path)
	case !found:
		return o, fmt.Errorf("%w: there is no context %.80q in %s", ErrNotFound, name, path)
	}
	return Options{Servers: c.Servers, API: c.API, ClusterID: c.ClusterID, CAFile: c.CA, Key: SeedFile(c.Key)}, nil
}

func readContexts(path string) ([]byte, error) {
	return readChecked(path, mostContexts, func(info fs.FileInfo) error {
		if mode := info.Mode().Perm(); mode&0o022 != 0 {
			return fmt.Errorf("others may write %s (mode %04o): look through it, then chmod 600 it", path, mode)
		}
		return nil
	})
}
