// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/unibus/unibus/internal/natstest"
)

// asDaemon is set in processes of this binary that are to be membershipd.
const asDaemon = "MEMBERSHIPD_TEST_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(asDaemon) != "" {
		os.Exit(Main(os.Args[1:], os.Environ(), os.Stdout, os.Stderr))
	}
	goleak.VerifyTestMain(m, natstest.Leaks()...)
}
