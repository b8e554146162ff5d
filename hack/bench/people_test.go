// SPDX-License-Identifier: Apache-2.0

package main

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

// TestPeople: processes that don't talk to each other know the same users and rooms, and the rules take them.
func TestPeople(t *testing.T) {
	a, err := newPerson(7)
	b, err2 := newPerson(7)
	other, err3 := newPerson(8)
	if err != nil || err2 != nil || err3 != nil {
		t.Fatal(err, err2, err3)
	}
	if a.key != b.key || a.key == other.key || roomID(7) == roomID(8) {
		t.Errorf("users %s %s %s, rooms %s %s", a.key, b.key, other.key, roomID(7), roomID(8))
	}
	if !v1.IsUserKey(a.key) || !v1.IsRoomID(roomID(7)) {
		t.Errorf("%s is no key, or %s no id", a.key, roomID(7))
	}
	for what, name := range map[string]string{"user": a.name, "room": roomName(7), "class": class} {
		if err := membership.CheckName(what, name); err != nil {
			t.Error(err)
		}
	}
	if err := membership.CheckClass(unbounded(class), 1<<20); err != nil {
		t.Error(err)
	}
}

// TestJudgeRemovals: the bound is of the 99th percentile from the answer, five times as much in a flood, and nothing may be let in or hurt.
func TestJudgeRemovals(t *testing.T) {
	of := func(slow time.Duration, let, hurt int) (all []removal) {
		for range 196 {
			all = append(all, removal{answer: -time.Millisecond, asked: 2 * time.Millisecond})
		}
		for range 4 {
			all = append(all, removal{answer: slow, asked: slow + 3*time.Millisecond})
		}
		all[0].let, all[1].hurt = let, hurt
		return all
	}
	for _, c := range []struct {
		name      string
		slow      time.Duration
		let, hurt int
		quiet     bool
		held      bool
	}{
		{"in time", 10 * time.Millisecond, 0, 0, true, true},
		{"late", 11 * time.Millisecond, 0, 0, true, false},
		{"in time in a flood", 50 * time.Millisecond, 0, 0, false, true},
		{"late in a flood", 51 * time.Millisecond, 0, 0, false, false},
		{"let in", 0, 1, 0, true, false},
		{"hurt", 0, 0, 1, true, false},
	} {
		r := judgeRemovals(c.name, of(c.slow, c.let, c.hurt), c.quiet)
		if r.Held != c.held || r.P50 != 0 || r.AskedP50 != 2 {
			t.Errorf("%s: %+v, want held %v", c.name, r, c.held)
		}
	}
}

func TestJudgeBeside(t *testing.T) {
	for _, c := range []struct {
		low, least float64
		held       bool
	}{{0.71, 0.7, true}, {0.69, 0.7, false}, {0.1, 0, true}} {
		r := besideRow{Ratio: interval{Median: 1, Low: c.low, High: 2, N: 21}}.judge(c.least)
		if r.Held != c.held || (r.Bound == "") != (c.least == 0) {
			t.Errorf("%+v: %+v", c, r)
		}
	}
}

// TestHeldOfUsers: each bound that is not held makes the run fail.
func TestHeldOfUsers(t *testing.T) {
	for name, r := range map[string]results{
		"revocations": {Revocations: []revokeRow{{Held: true}, {}}},
		"logins":      {Logins: []besideRow{{}}},
		"history":     {History: []besideRow{{}, {Held: true}}},
		"memory":      {Memory: &memoryResult{}},
		"storms":      {Storms: []stormRow{{}}},
	} {
		if r.held() {
			t.Errorf("%s: held", name)
		}
	}
	if !(&results{Memory: &memoryResult{Held: true}}).held() {
		t.Error("nothing was judged wrong")
	}
}

// TestBetween counts what was said in a time, whenever it came.
func TestBetween(t *testing.T) {
	at := func(ms int) time.Time { return begun.Add(time.Duration(ms)*time.Millisecond - time.Hour) }
	s := &trail{
		said: []time.Time{at(0), at(5), at(10), at(15), at(20)},
		came: []time.Time{at(1), at(7), {}, at(115), at(21)},
	}
	got := s.between(t.Context(), at(5), at(20))
	if diff := cmp.Diff(calls{P50: 51, P99: 99.02, Most: 100, Sent: 3, Lost: 1}, got, cmp.Transformer("rounded", func(f float64) int { return int(f*100 + 0.5) })); diff != "" {
		t.Error(diff)
	}
	well := calls{Sent: 1}
	for what, tt := range map[string]struct {
		during fared
		held   bool
	}{
		"nothing was lost":                        {fared{well, well}, true},
		"what was lost is not judged":             {fared{got, well}, false},
		"what was not kept is not judged":         {fared{well, got}, false},
		"where nobody said anything, all is well": {fared{calls{}, well}, false},
		"where nothing was kept, all is well":     {fared{well, calls{}}, false},
	} {
		if r := (stormRow{Before: fared{well, well}, During: tt.during, After: fared{well, well}}).judge(); r.Held != tt.held {
			t.Error(what)
		}
	}
}

func TestParseMetrics(t *testing.T) {
	got := parseMetrics(strings.NewReader("# HELP a b\na 1\nb{c=\"d e\"} 2.5e+06\n\nbad\n"))
	if diff := cmp.Diff(map[string]float64{"a": 1, `b{c="d e"}`: 2.5e6}, got); diff != "" {
		t.Error(diff)
	}
}
