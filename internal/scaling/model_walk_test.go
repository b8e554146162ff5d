// SPDX-License-Identifier: Apache-2.0

package scaling

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

var (
	modelWalk = flag.Duration("model.walk", 4*time.Second, "how long TestModelWalk may walk")
	modelSeed = flag.Uint64("model.seed", 1, "seed of TestModelWalk")
)

// walkLength is the number of events in a walk at random.
const walkLength = 150

// TestModelWalk goes where no exploration comes to: long ways at random, with all rules, where many faults are allowed at once.
func TestModelWalk(t *testing.T) {
	for _, sc := range wilds {
		w := newWorld(sc, allRules(), allEnviron())
		from, err := w.begin()
		if err != nil {
			t.Fatal(err)
		}
		way, walks := w.wander(from, time.Now().Add(*modelWalk/time.Duration(len(wilds))), *modelSeed)
		t.Logf("%-17s %d walks of %d events", sc.name, walks, walkLength)
		if way != nil {
			t.Errorf("%s: a promise is broken:\n%s", sc.name, w.wayStory(from, way))
		}
	}
}

// wander walks at random until a promise is broken, and returns the way there, shortened.
func (w *world) wander(from state, end time.Time, seed uint64) (way []event, walks int) {
	rnd := rand.New(rand.NewPCG(seed, seed))
	for way == nil && time.Now().Before(end) {
		way = w.walk(from, rnd)
		walks++
	}
	return w.shorten(from, way), walks
}

func (w *world) walk(from state, rnd *rand.Rand) []event {
	var way []event
	s := from
	for range walkLength {
		w.successors(&s)
		if len(w.next) == 0 {
			return nil
		}
		n := &w.next[rnd.IntN(len(w.next))]
		// Without that all walks would be of writes and faults.
		for tries := 0; tries < 3 && (n.by.kind == eDies || n.by.kind == eWrite || n.by.kind >= eKill && rnd.IntN(3) > 0); tries++ {
			n = &w.next[rnd.IntN(len(w.next))]
		}
		s = n.state
		way = append(way, n.by)
		if promise, _ := w.judgeAside(&s); promise != 0 {
			return way
		}
	}
	return nil
}

// judgeAside judges while w.next is still needed.
func (w *world) judgeAside(s *state) (int, string) {
	w.next, w.spare = w.spare, w.next
	promise, words := w.judge(s)
	w.next, w.spare = w.spare, w.next
	return promise, words
}

// follow goes a way again, as far as it is one, to where a promise is broken; promise 0: none is.
func (w *world) follow(from state, way []event) (s state, promise int, words string, length int) {
	s = from
	for k, e := range way {
		w.successors(&s)
		i := slices.IndexFunc(w.next, func(n successor) bool { return n.by == e })
		if i < 0 {
			return s, 0, "", 0
		}
		s = w.next[i].state
		if promise, words := w.judgeAside(&s); promise != 0 {
			return s, promise, words, k + 1
		}
	}
	return s, 0, "", 0
}

// shorten leaves out what a way doesn't need to break its promise.
func (w *world) shorten(from state, way []event) []event {
	for again := true; again; {
		again = false
		for n := min(12, len(way)); n > 0; n-- {
			for k := len(way) - n; k >= 0; k-- {
				shorter := slices.Delete(slices.Clone(way), k, k+n)
				if _, promise, _, length := w.follow(from, shorter); promise != 0 {
					way, again = shorter[:length], true
					k = min(k, len(way)-n+1)
				}
			}
		}
	}
	return way
}

func (w *world) wayStory(from state, way []event) string {
	var b strings.Builder
	n0 := w.tellWay(&b, &from)
	for k, e := range way {
		fmt.Fprintf(&b, "  %2d. %s\n", n0+k+1, w.tellEvent(e))
	}
	s, promise, words, _ := w.follow(from, way)
	fmt.Fprintf(&b, "  at last:  %s\n", w.show(&s))
	w.ending(&b, &s)
	fmt.Fprintf(&b, "  promise %d is broken: %s\n", promise, words)
	return b.String()
}
