// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"fmt"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// moment is a number of seconds after some beginning.
func moment(seconds float64) time.Time {
	return time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(seconds * float64(time.Second)))
}

var testBounds = Bounds{Always: 10 * time.Second, Calm: 2 * time.Second}

// newJudge is told that ann was put into the room as a writer, which was called at 1 and answered at 2, and taken out, at 20 and 21; bob
// has read there since 1.
func newJudge(t *testing.T) (*judge, *[]string) {
	t.Helper()
	var told []string
	j := &judge{Model: NewModel(testBounds), say: func(format string, a ...any) { told = append(told, fmt.Sprintf(format, a...)) }}
	j.Call(moment(0), Read, Pair{"ann", ""}, Pair{"bob", ""})(moment(0))
	j.Call(moment(1), Read, Pair{"bob", "room"})(moment(1))
	j.Call(moment(1), Write, Pair{"ann", "room"})(moment(2))
	j.Call(moment(20), None, Pair{"ann", "room"})(moment(21))
	return j, &told
}
