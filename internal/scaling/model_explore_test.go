// SPDX-License-Identifier: Apache-2.0

package scaling

import (
	"hash/maphash"
	"math/bits"
	"time"
	"unsafe"
)

// raw is the bytes of a flat value; TestModelStateIsFlat sees that there is no padding in it.
func raw[T any](v *T) []byte { return unsafe.Slice((*byte)(unsafe.Pointer(v)), unsafe.Sizeof(*v)) }

// event is one thing that happens.
type event struct{ kind, x, y, z uint8 }

type successor struct {
	state state
	by    event
}

// world is one exploration: a scenario, the rules in force, and what was seen.
type world struct {
	scenario
	rules rules
	env   environ
	words *words
	seed  maphash.Seed
	cache []remembered
	// next are the successors of the state at hand; spare is where settling makes its own.
	next, spare []successor

	seen, good hashes
	parents    []uint32
	hashes     []uint64
	lookFor    int // the one promise that is judged, 0: all
	persons    map[string]int
	trace      func(string) // when set, settling tells what it does
	moves      int
	way        // how its beginning came about
	deadline   time.Time
	maxStates  int
}

func newWorld(sc scenario, r rules, e environ) *world {
	return &world{scenario: sc, rules: r, env: e, words: newWords(sc.places), seed: maphash.MakeSeed(), cache: make([]remembered, 1<<cacheBits),
		seen: newHashes(), good: newHashes(), persons: map[string]int{}}
}

// copy begins a successor; done ends it, undo takes it back.
func (w *world) copy(s *state) *state {
	w.next = append(w.next, successor{})
	n := &w.next[len(w.next)-1].state
	*n = *s
	return n
}

func (w *world) done(_ *state, kind, x, y, z int) {
	w.next[len(w.next)-1].by = event{uint8(kind), uint8(x), uint8(y), uint8(z)}
}

func (w *world) undo() { w.next = w.next[:len(w.next)-1] }

// successors are all that can happen next.
func (w *world) successors(s *state) []successor {
	w.next = w.next[:0]
	w.nature(s)
	w.operate(s)
	w.faults(s)
	for i := range w.next {
		w.canon(&w.next[i].state)
	}
	return w.next
}

// operate lets drivers decide, act, die in between, and wake up.
func (w *world) operate(s *state) {
	for o := range s.drivers {
		if s.drivers[o].act.kind != 0 {
			w.execute(s, o)
			n := w.copy(s)
			n.drivers[o].act = action{}
			w.done(n, eDies, o, 0, 0)
			continue
		}
		if s.drivers[o].frozen != 0 {
			n := w.copy(s)
			n.drivers[o].thaw()
			w.done(n, eThaw, o, 0, 0)
		}
		if o == 1 && s.budget[fOverlap] == 0 {
			continue
		}
		blind := 1
		if s.budget[fBlind] > 0 {
			blind = 1 << w.places
		}
		for mask := range blind {
			a := w.decide(s, o, uint8(mask))
			if a.kind == 0 || a.kind == aNoNames || mask != 0 && a == w.decide(s, o, 0) {
				continue
			}
			n := w.copy(s)
			if o == 1 {
				n.budget[fOverlap]--
			}
			if mask != 0 {
				n.budget[fBlind]--
			}
			n.drivers[o].act = a
			w.done(n, eDecides, o, int(a.kind), a.what())
		}
	}
}

func (d *driver) thaw() { d.frozen, d.cache, d.staleRec, d.staleAPI = 0, api{}, 0, 0 }

// verdict is what an exploration found.
type verdict struct {
	promise int // that is broken, 0: none
	words   string
	at      int
	done    bool // everything was explored
}

// explore goes breadth-first from a state.
func (w *world) explore(from state) verdict {
	w.visit(&from, 0)
	if promise, words := w.judge(&from); promise != 0 {
		return verdict{promise, words, 0, false}
	}
	front, base := pack(nil, &from), 0
	for len(front) > 0 {
		first := len(w.hashes)
		var next []byte
		for me := base; len(front) > 0; me++ {
			var s state
			front = unpack(front, &s)
			w.successors(&s)
			for i := range w.next {
				n := &w.next[i].state
				w.moves++
				if !w.visit(n, me) {
					continue
				}
				next = pack(next, n)
				w.next, w.spare = w.spare, w.next
				promise, words := w.judge(n)
				w.next, w.spare = w.spare, w.next
				if promise != 0 {
					return verdict{promise, words, len(w.hashes) - 1, false}
				}
			}
			if me%256 == 0 && (len(w.hashes) > w.maxStates || time.Now().After(w.deadline)) {
				return verdict{}
			}
		}
		front, base = next, first
	}
	return verdict{done: true}
}

func (w *world) visit(s *state, parent int) bool {
	h := w.hash(s)
	if !w.seen.add(h) {
		return false
	}
	w.parents = append(w.parents, uint32(parent))
	w.hashes = append(w.hashes, h)
	return true
}

func (w *world) hash(s *state) uint64 { return maphash.Bytes(w.seed, raw(s)) | 1 }

func (w *world) judge(s *state) (promise int, words string) {
	if promise, words = w.broken(s); promise == 0 {
		promise, words = w.settle(s)
	}
	if w.lookFor != 0 && promise != w.lookFor {
		return 0, ""
	}
	return promise, words
}

// hashes is a set of 64-bit hashes: two states with one hash are taken for one, once in about a billion runs.
type hashes struct {
	slots []uint64
	n     int
}

func newHashes() hashes { return hashes{slots: make([]uint64, 1<<12)} }

func (x *hashes) find(h uint64) int {
	mask := uint64(len(x.slots) - 1)
	i := (h >> 1) & mask
	for x.slots[i] != 0 && x.slots[i] != h {
		i = (i + 1) & mask
	}
	return int(i)
}

func (x *hashes) has(h uint64) bool { return x.slots[x.find(h)] == h }

func (x *hashes) add(h uint64) bool {
	if x.n*4 > len(x.slots)*3 {
		old := x.slots
		x.slots = make([]uint64, 2*len(old))
		for _, o := range old {
			if o != 0 {
				x.slots[x.find(o)] = o
			}
		}
	}
	i := x.find(h)
	if x.slots[i] == h {
		return false
	}
	x.slots[i] = h
	x.n++
	return true
}

// pack appends a state without its zeros: for eight bytes each, which of them aren't zero, and those.
func pack(to []byte, s *state) []byte {
	b := raw(s)
	for len(b) > 0 {
		n := min(8, len(b))
		at := len(to)
		to = append(to, 0)
		for i, v := range b[:n] {
			if v != 0 {
				to[at] |= 1 << i
				to = append(to, v)
			}
		}
		b = b[n:]
	}
	return to
}

func unpack(from []byte, s *state) []byte {
	b := raw(s)
	for len(b) > 0 {
		mask := from[0]
		from = from[1:]
		for m := mask; m != 0; m &= m - 1 {
			b[bits.TrailingZeros8(m)] = from[0]
			from = from[1:]
		}
		b = b[min(8, len(b)):]
	}
	return from
}
