// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"

	"github.com/unibus/unibus/internal/e2e/proc"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/scaling"
)

// writerEnv makes the test program a process that writes the record of the named folder until it is killed.
const writerEnv = "CLI_TEST_WRITER"

func TestMain(m *testing.M) {
	if dir := os.Getenv(writerEnv); dir != "" {
		writeForEver(folder{dir})
	}
	if dir := os.Getenv(reaperEnv); dir != "" { // before the next one, whose environment it has
		reap(dir)
	}
	if dir := os.Getenv(orphanEnv); dir != "" {
		leaveOrphan(dir)
	}
	goleak.VerifyTestMain(m, natstest.Leaks(goleak.Cleanup(func(code int) {
		if built != "" {
			if err := proc.Races(built); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
			os.RemoveAll(built)
		}
		os.Exit(code)
	}))...)
}

func writeForEver(f folder) {
	for {
		v, err := f.record()
		if err == nil {
			r := v.Record
			if r == nil {
				r = &scaling.Record{Names: map[string]scaling.Name{}}
			}
			r.Names[fmt.Sprintf("n-%d", v.Version%50)] = scaling.Name{Phase: scaling.Member, Place: int(v.Version)}
			err = f.writeRecord(context.Background(), r, v.Version)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
