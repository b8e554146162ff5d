// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lines hands each line to the test's log.
type lines struct{ t *testing.T }

func (l lines) Write(b []byte) (int, error) {
	l.t.Log(string(b))
	return len(b), nil
}

// TestSoakThreeRounds runs raced programs through three rounds, with other faults each time that the seed changes. It judges
// losses, duplicates and being stuck, never time.
func TestSoakThreeRounds(t *testing.T) {
	if testing.Short() {
		t.Skip("three rounds take minutes")
	}
	sums, err := Run(t.Context(), Config{
		Rounds: 3, Seed: 8, Writers: 2, Pause: 40 * time.Millisecond, Deadline: 8 * time.Minute, Raced: true, Dir: t.TempDir(), Out: lines{t},
	})
	if err != nil {
		t.Error(err)
	}
	if sums.Rounds != 3 || sums.Acknowledged == 0 || sums.Lost+sums.Duplicated+sums.Leaks+sums.Refused > 0 {
		t.Error(sums)
	}
}

// TestLastLine is what whoever runs the soak reads.
func TestLastLine(t *testing.T) {
	s := Sums{Rounds: 20, Acknowledged: 12345, LongestGap: 6136 * time.Millisecond, LongestPlanned: 340 * time.Millisecond, Leaks: 2, Refused: 1}
	want := "soak: rounds 20 acknowledged 12345 lost 0 duplicated 0 longest-gap-ms 6136 longest-gap-planned-ms 340 leaks 2 refused 1"
	if got := fmt.Sprint(s); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

// TestWrongUse: a soak that would try nothing is no success, and the line that is read for is there.
func TestWrongUse(t *testing.T) {
	for _, args := range [][]string{
		{"-rounds", "0"}, {"-rounds", "-1"}, {"-bin", t.TempDir()}, {"-only", "3", "-rounds", "2"}, {"-writers", "0"},
		{"-deadline", "0s"}, {"-nonsense"}, {"more"},
	} {
		var out, notes bytes.Buffer
		code := run(args, &out, &notes)
		if code != 2 || !strings.HasPrefix(out.String(), "soak: rounds 0 ") || strings.Count(out.String(), "\n") != 1 || notes.Len() == 0 {
			t.Errorf("%q: exit %d, %q, %q", args, code, out.String(), notes.String())
		}
	}
}
