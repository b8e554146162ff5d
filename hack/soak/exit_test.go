// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"os/exec"
	"testing"
)

// TestExitVerdict: what a driver that found a loss says is never taken for "run it again".
func TestExitVerdict(t *testing.T) {
	for _, c := range []struct {
		code  int
		kind  Kind
		wrong bool
	}{
		{0, nothing, false}, {1, nothing, false}, {4, killNode, false}, {130, killDriver, false},
		{2, nothing, true}, {5, nothing, true}, {6, nothing, true}, {6, killAll, true}, {6, diskLost, true},
		{3, nothing, true}, {3, killNode, true}, {3, cancel, true}, {3, diskLost, false}, {3, disksSwapped, false},
	} {
		err := exec.CommandContext(t.Context(), "/bin/sh", "-c", fmt.Sprint("exit ", c.code)).Run()
		if err != nil {
			err = fmt.Errorf("driver: %w", err)
		}
		if got := exitVerdict(err, c.kind); (got != nil) != c.wrong {
			t.Errorf("exit %d with the fault %s: %v, wrong %v is wanted", c.code, c.kind, got, c.wrong)
		}
	}
}
