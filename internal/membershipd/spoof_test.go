// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
)

// spoofed are headers that mean something to servers, nodes or libraries.
var spoofed = map[string]string{"Nats-Msg-Id": "1", "Nats-Expected-Stream": "HISTORY_kept", "Nats-Expected-Last-Sequence": "0", "Nats-Expected-Last-Subject-Sequence": "0",
	"Nats-Expected-Last-Msg-Id": "x", "Nats-Rollup": "all", "Nats-TTL": "1s", "Nats-Batch-Id": "b", "Nats-Batch-Sequence": "1", "Nats-Batch-Commit": "1", "Nats-Incr": "1",
	"Nats-Schedule": "@every 1s", "Nats-Schedule-Target": "h.kept.x", "Nats-Schedule-TTL": "1s", "Nats-Sequence": "1", "Nats-Stream": "x", "Nats-Last-Sequence": "0",
	"traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", "Status": "503", "Description": "x", v1.HeaderSender: "x", v1.HeaderID: "x", v1.HeaderSequence: "1",
	v1.HeaderTime: "x", v1.HeaderEnd: "1", "Nats-Required-Api-Level": "99"}

// aside is what was heard besides the user's requests and the answers to them.
func (s *stage) aside(t *testing.T, user string) []string {
	t.Helper()
	return slices.DeleteFunc(s.ears.take(t), func(heard string) bool {
		subject := strings.TrimPrefix(heard, embeddednats.AccountClients+" ")
		asker, _, _, request := v1.ParseService(subject) // as it was sent, or as its node took it
		return request && asker == user || strings.HasPrefix(subject, v1.InboxPrefix(user)+".")
	})
}

// expectHeadersInert: headers of servers do nothing on what may be said and asked.
func (s *stage) expectHeadersInert(t *testing.T, w way, l *line) {
	t.Helper()
	me := l.user.key
	var want []string
	for name, value := range spoofed {
		h := fmt.Sprintf("NATS/1.0\r\n%s: %s\r\n\r\n", name, value)
		subjects := []string{v1.RoomsSubject(me), v1.HistorySubject(me, s.red.ID)}
		if in := v1.RoomSubject(s.red.ID, me, name); w.writes {
			subjects, want = append(subjects, in), append(want, embeddednats.AccountClients+" "+in)
		}
		for _, subject := range subjects {
			if errs, open := l.do(fmt.Sprintf("HPUB %s %s.1 %d %d\r\n%s%s\r\n", subject, v1.InboxPrefix(me), len(h), len(h)+len(loot), h, loot)); len(errs) > 0 || !open {
				t.Errorf("%s to %s: %q", name, subject, errs)
			}
		}
	}
	if heard := s.aside(t, me); !slices.Equal(heard, want) {
		t.Errorf("with headers of servers, -said +heard:\n%s", cmp.Diff(want, heard))
	}
}

// expectRepliesInert: nothing is sent to reply subjects that are not the user's own, on what may be said and asked.
func (s *stage) expectRepliesInert(t *testing.T, w way, l *line) {
	t.Helper()
	me, in := l.user, v1.RoomSubject(s.red.ID, l.user.key, "x")
	asked := []string{v1.AppendSubject(me.key, s.red.ID), v1.HistorySubject(me.key, s.red.ID), v1.RoomsSubject(me.key)}
	var asks, says strings.Builder
	replies := append(s.refused(me), v1.LogSubject(s.red.ID), in, v1.RoomSubject(s.red.ID, s.victim.key, "x"), v1.InboxPrefix(me.key), v1.InboxPrefix(me.key)+"..x")
	for _, reply := range replies {
		for _, subject := range asked {
			fmt.Fprintf(&asks, "PUB %s %s 0\r\n\r\n", subject, reply)
		}
		fmt.Fprintf(&says, "PUB %s %s 0\r\n\r\n", in, reply)
	}
	_, open := l.do(asks.String())
	refused, still := l.do(says.String()) // those of servers already by the server itself, which a role that may not speak has of all
	if !open || !still {
		t.Fatal("the connection ended")
	}
	want := slices.Repeat([]string{embeddednats.AccountClients + " " + in}, len(replies)-len(refused))
	if len(want) > 0 != w.writes {
		t.Errorf("%d messages were taken", len(want))
	}
	nc := me.mustConnect(t, s.nodes[0])
	for _, subject := range asked { // these come after all of them, and nothing of them is kept
		m := nats.NewMsg(subject)
		m.Data, m.Header["Nats-Rollup"] = []byte("?"), []string{"all"}
		if r, err := nc.RequestMsg(m, limit); err != nil || len(r.Data) == 0 && r.Header.Get(v1.HeaderEnd) == "" {
			t.Errorf("%s: %v", subject, err)
		}
	}
	if heard := s.aside(t, me.key); !slices.Equal(heard, want) {
		t.Errorf("with replies elsewhere, -said +heard:\n%s", cmp.Diff(want, heard))
	}
}

