// SPDX-License-Identifier: Apache-2.0

package chat

import (
	"regexp"
	"testing"
)

// theirs is one of the 16 colours that each terminal has its own of: it may be that of its background.
var theirs = regexp.MustCompile(`\x1b\[(?:[0-9];)*(?:3|4|9|10)[0-7][;m]`)

// TestColours: all can be seen, on what is dark and on what is light.
func TestColours(t *testing.T) {
	for _, dark := range []bool{true, false} {
		m, _ := mustModel(t, 80, 24)
		m.paint(dark)
		m.input.SetValue("typed")
		if found := theirs.FindString(m.View().Content); found != "" {
			t.Errorf("dark %v: a colour that nobody has chosen: %q", dark, found)
		}
	}
}
