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

// TestLeakByHeaderOrReply: headers of servers, and reply subjects of others, do nothing on what a member may publish and ask.
func TestLeakByHeaderOrReply(t *testing.T) {
	s := mustStage(t)
	me := mustUser(t, s.store, "me")
	s.mustPut(t, s.red, me, v1.RoleMember)
	l := s.mustLine(t, me, true)
	nc := me.mustConnect(t, s.nodes[0])
	in := v1.RoomSubject(s.red.ID, me.key, "x")
	s.ears.take(t)
	before := s.kept(t)

	t.Run("headers", func(t *testing.T) {
		for name, value := range spoofed {
			h := fmt.Sprintf("NATS/1.0\r\n%s: %s\r\n\r\n", name, value)
			if errs, open := l.do(fmt.Sprintf("HPUB %s %d %d\r\n%s%s\r\n", in, len(h), len(h)+len(loot), h, loot)); len(errs) > 0 || !open {
				t.Errorf("%s: %q", name, errs)
			}
			if heard := s.ears.take(t); !slices.Equal(heard, []string{embeddednats.AccountClients + " " + in}) {
				t.Errorf("%s on what is said in the room: heard %q", name, heard)
			}
			if name == v1.HeaderMessageID || name == "traceparent" {
				continue // they may be set on what is appended
			}
			m := nats.NewMsg(v1.AppendSubject(me.key, s.red.ID))
			m.Data, m.Header[name] = []byte(loot), []string{value}
			var a v1.AppendAnswer
			r, err := nc.RequestMsg(m, limit/3)
			if err != nil {
				t.Fatalf("%s on an append: %v", name, err)
			}
			if err := json.Unmarshal(r.Data, &a); err != nil || a.Error == nil || a.Error.Code != v1.CodeHeader {
				t.Errorf("%s on an append: %q, %v", name, r.Data, err)
			}
			s.ears.take(t)
		}
	})
	t.Run("replies", func(t *testing.T) {
		asked := []string{v1.AppendSubject(me.key, s.red.ID), v1.HistorySubject(me.key, s.red.ID), v1.RoomsSubject(me.key)}
		for _, subject := range asked {
			for _, reply := range append(s.refused(me), v1.LogSubject(s.red.ID), v1.RoomSubject(s.red.ID, me.key, "x"), v1.InboxPrefix(me.key), v1.InboxPrefix(me.key)+"..x") {
				l.do(fmt.Sprintf("PUB %s %s 0\r\n\r\n", subject, reply))
			}
		}
		// These come after all of them: to appends and rooms the answers too, to history the only one that is given.
		for _, subject := range asked {
			if m, err := nc.Request(subject, []byte("?"), limit); err != nil || len(m.Data) == 0 && m.Header.Get(v1.HeaderEnd) == "" {
				t.Errorf("%s: %v", subject, err)
			}
		}
		for _, h := range s.ears.take(t) {
			subject := strings.TrimPrefix(h, embeddednats.AccountClients+" ")
			appended := subject == v1.LogSubject(s.red.ID)  // by the request just now
			user, _, _, request := v1.ParseService(subject) // as it was sent, or as its node took it
			if !(request && user == me.key) && !appended && !strings.HasPrefix(subject, v1.InboxPrefix(me.key)+".") {
				t.Errorf("something was sent to %s", h)
			}
		}
	})
	delete(before, v1.HistoryStream("kept"))
	after := s.kept(t)
	if state := after[v1.HistoryStream("kept")]; !strings.HasPrefix(state, "3 messages") {
		t.Errorf("the history has %s, want the two secrets and what was appended at last", state)
	}
	delete(after, v1.HistoryStream("kept"))
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("streams changed, -before +after:\n%s", diff)
	}
	t.Run("odd tokens", func(t *testing.T) { s.expectOddRefused(t, me) })
	t.Run("names", func(t *testing.T) { s.expectNames(t, me) })
}

// expectOddRefused tries subjects that are no good ones. The node may end the connection, and nothing of it is heard but in the room.
func (s *stage) expectOddRefused(t *testing.T, me testUser) {
	t.Helper()
	red, blue := s.red.ID, s.blue.ID
	for _, subject := range []string{"", ".", "..", ".room." + red, "room..x", "room." + red + "..x", "room." + red + "." + me.key, "room." + red + "." + me.key + " x.y", "room." + red + ".\t.x",
		"room." + red + ".ä.x", "room.\u2028" + blue + ".x", "room." + blue + "\x00." + me.key + ".x", "room." + strings.ToLower(red) + "." + me.key + ".x", "ROOM." + red + "." + me.key + ".x",
		"room." + red + "." + strings.ToLower(me.key) + ".x", "room." + red + ".>." + me.key, "room." + red + "." + s.victim.key + "." + strings.Repeat("x", 3000), strings.Repeat("x.", 2000) + "x",
		"room." + blue + "." + strings.Repeat("x", 5000), "log." + blue + ".", ".log." + blue, "unibus." + me.key + "..append." + blue, "$JS.API..INFO", "$KV..x", "_INBOX." + s.victim.key + "..x"} {
		for _, lines := range []string{"PUB " + subject + " 6\r\n" + loot + "\r\n", "SUB " + subject + " 1\r\n", "SUB " + subject + " " + v1.ServiceQueue + " 1\r\n"} {
			l := s.mustLine(t, me, true)
			errs, open := l.do(lines)
			within := strings.HasPrefix(lines, "SUB room."+red+".") // whatever it is, only who is in the room says it
			if open && len(errs) == 0 && !within && !strings.Contains(subject, "unibus."+me.key) {
				t.Errorf("%.200q is taken", lines)
			}
			l.conn.Close()
		}
	}
	for _, h := range s.ears.take(t) {
		if !strings.HasPrefix(h, embeddednats.AccountClients+" unibus."+me.key+".") {
			t.Errorf("%s was heard", h)
		}
	}
}

// expectNames: names that look like tokens are refused, and those that are good ones give nothing of what they look like.
func (s *stage) expectNames(t *testing.T, me testUser) {
	t.Helper()
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

// TestLeakOfTheNode: what a node tells before anybody has logged in, and to whoever asks its endpoints, names no user and no room.
func TestLeakOfTheNode(t *testing.T) {
	s := mustStage(t)
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
