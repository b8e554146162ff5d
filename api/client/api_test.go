// SPDX-License-Identifier: Apache-2.0

package client

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// site is an HTTP server that checks what it is sent, and answers what a test says.
type site struct {
	t      *testing.T
	api    *API
	pair   nkeys.KeyPair
	asked  []string // method, path with query, conditions and body of each request with a token
	tokens map[string]bool

	mu     sync.Mutex // a handler may still be at work for who has gone
	answer http.HandlerFunc
}

func (s *site) answers(f http.HandlerFunc) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answer = f
}

const clusterID = "the-cluster"

func mustSite(t *testing.T) *site {
	t.Helper()
	s := &site{t: t, tokens: map[string]bool{}}
	s.pair, _ = mustPair(t)
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	var err error
	if s.api, err = NewAPI(Options{API: srv.URL + "/base/", Key: s.pair}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.api.Close)
	return s
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	token, with := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	if r.URL.Path == "/base"+v1.PathCluster {
		if with {
			s.t.Error("a token is sent before the cluster is known")
		}
		fmt.Fprintf(w, `{"id":%q}`, clusterID)
		return
	}
	if !with {
		s.t.Errorf("%s %s without a token", r.Method, r.URL)
	}
	s.expectToken(token)
	body, err := io.ReadAll(r.Body)
	if err != nil {
		s.t.Error(err)
	}
	s.mu.Lock()
	answer := s.answer
	s.asked = append(s.asked, strings.TrimSpace(fmt.Sprintln(r.Method, r.RequestURI, r.Header.Get("If-Match")+r.Header.Get("If-None-Match"), string(body))))
	s.mu.Unlock()
	answer(w, r)
}

// expectToken checks a token as a node does.
func (s *site) expectToken(token string) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		s.t.Fatalf("token %q", token)
	}
	var raw [3][]byte
	for i, p := range parts {
		var err error
		if raw[i], err = base64.RawURLEncoding.DecodeString(p); err != nil {
			s.t.Error(err)
		}
	}
	var claims v1.Token
	if err := json.Unmarshal(raw[1], &claims); err != nil {
		s.t.Error(err)
	}
	pair, err := nkeys.FromPublicKey(claims.Subject)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := pair.Verify([]byte(parts[0]+"."+parts[1]), raw[2]); err != nil {
		s.t.Errorf("signature: %v", err)
	}
	life := time.Duration(claims.Expires-claims.IssuedAt) * time.Second
	if string(raw[0]) != `{"alg":"EdDSA","typ":"JWT"}` || claims.Subject != public(s.pair) || claims.Audience != clusterID || life > v1.MaxTokenLife || life <= 0 {
		s.t.Errorf("%s %+v", raw[0], claims)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = true
}

