// SPDX-License-Identifier: Apache-2.0

package scaling

import (
	"fmt"
	"slices"
	"strings"
)

// A scenario may begin close to a danger: at the end of a way that is told by its landmarks. From one to the next everything happens in
// its turn; faults, writes and late drivers only as landmarks.

// way is how a beginning came about.
type way struct {
	walking bool
	held    [2]bool  // drivers that were told to decide, and not yet to act
	bars    []string // what doesn't happen in its turn
	lines   []string // all that happened
	start   string
}

// never, before a landmark, says what doesn't happen in its turn any more.
const never = "never: "

func (w *world) barred(e event) bool {
	return w.walking && slices.ContainsFunc(w.bars, func(words string) bool { return strings.Contains(w.tellEvent(e), words) })
}

// goThere walks from landmark to landmark.
func (w *world) goThere(s *state, landmarks []string) error {
	if len(landmarks) == 0 {
		return nil
	}
	w.way = way{walking: true, start: w.show(s)}
	for _, landmark := range landmarks {
		if words, ok := strings.CutPrefix(landmark, never); ok {
			w.bars = append(w.bars, words)
			continue
		}
		if err := w.goOn(s, landmark); err != nil {
			return err
		}
	}
	w.walking, w.held, w.bars = false, [2]bool{}, nil
	return nil
}

// goOn walks to one landmark.
func (w *world) goOn(s *state, landmark string) error {
	for range 300 {
		for fault := range s.budget {
			s.budget[fault] = 9
		}
		s.budget[fBlind] = 0
		all := w.successors(s)
		if i := slices.IndexFunc(all, func(n successor) bool { return w.tellEvent(n.by) == landmark }); i >= 0 {
			*s = all[i].state
			w.lines = append(w.lines, landmark)
			if by := all[i].by; by.kind == eDecides || by.kind == eDoes {
				w.held[by.x] = by.kind == eDecides
			}
			return nil
		}
		n := w.fair(s)
		if n == nil {
			break
		}
		w.lines = append(w.lines, w.tellEvent(n.by))
		*s = n.state
		w.canon(s)
	}
	return fmt.Errorf("%s: there is no way to %q: %s\n%s", w.name, landmark, w.show(s), strings.Join(w.lines, "\n"))
}

// tellWay begins a story, and returns how many events led to its beginning.
func (w *world) tellWay(b *strings.Builder, from *state) int {
	start := w.start
	if start == "" {
		start = w.show(from)
	}
	fmt.Fprintf(b, "  at first: %s\n", start)
	for k, line := range w.lines {
		fmt.Fprintf(b, "  %2d. %s\n", k+1, line)
	}
	return len(w.lines)
}