// expectOddRefused tries subjects that are no good ones. The node may end the connection, and nothing of it is heard but requests.
func (s *stage) expectOddRefused(t *testing.T, w way, l *line) {
	t.Helper()
	me, red, blue := l.user, s.red.ID, s.blue.ID
	for _, subject := range []string{"", ".", "..", ".room." + red, "room..x", "room." + red + "..x", "room." + red + "." + me.key, "room." + red + "." + me.key + " x.y", "room." + red + ".\t.x",
		"room." + red + ".ä.x", "room.\u2028" + blue + ".x", "room." + blue + "\x00." + me.key + ".x", "room." + strings.ToLower(red) + "." + me.key + ".x", "ROOM." + red + "." + me.key + ".x",
		"room." + red + "." + strings.ToLower(me.key) + ".x", "room." + red + ".>." + me.key, "room." + red + "." + s.victim.key + "." + strings.Repeat("x", 3000), strings.Repeat("x.", 2000) + "x",
		"room." + blue + "." + strings.Repeat("x", 5000), "log." + blue + ".", ".log." + blue, "unibus." + me.key + "..append." + blue, "$JS.API..INFO", "$KV..x", "_INBOX." + s.victim.key + "..x"} {
		for _, lines := range []string{"PUB " + subject + " 6\r\n" + loot + "\r\n", "SUB " + subject + " 1\r\n", "SUB " + subject + " " + v1.ServiceQueue + " 2\r\n"} {
			errs, open := l.do(lines)
			within := w.reads && strings.HasPrefix(lines, "SUB room."+red+".") // whatever it is, only who is in the room says it
			asks := strings.HasPrefix(lines, "PUB unibus."+me.key+".")
			if open && len(errs) == 0 && !within && !asks {
				t.Errorf("%.200q is taken", lines)
			}
			if !open {
				l = s.mustLine(t, me, w.reads)
			}
			l.do("UNSUB 1\r\nUNSUB 2\r\n") // or the next one by that number would not count
		}
	}
	for _, heard := range s.aside(t, me.key) {
		if !strings.HasPrefix(heard, embeddednats.AccountClients+" unibus."+me.key+".") {
			t.Errorf("%s was heard", heard)
		}
	}
}

