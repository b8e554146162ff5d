// SPDX-License-Identifier: Apache-2.0

package main

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestRows(t *testing.T) {
	root := t.TempDir()
	source := `package p
const have = "bring it " + "back"
func f(x string) {
	refuse(have+"; or set --name "+x, "%s is not %d|%q")
	refuse(have, "plain")
	refuse(have, "plain")
	refuse(have, x)
	other(have, "no")
}`
	if err := os.WriteFile(filepath.Join(root, "a.go"), []byte(source), 0o644); err != nil {
		t.Fatal(err)
	}
	got, err := chapter{call: "refuse", message: 1}.rows(root)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{"| … is not …\\|… | bring it back; or set --name … |\n", "| plain | bring it back |\n"}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}
