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
	modelRules = flag.Duration("model.rules", 45*time.Second, "how long TestModelRules may look for counterexamples")
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
	"atomicWipe":  {"no-evacuation", 0},
	"deadFirst":   {"pvc-ops", 0},
	"deny":        {"wipe-replay", 0},
	"discard":     {"pvc", 0},
	"diskName":    {"blind-form", 0},
	"everyStream": {"two-streams", 2},
	"evidence":    {"down-kill", 0},
	"findDisk":    {"swap", 0},
	"foundGuard":  {"recdel-delete", 3},
	"ghostKnown":  {"old-record", 2},
	"known":       {"recdel-old", 3},
	"lateRemove":  {"late", 2},
	"lowerSync":   {"five-down", 2},
	"markWaiting": {"cut", 4},
	"nameByDisk":  {"swap", 0},
	"neverCancel": {"cycle", 0},
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
	"waitRemove":  {"wipe-replay", 0},
}

// secondLines are rules without which no promise was found broken: other rules hold alone within what was explored. They are kept for
// what the model leaves out, as said here.
var secondLines = map[string]string{
	"askOrder":   "without a record nobody knows which of several identities is out of date; the fewer of them run, the better",
	"cidCheck":   "nodes refuse orders of another cluster's id as well; but names may be alike",
	"followMove": "a record that is up to date is what a person reads, and where a silent disk is looked for",
	"joinGate":   "a join while a member is behind leaves no room for one more loss",
	"liveRead":   "versions, nonces and phases that only go forward stop a mistaken step; this has fewer of them tried",
	"newID":      "two clusters that were made with one name would take each other's disks",
	"sizeCheck":  "a size lowered late stops members; they come up again with the next pass",
	"syncFirst":  "a disk that is kept may be needed again while another replica is empty",
	"takeBack":   "a sole member that is being removed could neither go nor stay",
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
	all := slices.Concat(scenarios, wilds)
	i := slices.IndexFunc(all, func(sc scenario) bool { return sc.name == a.scenario })
	return exploreScenario(t, all[i], r, e, limit, states, a.promise)
}

// TestModelRules leaves out one rule at a time, and tells what goes wrong then.
func TestModelRules(t *testing.T) {
	names := slices.Sorted(maps.Keys(switches))
	names = append(names, slices.Sorted(maps.Keys(keeps))...)
	slices.Sort(names)
	told := slices.Concat(slices.Collect(maps.Keys(ablations)), slices.Collect(maps.Keys(secondLines)))
	slices.Sort(told)
	if diff := cmp.Diff(names, told); diff != "" {
		t.Errorf("rules without a counterexample (-rules +counterexamples):\n%s", diff)
	}
	end := time.Now().Add(*modelRules)
	for _, rule := range names {
		a, ok := ablations[rule]
		if !ok || *modelRule != "" && *modelRule != rule {
			continue
		}
		r := without(t, rule, a, time.Until(end), *modelStates)
		switch {
		case r.promise != 0:
			t.Logf("without %s (%s, %d states, %.1fs):\n%s", rule, a.scenario, r.states, r.took.Seconds(), r.story)
		case time.Now().Before(end):
			t.Errorf("without %s: no promise is broken in %s, %d states: what is the rule for?", rule, a.scenario, r.states)
		default:
			t.Logf("without %s: cut after %d states of %s, nothing found so far", rule, r.states, a.scenario)
		}
	}
}
