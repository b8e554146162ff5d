// SPDX-License-Identifier: Apache-2.0

package crowd

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// TestJudge: each wrong is found, as what it is, and nothing is found in what is right.
func TestJudge(t *testing.T) {
	for name, c := range map[string]struct {
		do   func(*judge)
		want Findings
		word string
	}{
		"heard in time": {func(j *judge) { j.heard("ann", "room", "ann", "", moment(13), moment(14)) }, Findings{Given: 1}, ""},
		"sent in time, heard late": {func(j *judge) { j.heard("ann", "room", "ann", "", moment(19), moment(90)) },
			Findings{Given: 1}, ""},
		"sent within the bound": {func(j *judge) { j.heard("bob", "room", "ann", "", moment(30), moment(31)) }, Findings{Given: 1}, ""},
		"heard by who was removed": {func(j *judge) {
			j.Call(moment(1), Write, Pair{"bob", "room"})(moment(2))
			j.heard("ann", "room", "bob", "", moment(31), moment(32))
		}, Findings{Given: 1, Leaks: 1}, "LEAK"},
		"heard by nobody's friend": {func(j *judge) { j.heard("eve", "room", "ann", "", moment(13), moment(14)) }, Findings{Given: 1, Leaks: 1}, "LEAK"},
		"spoken by a reader":       {func(j *judge) { j.heard("ann", "room", "bob", "", moment(13), moment(14)) }, Findings{Given: 1, Leaks: 1}, "LEAK"},

		"granted":             {func(j *judge) { j.answered("", "ann", "room", Write, "", moment(13), moment(14)) }, Findings{}, ""},
		"granted to a reader": {func(j *judge) { j.answered("", "bob", "room", Write, "", moment(13), moment(14)) }, Findings{Leaks: 1}, "LEAK"},
		"told of another's room": {func(j *judge) { j.answered("", "eve", "room", Read, v1.CodeNotKept, moment(13), moment(14)) },
			Findings{Leaks: 1}, "LEAK"},
		"granted in a time of change": {func(j *judge) { j.answered("", "ann", "room", Write, "", moment(30), moment(40)) }, Findings{}, ""},
		"refused": {func(j *judge) { j.answered("", "ann", "room", Write, v1.CodeForbidden, moment(13), moment(14)) },
			Findings{Refused: 1}, "REFUSED"},
		"refused to a reader":         {func(j *judge) { j.answered("", "bob", "room", Write, v1.CodeForbidden, moment(13), moment(14)) }, Findings{}, ""},
		"refused in a time of change": {func(j *judge) { j.answered("", "ann", "room", Write, v1.CodeForbidden, moment(19), moment(20)) }, Findings{}, ""},
		"unavailable":                 {func(j *judge) { j.answered("", "ann", "room", Write, v1.CodeUnavailable, moment(13), moment(14)) }, Findings{}, ""},
		"strange": {func(j *judge) { j.answered("", "ann", "room", Write, v1.CodeHeader, moment(13), moment(14)) },
			Findings{Wrong: 1}, "WRONG"},

		"entered":           {func(j *judge) { j.entered("ann", moment(13), moment(14)) }, Findings{}, ""},
		"a stranger enters": {func(j *judge) { j.entered("eve", moment(13), moment(14)) }, Findings{Leaks: 1}, "LEAK"},
	} {
		j, told := newJudge(t)
		c.do(j)
		if d := cmp.Diff(c.want, j.findings()); d != "" {
			t.Errorf("%s (-want +got):\n%s", name, d)
		}
		if words := strings.Join(*told, "\n"); !strings.HasPrefix(words, c.word) || (words == "") != (c.word == "") {
			t.Errorf("%s: told %q, want %q", name, words, c.word)
		}
		if j.findings().Bad() != (c.word != "") {
			t.Errorf("%s: bad is %v", name, j.findings().Bad())
		}
	}
}

// TestMissed: in a calm time nothing that was sent may be missed by who may have it, and listens; else that is nobody's fault.
func TestMissed(t *testing.T) {
	const subject = "room.room.>"
	always := []span{{from: moment(0)}}
	for name, c := range map[string]struct {
		at     float64
		change func(speaker, listener *listener)
		lost   int
		judged int
	}{
		"missed":                     {15, nil, 1, 1},
		"got":                        {15, func(_, l *listener) { l.got[subject+" a.1"] = true }, 0, 1},
		"got another":                {15, func(_, l *listener) { l.got[subject+" a.2"] = true }, 1, 1},
		"not calm":                   {18.5, nil, 0, 0},
		"did not listen yet":         {15, func(_, l *listener) { l.stood[subject] = []span{{from: moment(14.5)}} }, 0, 0},
		"listened no more":           {15, func(_, l *listener) { l.stood[subject] = []span{{moment(0), moment(15.5)}} }, 0, 0},
		"in the second of two times": {15, func(_, l *listener) { l.stood[subject] = []span{{moment(0), moment(1)}, {moment(2), moment(17)}} }, 1, 1},
		"spoken into the wind":       {15, func(s, _ *listener) { s.stood[""] = []span{{moment(0), moment(15.5)}} }, 0, 0},
		"not certain to listen":      {2, nil, 0, 0},
	} {
		j, _ := newJudge(t)
		ann := &listener{user: "ann", stood: map[string][]span{"": always}, got: map[string]bool{}}
		bob := &listener{user: "bob", stood: map[string][]span{"": always, subject: always}, got: map[string]bool{}}
		if c.change != nil {
			c.change(ann, bob)
		}
		messages := []sent{{subject: subject, room: "room", id: "a.1", speaker: "ann", at: moment(c.at)}}
		lost, judged := missed(j.Model, span{moment(0), moment(19)}, messages, []*listener{ann, bob})
		if len(lost) != c.lost || judged != c.judged {
			t.Errorf("%s: %d of %d lost, want %d of %d: %v", name, len(lost), judged, c.lost, c.judged, lost)
		}
	}
}
