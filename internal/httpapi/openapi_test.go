// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
)

// described is what the document says of an operation.
type described struct {
	OperationID string              `json:"operationId"`
	Security    []map[string][]any  `json:"security"`
	Responses   map[string]response `json:"responses"`
}

type response struct {
	Description string                    `json:"description"`
	Content     map[string]map[string]any `json:"content"`
	Headers     map[string]any            `json:"headers"`
}

// mustDescription reads the document that a node serves, by method and route.
func (b *bus) mustDescription() map[string]described {
	b.t.Helper()
	var doc struct {
		OpenAPI string                          `json:"openapi"`
		Paths   map[string]map[string]described `json:"paths"`
	}
	b.must(nil, json.Unmarshal(b.do("GET", pathOpenAPI+".json", nil).expect(b.t, 200, "").body, &doc))
	if !strings.HasPrefix(doc.OpenAPI, "3.1") {
		b.t.Errorf("version %q", doc.OpenAPI)
	}
	all := map[string]described{}
	for path, methods := range doc.Paths {
		for method, d := range methods {
			all[strings.ToUpper(method)+" "+path] = d
		}
	}
	return all
}

// scene is a bus on which every status of every operation can be reached.
type scene struct {
	*bus
	root, ann, rita, out *user
	routes               map[string]described
	codes                map[string]map[string]bool // that were answered, by method, route and status
}

const broken = "{broken"

func newScene(t *testing.T, log *statusLog) *scene {
	b := newBus(t, func(c *Config) {
		c.Answered = log.answered
		c.Limits.UserRate, c.Limits.ReadTimeout, c.Limits.HeaderTimeout = 1000, 500*time.Millisecond, 500*time.Millisecond
	})
	s := &scene{bus: b, root: b.user("root", true), ann: b.user("ann", false), rita: b.user("rita", false), out: b.user("out", false)}
	b.class("kept")
	b.class("free")
	b.room("red", "kept", map[*user]v1.Role{s.ann: v1.RoleAdmin, s.rita: v1.RoleReader, s.root: v1.RoleMember})
	b.room("mute", "", map[*user]v1.Role{s.ann: v1.RoleMember})
	s.routes, s.codes = b.mustDescription(), map[string]map[string]bool{}
	b.told = s.note
	return s
}

// path fills the parameters of a route.
func (s *scene) path(route, user, room, class string) string {
	return strings.NewReplacer("{user}", user, "{room}", room, "{class}", class).Replace(route)
}

// each calls do with every operation that takes a token.
func (s *scene) each(do func(method, route string, d described)) {
	for _, key := range slices.Sorted(maps.Keys(s.routes)) {
		method, route, _ := strings.Cut(key, " ")
		if d := s.routes[key]; d.Security != nil {
			do(method, route, d)
		}
	}
}

// good asks for an operation in its plainest form, as an admin who is in the room.
func (s *scene) good(method, route string, headers ...string) result {
	var body any
	path := s.path(route, s.rita.key, "red", "kept")
	if method == http.MethodPut {
		switch {
		case strings.Contains(route, "members"):
			body = v1.PutMember{Role: v1.RoleReader}
		case strings.HasPrefix(route, v1.PathUsers):
			body = v1.PutUser{Name: "rita"}
		case strings.HasPrefix(route, v1.PathRooms):
			body = v1.PutRoom{Class: "kept"}
		default:
			c, _ := s.dir.Class("kept")
			body = c
		}
	}
	return s.root.do(method, path, body, headers...)
}

