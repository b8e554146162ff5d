// SPDX-License-Identifier: Apache-2.0

package embeddednats_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/unibus/unibus/internal/natstest"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		foundingChild(dir)
		return
	}
	goleak.VerifyTestMain(m, natstest.Leaks()...)
}
