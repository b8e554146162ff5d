// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

var whole = []entry{{2, "a 1"}, {3, "b 1"}, {7, "a 2"}, {9, "a 3"}}

func counts(v verdict) [3]int { return [3]int{len(v.lost), len(v.twice), len(v.wrong)} }

// TestAudit: a history that lacks, doubles, moves or disorders what was answered for is found out.
func TestAudit(t *testing.T) {
	acked := map[string]uint64{"a 1": 2, "b 1": 3, "a 2": 7}
	for name, c := range map[string]struct {
		history []entry
		want    [3]int // lost, twice, wrong
	}{
		"right, with one that nobody was answered for": {whole, [3]int{}},
		"empty":          {nil, [3]int{3, 0, 0}},
		"a loss":         {[]entry{whole[0], whole[2], whole[3]}, [3]int{1, 0, 0}},
		"a duplicate":    {append(whole[:4:4], entry{10, "a 1"}), [3]int{0, 1, 0}},
		"the same twice": {[]entry{whole[0], whole[0], whole[1], whole[2]}, [3]int{0, 1, 1}},
		"out of order":   {[]entry{whole[1], whole[0], whole[2]}, [3]int{0, 0, 1}},
		"elsewhere":      {[]entry{{1, "a 1"}, whole[1], whole[2]}, [3]int{0, 0, 1}},
		"another's":      {[]entry{{2, "b 9"}, whole[1], whole[2]}, [3]int{1, 0, 0}},
	} {
		if d := cmp.Diff(c.want, counts(audit(acked, c.history))); d != "" {
			t.Errorf("%s: lost, twice, wrong (-want +got):\n%s", name, d)
		}
	}
}

// logged is a message of the log.
type logged struct {
	entry
	previous uint64
}

// TestChain: a follower has everything once, whatever of the log is missing or told twice, and its judge finds when it has not.
func TestChain(t *testing.T) {
	log := []logged{{whole[0], 1}, {whole[1], 2}, {whole[2], 3}, {whole[3], 7}}
	for name, c := range map[string]struct {
		log    []logged
		unread bool // holes stay
		want   [3]int
		has    int
		filled int
	}{
		"all":                     {log, false, [3]int{}, 4, 0},
		"from the middle":         {log[2:], false, [3]int{}, 2, 0},
		"a hole":                  {[]logged{log[0], log[3]}, false, [3]int{}, 4, 2},
		"a hole that nobody read": {[]logged{log[0], log[3]}, true, [3]int{}, 1, 0},
		"told again":              {[]logged{log[0], log[1], log[0], log[1], log[2]}, false, [3]int{}, 3, 0},
		"a hole that is not told": {[]logged{log[0], {whole[3], 2}}, false, [3]int{2, 0, 0}, 2, 0},
		"a jump back":             {[]logged{log[0], log[1], {whole[2], 2}}, false, [3]int{0, 0, 1}, 3, 0},
		"what the history lacks":  {[]logged{log[0], {entry{3, "c 1"}, 2}}, false, [3]int{1, 0, 1}, 2, 0},
		"one id at two places":    {[]logged{log[0], {entry{3, "a 1"}, 2}}, false, [3]int{1, 1, 0}, 2, 0},
	} {
		var follower chain
		for _, m := range c.log {
			if !follower.take(m.entry, m.previous) && !c.unread {
				follower.fill(whole[:3])
				if !follower.take(m.entry, m.previous) {
					t.Errorf("%s: %v was not taken after the history", name, m)
				}
			}
		}
		if d := cmp.Diff(c.want, counts(follower.compare(whole))); d != "" {
			t.Errorf("%s: lost, twice, wrong (-want +got):\n%s", name, d)
		}
		if len(follower.have) != c.has || follower.filled != c.filled {
			t.Errorf("%s: has %d, %d of them from the history; want %d and %d", name, len(follower.have), follower.filled, c.has, c.filled)
		}
	}
}