// expectNames: names that look like tokens are refused, and those that are good ones give nothing of what they look like.
func (s *stage) expectNames(t *testing.T) {
	me := mustUser(t, s.store, "me")
	for _, name := range []string{"", ">", "*", "a.b", "room.x", s.blue.ID, s.victim.key, "_INBOX", "$JS", "$SYS", "a b", "ä", "log.>", "-x", strings.Repeat("x", 64), "_heartbeat"} {
		_, err := s.store.CreateRoom(t.Context(), name, "")
		_, err2 := s.store.CreateUser(t.Context(), v1.User{Name: name, Key: mustStranger(t).key})
		class := membership.DefaultClass(name)
		_, err3 := s.store.PutClass(t.Context(), class, 0)
		_, err4 := s.store.PutMember(t.Context(), s.red.Name, me.key, v1.Role(name), 0)
		for _, err := range []error{err, err2, err3, err4} {
			if !errors.Is(err, membership.ErrInvalid) {
				t.Errorf("name %q: %v, want %v", name, err, membership.ErrInvalid)
			}
		}
	}
	// A room by the lower-case id of another, a user by the lower-case key of another.
	twin := mustUser(t, s.store, strings.ToLower(s.victim.key))
	room := s.mustRoom(t, strings.ToLower(s.blue.ID), "kept", twin)
	l := s.mustLine(t, twin, false)
	natstest.Within(t, limit, "the rights of the twin", func() bool { errs, _ := l.do("SUB " + v1.RoomSubjects(room.ID) + " 1\r\n"); return len(errs) == 0 })
	for _, subject := range []string{v1.RoomSubjects(s.blue.ID), v1.LogSubject(s.blue.ID), "room." + room.Name + ".>", v1.InboxPrefix(strings.ToLower(s.victim.key)) + ".>"} {
		if errs, _ := l.do("SUB " + subject + " 2\r\n"); len(errs) == 0 {
			t.Errorf("the twin may listen to %s", subject)
		}
	}
	nc := twin.mustConnect(t, s.nodes[0])
	var end v1.HistoryAnswer
	if m, err := nc.Request(v1.HistorySubject(twin.key, s.blue.ID), []byte("{}"), limit); err != nil || json.Unmarshal([]byte(m.Header.Get(v1.HeaderEnd)), &end) != nil || end.Error == nil {
		t.Errorf("the twin reads blue: %+v, %v", end, err)
	}
}

// expectNodeTellsNothing: what a node tells before anybody has logged in, and to whoever asks its endpoints, names no user and no room.
func (s *stage) expectNodeTellsNothing(t *testing.T) {
	s.ears.take(t)
	names := []string{s.victim.key, "zzvictim", s.red.ID, s.blue.ID, "zzred", "zzblue"}
	tells := func(what, text string) {
		t.Helper()
		for _, name := range names {
			if strings.Contains(text, name) {
				t.Errorf("%s tells %s", what, name)
			}
		}
	}
	for _, n := range s.nodes {
		stranger := testUser{key: s.victim.key, pair: mustStranger(t).pair}
		l := stranger.mustDial(t, n)
		tells("INFO", l.info)
		if strings.Contains(l.info, "connect_urls") {
			t.Errorf("INFO tells of other nodes: %s", l.info)
		}
		// Neither before a login, nor after one that failed, is anything taken.
		for _, lines := range []string{"PUB " + v1.LogSubject(s.red.ID) + " 6\r\n" + loot + "\r\n", "SUB > 1\r\n"} {
			if errs, open := stranger.mustDial(t, n).do(lines); open {
				t.Errorf("before a login %q is answered with %q", lines, errs)
			}
		}
		if l.login() {
			t.Error("a key that is not the caller's is admitted")
		}
		if mustStranger(t).mustDial(t, n).login() {
			t.Error("a key that no node knows is admitted")
		}
		if at := n.formation.Server().Unwrap().MonitorAddr(); at != nil {
			t.Errorf("monitoring is open at %v", at)
		}
		for _, path := range []string{"/", "/varz", "/connz?subs=1", "/subsz?subs=1", "/routez", "/accountz", "/jsz", "/debug/pprof/", "/debug/vars", "/v1/users", "/metrics", "/livez", "/healthz", "/readyz",
			"/safe-to-restart"} {
			resp, err := http.Get(n.httpURL + path)
			if err != nil {
				t.Fatal(err)
			}
			body, err := io.ReadAll(resp.Body)
			resp.Body.Close()
			if err != nil {
				t.Fatal(err)
			}
			tells(path, string(body))
			if known := slices.Contains([]string{"/metrics", "/livez", "/healthz", "/readyz", "/safe-to-restart"}, path); !known && resp.StatusCode != http.StatusNotFound {
				t.Errorf("%s: %s", path, resp.Status)
			}
		}
	}
	if heard := s.ears.take(t); len(heard) > 0 {
		t.Errorf("heard %q", heard)
	}
}