func TestCalls(t *testing.T) {
	s := mustSite(t)
	s.answers(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("ETag", `"7"`)
		fmt.Fprint(w, `{}`)
	})
	ctx, key := t.Context(), public(s.pair)
	calls := []struct {
		want string
		do   func() (ETag, error)
	}{
		{"GET /base/v1/users/ann", func() (ETag, error) { _, tag, err := s.api.User(ctx, "ann"); return tag, err }},
		{"PUT /base/v1/users/" + key + ` * {"name":"ann","admin":true}`, func() (ETag, error) {
			_, tag, err := s.api.PutUser(ctx, key, v1.PutUser{Name: "ann", Admin: true}, Absent)
			return tag, err
		}},
		{`DELETE /base/v1/users/ann "7"`, func() (ETag, error) { return `"7"`, s.api.DeleteUser(ctx, "ann", `"7"`) }},
		{"GET /base/v1/rooms/a%2Fb", func() (ETag, error) { _, tag, err := s.api.Room(ctx, "a/b"); return tag, err }},
		{`PUT /base/v1/rooms/tea  {"class":"kept"}`, func() (ETag, error) { _, tag, err := s.api.PutRoom(ctx, "tea", "kept", ""); return tag, err }},
		{"DELETE /base/v1/rooms/tea", func() (ETag, error) { return `"7"`, s.api.DeleteRoom(ctx, "tea", "") }},
		{"GET /base/v1/rooms/tea/members/ann", func() (ETag, error) { _, tag, err := s.api.Member(ctx, "tea", "ann"); return tag, err }},
		{`PUT /base/v1/rooms/tea/members/ann "3" {"role":"reader"}`, func() (ETag, error) {
			_, tag, err := s.api.PutMember(ctx, "tea", "ann", v1.RoleReader, `"3"`)
			return tag, err
		}},
		{"DELETE /base/v1/rooms/tea/members/ann", func() (ETag, error) { return `"7"`, s.api.DeleteMember(ctx, "tea", "ann", "") }},
		{"GET /base/v1/classes", func() (ETag, error) { _, err := s.api.Classes(ctx); return `"7"`, err }},
		{"GET /base/v1/classes/kept", func() (ETag, error) { _, tag, err := s.api.Class(ctx, "kept"); return tag, err }},
		{`PUT /base/v1/classes/kept * {"name":"kept","maxBytes":1,"maxMessagesPerRoom":2,"maxMessageBytes":3,"full":"roll"}`, func() (ETag, error) {
			_, tag, err := s.api.PutClass(ctx, v1.Class{Name: "kept", MaxBytes: 1, MaxMessagesPerRoom: 2, MaxMessageBytes: 3, Full: v1.FullRolls}, Absent)
			return tag, err
		}},
		{"DELETE /base/v1/classes/kept", func() (ETag, error) { return `"7"`, s.api.DeleteClass(ctx, "kept", "") }},
	}
	var want []string
	for _, c := range calls {
		want = append(want, c.want)
		if tag, err := c.do(); err != nil || tag != `"7"` {
			t.Errorf("%s: ETag %s, %v", c.want, tag, err)
		}
	}
	if diff := cmp.Diff(want, s.asked); diff != "" {
		t.Error(diff)
	}
	if len(s.tokens) != 1 {
		t.Errorf("%d tokens were made for %d calls", len(s.tokens), len(calls))
	}
}

