// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"testing"

	"go.uber.org/goleak"

	"github.com/unibus/unibus/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, natstest.Leaks()...) }
