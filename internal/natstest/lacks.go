// SPDX-License-Identifier: Apache-2.0

package natstest

import (
	"os"
	"testing"
)

// everyTest is the variable of the environment that is set, to anything, where no test may be skipped for want of a program: in CI.
const everyTest = "EVERY_TEST"

// Lacks ends a test for which the machine has not all that it needs, with words that say how to get it.
func Lacks(t testing.TB, format string, args ...any) {
	t.Helper()
	if os.Getenv(everyTest) != "" {
		t.Fatalf(format, args...)
	}
	t.Skipf(format, args...)
}