// TestDescriptionHolds: every status that the document tells is reached, and none is answered that it does not tell.
func TestDescriptionHolds(t *testing.T) {
	log := &statusLog{seen: map[string]map[string]bool{}}
	s := newScene(t, log)
	s.refusedBefore(t)
	s.badInput()
	s.successes(t)
	s.lostRaces(t)
	s.refusedByRules(t)
	s.failures(t)
	// Undocumented, or documented in vain.
	for key, d := range s.routes {
		got := slices.Sorted(maps.Keys(log.seen[key]))
		if diff := cmp.Diff(slices.Sorted(maps.Keys(d.Responses)), got); diff != "" {
			t.Errorf("%s: documented, and answered: %s", key, diff)
		}
		if d.OperationID == "" {
			t.Errorf("%s has no operation id", key)
		}
		for status, r := range d.Responses {
			if status[0] < '4' {
				continue
			}
			if _, ok := r.Content[contentProblem]; !ok || len(r.Content) != 1 {
				t.Errorf("%s %s has content %v", key, status, r.Content)
			}
			s.expectCodes(key, status, r)
		}
	}
	for key := range log.seen {
		if _, ok := s.routes[key]; !ok && !strings.HasPrefix(key, "GET "+pathOpenAPI) && key != "other other" {
			t.Errorf("%s is not documented", key)
		}
	}
}

// refusedBefore: what is refused before any handler is reached.
func (s *scene) refusedBefore(t *testing.T) {
	busy := s.user("busy", false)
	now := s.api.c.Now()
	for s.api.users.take(busy.key, now.Add(time.Hour)) { // of an hour to come, so that none is given back meanwhile
	}
	s.each(func(method, route string, _ described) {
		path := s.path(route, s.ann.key, "red", "kept")
		s.do(method, path, nil).expect(t, 401, v1.CodeToken)
		busy.do(method, path, nil).expect(t, 429, v1.CodeRate)
		if method == http.MethodPut || method == http.MethodPost {
			s.root.do(method, path, strings.Repeat(" ", 2<<20), "Content-Type", contentJSON).expect(t, 413, v1.CodeTooLarge)
			l := s.dial()
			l.send("%sContent-Length: 10\r\n\r\n", s.root.head(method, path))
			if got := l.answer(); got != 408 {
				t.Errorf("%s %s: %d", method, path, got)
			}
			l = s.dial()
			l.send("%sTransfer-Encoding: chunked\r\n\r\nnonsense\r\n", s.root.head(method, path))
			if got := l.answer(); got != 400 {
				t.Errorf("%s %s: %d", method, path, got)
			}
		}
	})
	for s.api.anyone.take("127.0.0.1", now.Add(time.Hour)) {
	}
	s.do("GET", v1.PathCluster, nil).expect(t, 429, v1.CodeRate)
	s.api.anyone = newRates(50, 4)
	s.do("GET", v1.PathCluster, nil).expect(t, 200, "")
}

// badInput: what can't be understood.
func (s *scene) badInput() {
	long := strings.Repeat("x", 90)
	s.each(func(method, route string, d described) {
		s.root.do(method, s.path(route, long, long, long)+"?limit=0&x="+long, nil, "Content-Type", contentJSON).expect(s.t, 422, v1.CodeInvalid)
		if _, ok := d.Responses["412"]; ok {
			s.good(method, route, "If-Match", "x").expect(s.t, 400, v1.CodeMalformed)
			s.good(method, route, "If-Match", `"999999"`).expect(s.t, 412, v1.CodeConflict)
		}
		if method == http.MethodPut {
			s.root.do(method, s.path(route, s.ann.key, "red", "kept"), "name: x", "Content-Type", "text/yaml").expect(s.t, 415, v1.CodeMalformed)
			for _, body := range []string{"", "{", "[]", "null", "1", `{"name":{}}`, `{"x":1}`, "{}{}", strings.Repeat("[", 60<<10)} {
				if r := s.root.do(method, s.path(route, s.ann.key, "red", "kept"), body, "Content-Type", contentJSON); r.status != 422 && r.status != 400 &&
					!(route == v1.PathRooms+"/{room}" && body == "{}{}") {
					s.t.Errorf("%s %s with body %.20q: %d %s", method, route, body, r.status, r.body)
				}
			}
		}
	})
	s.do("GET", v1.PathCluster+"?x=1", nil).expect(s.t, 422, v1.CodeInvalid)
	const path = v1.PathRooms + "/red/messages"
	s.ann.do("GET", path+"?from=1&last=1", nil).expect(s.t, 400, v1.CodeMalformed)
	s.ann.do("POST", path, "x", "App-", "x").expect(s.t, 400, v1.CodeHeader)
}

