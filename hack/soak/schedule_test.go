// SPDX-License-Identifier: Apache-2.0

package main

import (
	"slices"
	"testing"
	"time"

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

// TestFaultsMeanSomething: a fault that comes when its change is over, or that ends before anybody notices it, tries nothing.
func TestFaultsMeanSomething(t *testing.T) {
	cuts, leaders := 0, 0
	for seed := range uint64(20) {
		for _, r := range Schedule(seed, 20) {
			if !r.Fresh && r.Create != (Fault{}) {
				t.Errorf("seed %d: %v draws a fault for a founding that is not there", seed, r)
			}
			if r.Create.Delay >= foundTime {
				t.Errorf("seed %d: %v: the cluster is founded by then", seed, r.Create)
			}
			for _, f := range []Fault{r.Alone, r.Grow, r.Full, r.Shrink} {
				switch f.Kind {
				case founderAway:
					if f.Role != founder || !slices.Contains(joins, f.Step) || f.Hold < 5*time.Second {
						t.Errorf("seed %d: no joiner starts without the founder: %v", seed, f)
					}
				case cutReset, cutSilent:
					if f.Hold < minCut || f.Hold > maxCut {
						t.Errorf("seed %d: the cut lasts too short or too long: %v", seed, f)
					}
					if cuts++; f.Role == streamLeader {
						leaders++
					}
				}
			}
		}
	}
	if 2*leaders < cuts {
		t.Errorf("of %d cuts only %d are of a stream's leader", cuts, leaders)
	}
}
