// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// FuzzAnswers reads what a server may send as each of what a server does send. Nothing panics, and what is given on keeps its promises.
func FuzzAnswers(f *testing.F) {
	user := "U" + strings.Repeat("A", v1.UserKeySize-1)
	room := strings.Repeat("A", v1.RoomIDSize)
	headers := func(pairs ...string) string {
		s := "NATS/1.0\r\n"
		for i := 0; i < len(pairs); i += 2 {
			s += pairs[i] + ": " + pairs[i+1] + "\r\n"
		}
		return s + "\r\n"
	}
	at := time.Unix(1, 2).UTC().Format(time.RFC3339Nano)
	f.Add(v1.LogSubject(room), headers(v1.HeaderSender, user, v1.HeaderLogSequence, "7", v1.HeaderLogPrevious, "5", headerLogTime, at), []byte("x"), uint64(5))
	f.Add(v1.LogSubject(room), headers(v1.HeaderSender, user, v1.HeaderLogSequence, "9", v1.HeaderLogPrevious, "18446744073709551615", headerLogTime, at), []byte(""), uint64(5))
	f.Add("_INBOX.x", headers(v1.HeaderSender, user, v1.HeaderSequence, "7", v1.HeaderTime, at, "App-A", "1"), []byte("x"), uint64(0))
	f.Add("_INBOX.x", headers(v1.HeaderEnd, `{"messages":0,"next":1,"more":true}`), []byte(""), uint64(0))
	f.Add("_INBOX.x", headers(v1.HeaderEnd, `{"error":{"code":"unavailable","message":"\u001b[2J"}}`), []byte(""), uint64(0))
	f.Add("_INBOX.x", "NATS/1.0 503\r\n\r\n", []byte(""), uint64(0))
	f.Add("_INBOX.x", "", []byte(`{"sequence":1,"duplicate":true}`), uint64(1))
	f.Add("_INBOX.x", "", []byte(`{"error":{"code":"rate"}}`), uint64(1))
	for _, answer := range []string{`{"stream":"HISTORY_kept","seq":7}`, `{"stream":"a","seq":7,"duplicate":true}`, `{"stream":"a","domain":"b","seq":7}`,
		`{"stream":"a","error":{},"b":"c","seq":7}`, `{"stream":"a","seq":0}`, `{"stream":"a","seq":07}`, `{"stream":"\","seq":7}`} {
		f.Add("_INBOX.x", "", []byte(answer), uint64(1))
	}
	f.Add(v1.RoomSubject(room, user, v1.SubjectMessage), "", []byte("x"), uint64(1))
	f.Fuzz(func(t *testing.T, subject, header string, data []byte, last uint64) {
		h, err := nats.DecodeHeadersMsg([]byte(header))
		if err != nil {
			h = nil
		}
		m := &nats.Msg{Subject: subject, Header: h, Data: data}
		s := &Subscription{last: last}
		if out, given := s.take(m); given && (out.Sequence <= last || s.last != out.Sequence || !v1.IsUserKey(out.Sender)) || s.last < last {
			t.Errorf("after %d: %+v, then after %d", last, out, s.last)
		}
		if out, ok := kept(m, v1.HeaderSequence, v1.HeaderTime); ok && out.Sequence == 0 {
			t.Errorf("%+v", out)
		}
		if out, ok := spoken(m, "room."+room+"."); ok && !strings.HasPrefix(subject, "room."+room+"."+out.Sender) {
			t.Errorf("%s said by %s", subject, out.Sender)
		}
		if r, err := readReceipt(m); (err == nil) != (r.Sequence > 0) {
			t.Errorf("%+v, %v", r, err)
		} else if err != nil && strings.ContainsAny(err.Error(), "\x1b\r\n") {
			t.Errorf("%q", err)
		}
		var a v1.AppendAnswer
		if sequence, ok := plainReceipt(data); ok && (json.Unmarshal(data, &a) != nil || a.Error != nil || a.Duplicate || a.Sequence != sequence) {
			t.Errorf("%q is read as sequence %d, and means %+v", data, sequence, a)
		}
		if end, err := readEnd(m, 0); err == nil && (end.More || end.Messages != 0) {
			t.Errorf("%+v", end)
		}
		for name := range incoming(m).Header {
			if !mayHeader(name) {
				t.Errorf("header %q is given on", name)
			}
		}
	})
}

// FuzzReply: what is answered to is a subject of the room and the requester, without wildcards.
func FuzzReply(f *testing.F) {
	user, room := "U"+strings.Repeat("A", v1.UserKeySize-1), strings.Repeat("A", v1.RoomIDSize)
	for _, reply := range []string{"", "reply." + room + "." + user + ".x", "reply." + room + "." + user + ".x.*", "reply." + room + "." + user + ".", "room." + room + ".x"} {
		f.Add(reply)
	}
	f.Fuzz(func(t *testing.T, reply string) {
		rest, within := strings.CutPrefix(reply, v1.ReplyPrefix(room, user)+".")
		// IsInbox judges the same of another prefix.
		want := within && v1.IsInbox(v1.InboxPrefix(user)+"."+rest, user) && !strings.ContainsAny(rest, "*>") && isText(rest)
		if got := answerable(reply, room, user); got != want && len(reply) < 200 {
			t.Errorf("%q: %v, want %v", reply, got, want)
		}
	})
}

// FuzzContexts: no content makes a panic; one that is taken is the same when it is written and read again.
func FuzzContexts(f *testing.F) {
	good, err := json.Marshal(Contexts{Current: "home", Contexts: map[string]Context{"home": {Servers: []string{"nats://127.0.0.1:4222"}, Key: "/home/ann/ann.nk"}}})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add([]byte(`{"contexts":{"a":{"servers":[""],"key":"k"}}}`))
	f.Add([]byte(`{"current":null,"contexts":null}`))
	f.Fuzz(func(t *testing.T, content []byte) {
		got, err := parseContexts(content)
		if err != nil {
			if !errors.Is(err, ErrInvalid) || strings.ContainsAny(err.Error(), "\x1b\x00") {
				t.Fatalf("%q", err)
			}
			return
		}
		b, err := json.Marshal(got)
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseContexts(b)
		if err != nil || cmp.Diff(got, again) != "" {
			t.Errorf("%s, written and read again: %v\n%s", content, err, cmp.Diff(got, again))
		}
		for name := range got.Contexts {
			if c, err := got.Get(name); err != nil || c.Check() != nil || checkName(name) != nil {
				t.Errorf("context %q: %v", name, err)
			}
		}
	})
}