func (s *scene) successes(t *testing.T) {
	s.each(func(method, route string, _ described) {
		if method == http.MethodGet {
			s.good(method, route).expect(t, 200, "")
		}
	})
	made := membership.DefaultClass("made")
	someone := s.stranger("made")
	for _, c := range []struct {
		path string
		body any
	}{
		{v1.PathClasses + "/made", made}, {v1.PathUsers + "/" + someone.key, v1.PutUser{Name: "made"}},
		{v1.PathRooms + "/made", v1.PutRoom{}}, {v1.PathRooms + "/made/members/made", v1.PutMember{Role: v1.RoleReader}},
	} {
		s.root.do("PUT", c.path, c.body).expect(t, 201, "")
		s.root.do("PUT", c.path, c.body).expect(t, 200, "")
	}
	for _, path := range []string{"/rooms/made/members/made", "/rooms/made", "/users/made", "/classes/made"} {
		s.root.do("DELETE", "/v1"+path, nil).expect(t, 204, "")
	}
	s.ann.do("POST", v1.PathRooms+"/red/messages", "x", "Nats-Msg-Id", "1").expect(t, 201, "")
	s.ann.do("POST", v1.PathRooms+"/red/messages", "x", "Nats-Msg-Id", "1").expect(t, 200, "")
	s.ann.do("POST", v1.PathRooms+"/mute/messages", "x").expect(t, 202, "")
}

func (s *scene) refusedByRules(t *testing.T) {
	s.each(func(method, route string, d described) {
		if _, ok := d.Responses["404"]; ok {
			user := s.out
			if method == http.MethodDelete {
				user = s.root
			}
			user.do(method, s.path(route, s.stranger("x").key, "nowhere", "none"), map[string]any{"role": "reader"}).expect(t, 404, v1.CodeNotFound)
		}
		if _, ok := d.Responses["403"]; ok {
			var body any
			switch {
			case method == http.MethodPut && strings.Contains(route, "members"):
				body = v1.PutMember{Role: v1.RoleReader}
			case method == http.MethodPut && strings.HasPrefix(route, v1.PathUsers):
				body = v1.PutUser{Name: "x"}
			case method == http.MethodPut && strings.HasPrefix(route, v1.PathRooms):
				body = v1.PutRoom{}
			case method == http.MethodPut:
				body = membership.DefaultClass("kept")
			}
			s.rita.do(method, s.path(route, s.ann.key, "red", "kept"), body).expect(t, 403, v1.CodeForbidden)
		}
	})
	s.root.do("PUT", v1.PathUsers+"/"+s.ann.key, v1.PutUser{Name: "rita"}).expect(t, 409, v1.CodeExists)
	s.root.do("PUT", v1.PathRooms+"/red", v1.PutRoom{}).expect(t, 409, v1.CodeExists)
	s.root.do("DELETE", v1.PathClasses+"/kept", nil).expect(t, 409, v1.CodeInUse)
	s.ann.do("GET", v1.PathRooms+"/mute/messages", nil).expect(t, 409, v1.CodeNotKept)
	s.fits = func(v1.Class) error { return fmt.Errorf("%w: no space", membership.ErrLimit) }
	s.root.do("PUT", v1.PathClasses+"/more", membership.DefaultClass("more")).expect(t, 409, v1.CodeLimit)
	s.fits = func(v1.Class) error { return errors.New("broken") }
	s.root.do("PUT", v1.PathClasses+"/more", membership.DefaultClass("more")).expect(t, 500, v1.CodeInternal)
	limited := s.must(membership.NewStore(s.js, membership.StoreConfig{Counter: s.dir, Limits: membership.Limits{Users: 1, Rooms: 1, MembersPerRoom: 1}})).(*membership.Store)
	back := *s.api.backend.Load()
	back.Store = limited
	s.t.Cleanup(s.api.Serve(back))
	s.root.do("PUT", v1.PathRooms+"/red/members/out", v1.PutMember{Role: v1.RoleReader}).expect(t, 409, v1.CodeLimit)
	s.root.do("PUT", v1.PathRooms+"/one-more", v1.PutRoom{}).expect(t, 409, v1.CodeLimit)
	s.root.do("PUT", pathOf(s.stranger("one-more")), v1.PutUser{Name: "one-more"}).expect(t, 409, v1.CodeLimit)
	s.root.do("DELETE", v1.PathUsers+"/root", nil).expect(t, 409, v1.CodeLastAdmin)
	s.root.do("PUT", pathOf(s.root), v1.PutUser{Name: "root"}).expect(t, 409, v1.CodeLastAdmin)
	s.class("full", func(c *v1.Class) { c.MaxMessagesPerRoom, c.Full = 1, v1.FullRefuses })
	s.room("tight", "full", map[*user]v1.Role{s.ann: v1.RoleMember})
	s.ann.do("POST", v1.PathRooms+"/tight/messages", "x").expect(t, 201, "")
	s.ann.do("POST", v1.PathRooms+"/tight/messages", "x").expect(t, 409, v1.CodeFull)
}

