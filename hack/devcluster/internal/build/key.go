// SPDX-License-Identifier: Apache-2.0

package build

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io/fs"
)

// key is a hash of all that a step is made of.
func (b *Builder) key(s step, compiler string) (string, error) {
	s.took = "" // words
	hash := sha256.New()
	fmt.Fprintf(hash, "%s %+v\n", compiler, s)
	if s.source != "" {
		files := []string{"go.mod", "go.sum"}
		err := fs.WalkDir(b.Source, s.source, func(path string, d fs.DirEntry, err error) error {
			if err == nil && !d.IsDir() {
				files = append(files, path)
			}
			return err
		})
		if err != nil {
			return "", err
		}
		for _, file := range files {
			text, err := fs.ReadFile(b.Source, file)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(hash, "%s %x\n", file, sha256.Sum256(text))
		}
	}
	return hex.EncodeToString(hash.Sum(nil))[:12], nil
}
