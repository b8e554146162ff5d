// SPDX-License-Identifier: Apache-2.0

package scaling

import (
	"flag"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

var (
	modelTime   = flag.Duration("model.time", 12*time.Second, "how long TestModel may explore, all scenarios together")
	modelOnly   = flag.String("model.only", "", "the scenarios to explore, separated by commas; all when empty")
	modelStates = flag.Int("model.states", 6e6, "states at most in one scenario")
)

func chosen(scenario string) bool {
	return *modelOnly == "" || slices.Contains(strings.Split(*modelOnly, ","), scenario)
}

// begin is the state that a scenario starts from: formed by the rules themselves.
func (w *world) begin() (state, error) {
	var s state
	s.api.spec, s.doomPol = w.spec, w.policy
	if w.formed > 0 {
		s.api.spec = w.formed
		r, e := w.rules, w.env
		w.rules, w.env = allRules(), allEnviron()
		for range 500 {
			w.canon(&s)
			if w.goal(&s) && s.api.known != 0 {
				break
			}
			n := w.fair(&s)
			if n == nil {
				break
			}
			s = n.state
		}
		if !w.goal(&s) {
			return s, fmt.Errorf("%s: can't form the beginning: %s", w.name, w.show(&s))
		}
		w.rules, w.env = r, e
		clear(w.cache)
	}
	if err := w.goThere(&s, dangers[w.name]); err != nil {
		return s, err
	}
	s.budget = [budgets]uint8{}
	for fault, n := range w.allow {
		s.budget[fault] = n
	}
	w.canon(&s)
	return s, nil
}

func TestModelStateIsFlat(t *testing.T) {
	var size func(reflect.Type) uintptr
	size = func(x reflect.Type) (n uintptr) {
		switch x.Kind() {
		case reflect.Struct:
			for i := range x.NumField() {
				n += size(x.Field(i).Type)
			}
			return n
		case reflect.Array:
			return uintptr(x.Len()) * size(x.Elem())
		}
		return x.Size()
	}
	for _, x := range []reflect.Type{reflect.TypeFor[state](), reflect.TypeFor[sight]()} {
		if size(x) != x.Size() {
			t.Errorf("%v has %d bytes, its fields have %d: padding would be hashed", x, x.Size(), size(x))
		}
	}
}

// result is what became of a scenario.
type result struct {
	verdict
	states, moves int
	persons       map[string]int
	took          time.Duration
	story         string
}

// TestModel explores every scenario with all rules, two at a time. A scenario that isn't exhausted when its share of the time is spent,
// or at -model.states, is cut: everything up to a depth was seen, and nothing beyond.
func TestModel(t *testing.T) {
	var todo []scenario
	for _, sc := range slices.Concat(scenarios, near) {
		if chosen(sc.name) {
			todo = append(todo, sc)
		}
	}
	results := make([]result, len(todo))
	var mu sync.Mutex
	next, end := 0, time.Now().Add(*modelTime)
	var workers sync.WaitGroup
	for range 2 {
		workers.Go(func() {
			for {
				mu.Lock()
				i := next
				next++
				mu.Unlock()
				if i >= len(todo) {
					return
				}
				results[i] = exploreScenario(t, todo[i], allRules(), allEnviron(), share(todo[i:], end), *modelStates, 0)
			}
		})
	}
	workers.Wait()
	states, moves, exhausted := 0, 0, 0
	for i, r := range results {
		how := "cut"
		if r.done {
			how = "exhausted"
			exhausted++
		}
		t.Logf("%-17s %9d states %10d transitions  %-9s %6.1fs", todo[i].name, r.states, r.moves, how, r.took.Seconds())
		for _, why := range slices.Sorted(maps.Keys(r.persons)) {
			t.Logf("%17s ends with a person, %d times: %s", "", r.persons[why], why)
		}
		if r.promise != 0 {
			t.Errorf("%s: promise %d is broken:\n%s", todo[i].name, r.promise, r.story)
		}
		states, moves = states+r.states, moves+r.moves
	}
	t.Logf("%d scenarios, %d of them exhausted: %d states, %d transitions", len(todo), exhausted, states, moves)
}

// share is the time for the first of the scenarios that are left, of what is left; two are explored at a time.
func share(left []scenario, end time.Time) time.Duration {
	weight := 0
	for _, sc := range left {
		weight += sc.weight
	}
	return min(2*time.Until(end)*time.Duration(left[0].weight)/time.Duration(weight), time.Until(end))
}

func exploreScenario(t testing.TB, sc scenario, r rules, e environ, limit time.Duration, states, lookFor int) result {
	w := newWorld(sc, r, e)
	from, err := w.begin()
	if err != nil {
		t.Error(err)
		return result{}
	}
	start := time.Now()
	w.deadline, w.maxStates, w.lookFor = start.Add(limit), states, lookFor
	found := result{verdict: w.explore(from)}
	found.states, found.moves, found.persons, found.took = len(w.hashes), w.moves, w.persons, time.Since(start)
	if found.promise != 0 {
		found.story = w.story(from, found.verdict)
	}
	return found
}
