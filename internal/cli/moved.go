// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"
)

// relocate rewrites the paths in the configuration of a local node whose folder was moved since they were written. A node that went by the
// old ones would not start, or with what lies there by now. Paths that somebody has set to places outside of the folder stay.
func (l *launcher) relocate(i int) error {
	var settings struct {
		Store  string `yaml:"store-dir"`
		Record string `yaml:"identity-record"`
	}
	all, err := l.readConfig(i, &settings)
	if err != nil {
		return err
	}
	dir, err := filepath.Abs(l.folder.dir)
	if err != nil {
		return fmt.Errorf("cluster folder: %w", err)
	}
	old := filepath.Dir(settings.Store)
	if settings.Store != filepath.Join(old, storeDir(i)) || settings.Record != filepath.Join(old, recordFile) || !filepath.IsAbs(old) || same(old, dir) {
		return nil // it was not moved, or somebody has set other places
	}
	replacePaths(all, old, dir)
	return l.writeConfig(i, all)
}

// same says whether two paths lead to the same folder.
func same(a, b string) bool {
	x, err := os.Stat(a)
	if err != nil {
		return a == b
	}
	y, err := os.Stat(b)
	return err == nil && os.SameFile(x, y)
}

// replacePaths replaces the folder of all paths in it.
func replacePaths(n *yaml.Node, old, dir string) {
	if rest, in := strings.CutPrefix(n.Value, old+string(filepath.Separator)); in && n.Kind == yaml.ScalarNode {
		n.Value = filepath.Join(dir, rest)
	}
	for _, c := range n.Content {
		replacePaths(c, old, dir)
	}
}
