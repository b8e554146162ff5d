// SPDX-License-Identifier: Apache-2.0

package scaling

import "slices"

// settle ends all faults and lets what happens by itself happen, in one fair order, until the wish is fulfilled, or a person is asked who
// is really needed. Going round in circles is the fifth promise broken. States from which it is known to end well are remembered.
func (w *world) settle(from *state) (promise int, words string) {
	s := *from
	s.budget = [budgets]uint8{}
	var path []uint64
	for range 400 {
		w.canon(&s)
		h := w.hash(&s)
		if w.good.has(h) {
			return w.settled(path, "")
		}
		if slices.Contains(path, h) {
			return w.rest(&s, path, "goes round in circles")
		}
		path = append(path, h)
		if promise, words := w.broken(&s); promise != 0 {
			return promise, "after the last fault: " + words
		}
		idle := s.drivers[0].act.kind == 0 && s.drivers[1].act.kind == 0
		if idle && w.goal(&s) {
			if why := w.atGoal(&s); why != "" {
				return 5, why
			}
			return w.settled(path, "")
		}
		n := w.fair(&s)
		if n == nil {
			return w.rest(&s, path, "stands still")
		}
		if w.trace != nil {
			w.trace(w.tellEvent(n.by))
		}
		s = n.state
	}
	return 5, "no end in 400 steps"
}

func (w *world) settled(path []uint64, why string) (int, string) {
	if why != "" {
		w.persons[why]++
	}
	for _, h := range path {
		w.good.add(h)
	}
	return 0, ""
}

// atGoal: what is wished is there, so Next must say so, or go on for the sake of something else (the id beside the record, volumes).
func (w *world) atGoal(s *state) string {
	if w.rules != allRules() {
		return ""
	}
	v, _, _ := w.see(s, 0, 0)
	if step := w.ask(&v); step.Person && s.recLost == 0 && !s.mixedUp() {
		return "all is well, and a person is asked: " + step.Reason
	}
	return ""
}

// rest is where nothing goes on. It must be a place where a person is needed, and told so with a remedy.
func (w *world) rest(s *state, path []uint64, how string) (int, string) {
	v, _, _ := w.see(s, 0, 0)
	v.quiet = 1
	step := w.ask(&v)
	if step.Action == WriteRecord && w.translate(&v, step).kind == aNoNames {
		return w.settled(path, "the model has no more names")
	}
	why := w.person(s)
	if why == "" {
		return 5, how + ", for no good reason: " + step.Reason
	}
	if !step.Person || step.Remedy == "" {
		return 5, how + ", and no person is asked: " + step.Reason
	}
	return w.settled(path, why)
}

// fair is what happens next when everything that can happen does in its turn; nil when nothing does.
func (w *world) fair(s *state) *successor {
	w.next = w.next[:0]
	for o := range s.drivers {
		if s.drivers[o].act.kind == 0 || w.held[o] {
			continue
		}
		w.execute(s, o)
		if len(w.next) == 0 {
			w.copy(s).drivers[o].act = action{}
			w.done(nil, eFails, o, 0, 0)
		}
		return &w.next[0]
	}
	for o := range s.drivers {
		if s.drivers[o].frozen != 0 && !w.walking {
			w.copy(s).drivers[o].thaw()
			w.done(nil, eThaw, o, 0, 0)
			return &w.next[0]
		}
	}
	w.nature(s)
	for i := range w.next {
		if w.next[i].by.kind != eWrite && !w.barred(w.next[i].by) {
			return &w.next[i]
		}
	}
	w.next = w.next[:0]
	n := w.copy(s)
	if w.mount(n) && !w.barred(event{kind: eMount}) {
		w.done(n, eMount, 0, 0, 0)
		return &w.next[0]
	}
	*n = *s
	if w.held[0] {
		return nil
	}
	a := w.decide(s, 0, 0)
	if a.kind == 0 || a.kind == aNoNames {
		return nil
	}
	n.drivers[0].act = a
	w.done(n, eDecides, 0, int(a.kind), a.what())
	return &w.next[0]
}

// mount brings what is mounted up to date, as kubelet does after a while.
func (w *world) mount(n *state) (fresh bool) {
	for i := range w.places {
		if n.places[i].exists == 1 && w.env.deny && n.places[i].mount != n.denied() {
			n.places[i].mount, fresh = n.denied(), true
		}
	}
	return fresh
}
