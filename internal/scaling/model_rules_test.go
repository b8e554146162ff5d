// SPDX-License-Identifier: Apache-2.0

package scaling

import (
	"flag"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var (
	modelRules = flag.Duration("model.rules", 35*time.Second, "how long TestModelRules may look for counterexamples")
	modelRule  = flag.String("model.rule", "", "the one rule to leave out")
)

// keeps are the rules that nodes and executors keep, by name; switches has Next's.
var keeps = map[string]func(e *environ) *bool{
	"persistID":  func(e *environ) *bool { return &e.persistID },
	"newID":      func(e *environ) *bool { return &e.newID },
	"deny":       func(e *environ) *bool { return &e.deny },
	"nonce":      func(e *environ) *bool { return &e.nonce },
	"atomicWipe": func(e *environ) *bool { return &e.atomicWipe },
	"recVersion": func(e *environ) *bool { return &e.recVersion },
	"sizeCheck":  func(e *environ) *bool { return &e.sizeCheck },
	"liveRead":   func(e *environ) *bool { return &e.liveRead },
	"quorumWord": func(e *environ) *bool { return &e.quorumWord },
}

// ablation says where it is seen what a rule is for. With a promise it is the one to look for.
type ablation struct {
	scenario string
	promise  int
}

var ablations = map[string]ablation{
	"allAnswer":   {"swap", 0},
	"askOrder":    {"old-disk", 4},
	"atomicWipe":  {"no-evacuation", 0},
	"cidCheck":    {"mix-up-doubt", 4},
	"deadFirst":   {"pvc-ops", 0},
	"deny":        {"wipe-replay", 0},
	"discard":     {"pvc", 0},
	"diskName":    {"blind-form", 0},
	"everyStream": {"two-streams", 2},
	"evidence":    {"down-kill", 0},
	"findDisk":    {"swap", 0},
	"followMove":  {"moved", 2},
	"foundGuard":  {"recdel-delete", 3},
	"ghostKnown":  {"old-record", 2},
	"joinGate":    {"hang-five", 5},
	"known":       {"recdel-old", 3},
	"lateRemove":  {"late", 2},
	"liveRead":    {"late-resume", 4},
	"lowerSync":   {"five-down", 2},
	"markWaiting": {"cut", 4},
	"nameByDisk":  {"swap", 0},
	"neverCancel": {"cycle", 0},
	"newID":       {"mix-up", 1},
	"noRefilling": {"pvc-ops", 2},
	"nonce":       {"down-kill", 4},
	"oneByOne":    {"hang", 0},
	"persistID":   {"form3", 0},
	"quorumWord":  {"cut-ops", 0},
	"recVersion":  {"pvc-ops", 0},
	"recordFirst": {"down-kill", 4},
	"refillFirst": {"pvc-ops", 0},
	"removeGate":  {"pvc-ops", 2},
	"resumeProof": {"down-kill", 4},
	"retire":      {"no-evacuation", 0},
	"sizeByName":  {"stray", 0},
	"sizeCheck":   {"late-size", 6},
	"syncFirst":   {"late-raise", 2},
	"takeBack":    {"all-removing", 5},
	"waitRemove":  {"wipe-replay", 0},
}

// without explores a scenario with one rule left out.
func without(t testing.TB, rule string, a ablation, limit time.Duration, states int) result {
	r, e := allRules(), allEnviron()
	switch off, ours := switches[rule]; {
	case ours:
		*off(&r) = false
	default:
		*keeps[rule](&e) = false
	}
	if rule == "lowerSync" { // a second line: what JetStream keeps when it lowers is what has the least lag
		e.leastLag = false
	}
	all := slices.Concat(scenarios, near, wilds)
	i := slices.IndexFunc(all, func(sc scenario) bool { return sc.name == a.scenario })
	return exploreScenario(t, all[i], r, e, limit, states, a.promise)
}

// TestModelRules leaves out one rule at a time, and tells what goes wrong then.
func TestModelRules(t *testing.T) {
	names := slices.Sorted(maps.Keys(switches))
	names = append(names, slices.Sorted(maps.Keys(keeps))...)
	slices.Sort(names)
	if diff := cmp.Diff(names, slices.Sorted(maps.Keys(ablations))); diff != "" {
		t.Errorf("rules without a counterexample (-rules +counterexamples):\n%s", diff)
	}
	end := time.Now().Add(*modelRules)
	// Those that take long come last, so that where time is short most are seen.
	var long []string
	for _, rule := range names {
		if *modelRule != "" && *modelRule != rule || ablations[rule] == (ablation{}) {
			continue
		}
		if !tellWithout(t, rule, min(*modelRules/30, time.Until(end)), false) {
			long = append(long, rule)
		}
	}
	for i, rule := range long {
		tellWithout(t, rule, time.Until(end)/time.Duration(len(long)-i), true)
	}
}

// tellWithout tells what goes wrong without a rule; false when it was cut before. The last try says so.
func tellWithout(t *testing.T, rule string, limit time.Duration, last bool) bool {
	a := ablations[rule]
	start := time.Now()
	r := without(t, rule, a, limit, *modelStates)
	switch {
	case r.promise != 0:
		t.Logf("without %s (%s, %d states, %.1fs):\n%s", rule, a.scenario, r.states, r.took.Seconds(), r.story)
	case r.done || time.Since(start) < limit:
		t.Errorf("without %s: no promise is broken in %s, %d states: what is the rule for?", rule, a.scenario, r.states)
	case !last:
		return false
	default:
		t.Logf("without %s: cut after %d states of %s, nothing found so far", rule, r.states, a.scenario)
	}
	return true
}
