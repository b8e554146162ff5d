// SPDX-License-Identifier: Apache-2.0

package main

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestSchedule: a seed gives one schedule, another seed another, and twenty rounds have every fault.
func TestSchedule(t *testing.T) {
	one := Schedule(1, 20)
	if d := cmp.Diff(one, Schedule(1, 20)); d != "" {
		t.Errorf("the same seed gives another schedule (-first +second):\n%s", d)
	}
	if d := cmp.Diff(one[:5], Schedule(1, 5)); d != "" {
		t.Errorf("fewer rounds are not the first of more (-more +fewer):\n%s", d)
	}
	if cmp.Equal(one, Schedule(2, 20)) {
		t.Error("another seed gives the same schedule")
	}
	for seed := range uint64(20) {
		seen, fives, fresh := map[Kind]bool{}, 0, 0
		for _, r := range Schedule(seed, 20) {
			if r.Top == 5 {
				fives++
			}
			if r.Fresh {
				fresh++
				seen[r.Create.Kind] = true
			}
			for _, f := range []Fault{r.Alone, r.Grow, r.Full, r.Shrink} {
				seen[f.Kind] = true
			}
		}
		for _, k := range []Kind{nothing, rotate, roll, killNode, killDriver, killBoth, killAll, stopAll, twoDrivers, cancel,
			founderAway, pause, cutReset, cutSilent, diskLost, disksSwapped, diskOld, diskBack} {
			if !seen[k] {
				t.Errorf("seed %d: no round has the fault %s", seed, k)
			}
		}
		if fives == 0 || fresh == 0 {
			t.Errorf("seed %d: %d rounds with five nodes, %d with a new cluster", seed, fives, fresh)
		}
	}
}
