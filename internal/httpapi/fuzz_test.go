// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

// leaver is a client that goes once it has got something: who follows a room would get more without end.
type leaver struct {
	*httptest.ResponseRecorder
	leave context.CancelFunc
}

func (l *leaver) Write(p []byte) (int, error) {
	defer l.leave()
	return l.ResponseRecorder.Write(p)
}

// ask serves a request without a network, and fails the test unless the answer has one of the statuses.
func (u *user) ask(t *testing.T, method, path, body string, header http.Header, statuses ...int) {
	t.Helper()
	ctx, leave := context.WithCancel(t.Context())
	defer leave()
	r := httptest.NewRequestWithContext(ctx, method, "http://x"+path, strings.NewReader(body))
	r.Header = header
	token, err := u.sign(nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Authorization", bearer+token)
	w := &leaver{httptest.NewRecorder(), leave}
	u.b.api.ServeHTTP(w, r)
	if !slices.Contains(statuses, w.Code) {
		t.Errorf("%s %s %q %v: %d %s", method, path, body, header, w.Code, w.Body)
	}
	if w.Code < 400 {
		return
	}
	var p v1.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != w.Code || p.Code == "" || p.Detail == "" {
		t.Errorf("%s %s %q: %d with problem %s", method, path, body, w.Code, w.Body)
	}
}

// Whatever the body is, it is taken as JSON of the known fields, or refused in words. The caller may do nothing of it, so that nothing is
// written.
func FuzzBody(f *testing.F) {
	b := newBus(f, func(c *Config) { c.Limits.UserRate = 1e9 })
	ann := b.user("ann", false)
	b.room("red", "", map[*user]v1.Role{ann: v1.RoleMember})
	paths := []string{v1.PathUsers + "/" + ann.key, v1.PathRooms + "/red", v1.PathRooms + "/red/members/ann", v1.PathClasses + "/kept"}
	class, err := json.Marshal(membership.DefaultClass("kept"))
	if err != nil {
		f.Fatal(err)
	}
	for _, body := range []string{"", "{}", "null", "[]", `{"name":"ann","admin":true}`, `{"class":"kept"}`, `{"role":"admin"}`, string(class), "{\"name\":\"\xff\"}",
		`{"maxBytes":1e999}`, `{"name":"a","name":"b"}`, strings.Repeat("[", 1000)} {
		f.Add(body, contentJSON)
	}
	f.Fuzz(func(t *testing.T, body, kind string) {
		for _, path := range paths {
			ann.ask(t, "PUT", path, body, http.Header{"Content-Type": {kind}}, 400, 403, 413, 415, 422)
		}
	})
}

// Whatever the headers are, they are understood or refused in words, and nothing is changed that they do not match.
func FuzzHeaders(f *testing.F) {
	b := newBus(f, func(c *Config) { c.Limits.UserRate = 1e9 })
	root, ann, bob := b.user("root", true), b.user("ann", false), b.user("bob", false)
	b.class("kept")
	b.room("red", "kept", map[*user]v1.Role{ann: v1.RoleReader, bob: v1.RoleMember})
	for range 3 {
		bob.do("POST", redMessages, "hello").expect(f, 201, "")
	}
	for _, h := range []string{"", "*", `"1"`, `W/"1"`, `"1", "2"`, ",", `"`, `"""`, "1", "1000", "18446744073709551615", "18446744073709551616", "-1",
		"2026-01-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59-23:59", "text/event-stream;q=0", "\x00"} {
		f.Add(h, h, h, h)
	}
	f.Fuzz(func(t *testing.T, match, none, key, query string) {
		root.ask(t, "PUT", v1.PathRooms+"/red", `{"class":"kept"}`, http.Header{"Content-Type": {contentJSON}, "If-Match": {match}, "If-None-Match": {none}}, 200, 400, 412)
		ann.ask(t, "POST", redMessages, "x", http.Header{headerIdempotency: {key}, v1.HeaderMessageID: {match}, "App-X": {none}, "Content-Type": {query}}, 403, 422)
		value := url.QueryEscape(query)
		for _, name := range []string{"limit", "from", "since", "last"} {
			ann.ask(t, "GET", redMessages+"?"+name+"="+value, "", http.Header{"Accept": {strings.ReplaceAll(key, contentEvents, "")}}, 200, 400, 422)
			follow := http.Header{"Accept": {contentEvents}}
			ann.ask(t, "GET", redMessages+"?"+name+"="+value, "", follow, 200, 400, 422)
			follow.Set("Last-Event-ID", key)
			ann.ask(t, "GET", redMessages+"?"+name+"="+value, "", follow, 200, 400, 422)
		}
	})
}
