// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestAppendAnswerOfEitherForm(t *testing.T) {
	for name, c := range map[string]struct {
		answer    string
		sequence  uint64
		duplicate bool
		code      string
	}{
		"stream":            {`{"stream":"HISTORY_c","seq":7}`, 7, false, ""},
		"stream, duplicate": {`{"stream":"HISTORY_c","seq":7,"duplicate":true}`, 7, true, ""},
		"stream, full":      {`{"error":{"code":503,"err_code":10077,"description":"maximum bytes exceeded"},"stream":"HISTORY_c","seq":0}`, 0, false, CodeFull},
		"stream, large":     {`{"error":{"code":400,"err_code":10054,"description":"message size exceeds maximum allowed"}}`, 0, false, CodeTooLarge},
		"stream, no leader": {`{"error":{"code":503,"err_code":10008,"description":"JetStream system temporarily unavailable"},"seq":3}`, 0, false, CodeUnavailable},
		"stream, no reason": {`{"error":{"code":503}}`, 0, false, CodeUnavailable},
		"node, refused":     {`{"error":{"code":"rate","message":"slower"}}`, 0, false, CodeRate},
		"ours":              {`{"sequence":8,"duplicate":true}`, 8, true, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := AppendAnswer{Sequence: 99, Duplicate: true}
			if err := json.Unmarshal([]byte(c.answer), &a); err != nil {
				t.Fatal(err)
			}
			code := ""
			if a.Error != nil {
				code = a.Error.Code
			}
			if a.Sequence != c.sequence || a.Duplicate != c.duplicate || code != c.code {
				t.Errorf("%s is read as %+v, code %q", c.answer, a, code)
			}
			b, err := json.Marshal(a)
			if err != nil {
				t.Fatal(err)
			}
			var again AppendAnswer
			if err := json.Unmarshal(b, &again); err != nil || again.Sequence != a.Sequence || again.Duplicate != a.Duplicate || (again.Error == nil) != (a.Error == nil) {
				t.Errorf("%s, written and read again, is %+v: %v", b, again, err)
			}
		})
	}
}

func TestAppendAnswerOfNeitherForm(t *testing.T) {
	for _, text := range []string{`{}`, `{"stream":"HISTORY_c"}`, `{"sequence":-1}`, `[]`, `x`, ``} {
		if a := (AppendAnswer{}); json.Unmarshal([]byte(text), &a) == nil {
			t.Errorf("%q is read as %+v", text, a)
		}
	}
}

func TestParseService(t *testing.T) {
	user, room := "U"+strings.Repeat("A", UserKeySize-1), strings.Repeat("R", RoomIDSize)
	for subject, want := range map[string]string{
		AppendSubject(user, room):                         "append",
		LocalSubjects(AppendSubject(user, room), "NODE"):  "append",
		LocalSubjects(HistorySubject(user, room), "NODE"): "history",
		RoomsSubject(user):                                "rooms",
		LocalSubjects(RoomsSubject(user), "NODE"):         "",
		AppendSubject(user, room) + ".NODE.more":          "",
		AppendSubject("U", room):                          "",
		AppendSubject(user, "R"):                          "",
		"unibus." + user + ".purge." + room:               "",
		"x." + AppendSubject(user, room):                  "",
	} {
		u, service, r, ok := ParseService(subject)
		if ok != (want != "") {
			t.Errorf("%s: %v", subject, ok)
			continue
		}
		if ok && (service != want || u != user || (r != room && want != "rooms")) {
			t.Errorf("%s is read as %s of %s in %s", subject, service, u, r)
		}
	}
}