func TestPages(t *testing.T) {
	s := mustSite(t)
	s.answers(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, map[string]string{"": `{"users":[{"name":"a"},{"name":"b"}],"next":"b&c"}`, "b&c": `{"users":[],"next":"d"}`, "d": `{"users":[{"name":"e"}]}`}[r.URL.Query().Get("after")])
	})
	var names []string
	for u, err := range s.api.Users(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		names = append(names, u.Name)
	}
	if diff := cmp.Diff([]string{"a", "b", "e"}, names); diff != "" {
		t.Error(diff)
	}
	s.answers(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{"next":"x"}`) })
	var last error
	for _, last = range s.api.Audit(t.Context()) {
	}
	expectErr(t, "a list without an end", last, ErrBadServer)
	for range s.api.Rooms(t.Context()) { // whoever has enough stops
		break
	}
}

func TestProblems(t *testing.T) {
	s := mustSite(t)
	for code, want := range byCode {
		s.answers(func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusConflict)
			_ = json.NewEncoder(w).Encode(v1.Problem{Code: code, Detail: "what and how\r\n\u202e", Status: 409})
		})
		_, _, err := s.api.User(t.Context(), "ann")
		expectErr(t, code, err, want)
		var p *v1.Problem
		if !errors.As(err, &p) || p.Code != code || !strings.Contains(err.Error(), "what and how") || strings.ContainsAny(err.Error(), "\n\u202e") {
			t.Errorf("%s: %q", code, err)
		}
	}
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { t.Errorf("a token went on to %s", r.Host) }))
	defer elsewhere.Close()
	for what, x := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"a page of a proxy": {func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "<html>", http.StatusBadGateway) }, ErrBadServer},
		"no JSON":           {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") }, ErrBadServer},
		"sent elsewhere": {func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, ErrBadServer},
		"no end": {func(w http.ResponseWriter, _ *http.Request) {
			for _, err := w.Write([]byte("[")); err == nil; _, err = w.Write(make([]byte, 1<<20)) {
			}
		}, ErrBadServer},
		"broken off": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "100")
			fmt.Fprint(w, "{")
		}, ErrUnavailable},
		"nobody there": {func(w http.ResponseWriter, _ *http.Request) { panic(http.ErrAbortHandler) }, ErrUnavailable},
	} {
		s.answers(x.answer)
		_, _, err := s.api.User(t.Context(), "ann")
		expectErr(t, what, err, x.want)
	}
}

func TestTokens(t *testing.T) {
	s := mustSite(t)
	now := time.Now()
	s.api.now = func() time.Time { return now }
	first, until, err := s.api.Token(t.Context())
	if err != nil || until.Sub(now) > v1.MaxTokenLife || until.Sub(now) < v1.MaxTokenLife-time.Second {
		t.Fatal(until, err)
	}
	s.expectToken(first)
	now = until.Add(-renewAt - time.Second)
	if again, _, err := s.api.Token(t.Context()); err != nil || again != first {
		t.Errorf("a good token is not used again: %v", err)
	}
	now = until.Add(-renewAt)
	if again, end, err := s.api.Token(t.Context()); err != nil || again == first || !end.After(until) {
		t.Errorf("a token that ends is used: %v", err)
	}
	// Of a server that names another cluster later, the one that was learned counts.
	pinned, err := NewAPI(Options{API: s.api.bases[0].String(), Key: s.pair, ClusterID: "pinned"})
	if err != nil {
		t.Fatal(err)
	}
	token, _, err := pinned.Token(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	claims, err := base64.RawURLEncoding.DecodeString(strings.Split(token, ".")[1])
	if err != nil || !strings.Contains(string(claims), `"aud":"pinned"`) {
		t.Errorf("%s, %v", claims, err)
	}
}

// When a node does not answer, the next is asked, unless the first may have done what can't be asked for twice.
func TestNodesInTurn(t *testing.T) {
	s := mustSite(t)
	s.answers(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, `{}`) })
	gone := httptest.NewServer(nil)
	gone.Close()
	var asked atomic.Int32
	breaks := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body) // it has the whole request
		asked.Add(1)
		panic(http.ErrAbortHandler)
	}))
	defer breaks.Close()
	busy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusServiceUnavailable)
		_ = json.NewEncoder(w).Encode(v1.Problem{Code: v1.CodeUnavailable, Status: http.StatusServiceUnavailable})
	}))
	defer busy.Close()
	ctx := t.Context()
	for what, x := range map[string]struct {
		repeatable bool
		do         func(*API) error
	}{
		"read":                  {true, func(a *API) error { _, _, err := a.User(ctx, "ann"); return err }},
		"put":                   {true, func(a *API) error { _, _, err := a.PutRoom(ctx, "tea", "", ""); return err }},
		"make":                  {false, func(a *API) error { _, _, err := a.PutRoom(ctx, "tea", "", Absent); return err }},
		"change":                {false, func(a *API) error { _, _, err := a.PutRoom(ctx, "tea", "", `"7"`); return err }},
		"delete":                {false, func(a *API) error { return a.DeleteUser(ctx, "ann", "") }},
		"delete on a condition": {false, func(a *API) error { return a.DeleteUser(ctx, "ann", `"7"`) }},
	} {
		for first, taken := range map[string]bool{gone.URL: true, breaks.URL: x.repeatable, busy.URL: x.repeatable} {
			s.asked = nil
			api, err := NewAPI(Options{API: first + ", " + s.api.bases[0].String(), Key: s.pair, ClusterID: clusterID})
			if err != nil {
				t.Fatal(err)
			}
			if err := x.do(api); taken != (err == nil) || err != nil && !errors.Is(err, ErrUnavailable) || taken != (len(s.asked) == 1) {
				t.Errorf("%s, first of %s: %v, and the second was asked %q", what, first, err, s.asked)
			}
			api.Close()
		}
	}
	api, err := NewAPI(Options{API: breaks.URL + "," + s.api.bases[0].String(), Key: s.pair, ClusterID: clusterID})
	if err != nil {
		t.Fatal(err)
	}
	defer api.Close()
	asked.Store(0)
	for range 3 {
		if _, _, err := api.User(ctx, "ann"); err != nil {
			t.Error(err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the one that does not answer was asked %d times", n)
	}
	none, err := NewAPI(Options{API: gone.URL + "," + breaks.URL, Key: s.pair, ClusterID: clusterID})
	if err != nil {
		t.Fatal(err)
	}
	defer none.Close()
	if _, _, err = none.User(ctx, "ann"); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), gone.URL) || !strings.Contains(err.Error(), breaks.URL) {
		t.Errorf("of two that don't answer: %v", err)
	}
}
