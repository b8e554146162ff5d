// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// writeCLI writes docs/cli.md, as the program tells it of itself: no other program may import its packages.
func writeCLI(root string) error {
	c := exec.Command("go", "run", "./cmd/unibus", "reference")
	var said bytes.Buffer
	c.Dir, c.Stderr = root, &said
	out, err := c.Output()
	if err != nil {
		return fmt.Errorf("unibus reference: %w: %s", err, said.String())
	}
	return os.WriteFile(filepath.Join(root, "docs", "cli.md"), out, 0o644)
}