// failures: what only a broken store, or a node that stops, leads to.
func (s *scene) failures(t *testing.T) {
	lost := s.user("lost", false)
	hex, err := v1.UserHex(lost.key)
	if err != nil {
		t.Fatal(err)
	}
	for bucket, key := range map[string]string{v1.BucketUsers: v1.UserKey(hex), v1.BucketRooms: v1.RoomKey("lost")} {
		kv := s.must(s.js.KeyValue(t.Context(), bucket)).(jetstream.KeyValue)
		s.must(kv.PutString(t.Context(), key, broken))
		if bucket == v1.BucketRooms {
			s.must(kv.PutString(t.Context(), v1.ClassKey("lost"), broken))
		}
	}
	s.must(s.js.Publish(t.Context(), v1.SubjectAudit, []byte(broken)))
	// Answers of the services that nobody understands.
	nc := s.node.MustConnect(t, embeddednats.AccountClients)
	for subject, m := range map[string]*nats.Msg{
		v1.AppendSubjects: {Data: []byte(broken)}, v1.HistorySubjects: {Header: nats.Header{v1.HeaderEnd: {broken}}},
	} {
		s.must(nc.Subscribe(subject, func(asked *nats.Msg) {
			m.Subject = asked.Reply
			_ = nc.PublishMsg(m)
		}))
	}
	s.must(nil, nc.Flush())
	s.each(func(method, route string, d described) {
		if _, ok := d.Responses["500"]; !ok {
			return
		}
		path := s.path(route, lost.key, "lost", "lost")
		switch {
		case strings.HasSuffix(route, "messages"):
			natstest.Within(t, natstest.Patience, "a broken answer", func() bool {
				return s.ann.do(method, v1.PathRooms+"/red/messages", nil).status == 500 // the true service may be faster
			})
		case method == http.MethodPut && strings.Contains(route, "members"):
			s.root.do(method, path, v1.PutMember{Role: v1.RoleReader}).expect(t, 500, v1.CodeInternal)
		case method == http.MethodPut && strings.HasPrefix(route, v1.PathUsers):
			s.root.do(method, path, v1.PutUser{Name: "lost"}).expect(t, 500, v1.CodeInternal)
		case method == http.MethodPut && strings.HasPrefix(route, v1.PathRooms):
			s.root.do(method, path, v1.PutRoom{}).expect(t, 500, v1.CodeInternal)
		case method == http.MethodPut:
			s.root.do(method, path, membership.DefaultClass("lost")).expect(t, 500, v1.CodeInternal)
		default:
			s.root.do(method, path, nil).expect(t, 500, v1.CodeInternal)
		}
	})
	s.api.backend.Store(nil)
	s.each(func(method, route string, _ described) { s.good(method, route).expect(t, 503, v1.CodeUnavailable) })
}
