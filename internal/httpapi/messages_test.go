// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

const redMessages = v1.PathRooms + "/red/messages"

// stream is a request that follows a room.
type stream struct {
	t      testing.TB
	status int
	body   io.ReadCloser
	lines  *bufio.Scanner
	cancel context.CancelFunc
	lastID string
}

type event struct {
	Name string
	ID   string
	Data string
}

func (u *user) follow(path string, headers ...string) *stream {
	u.b.t.Helper()
	ctx, cancel := context.WithTimeout(u.b.t.Context(), natstest.Patience)
	req := u.b.must(http.NewRequestWithContext(ctx, "GET", u.b.url+path, nil)).(*http.Request)
	req.Header.Set("Authorization", bearer+u.token(nil))
	req.Header.Set("Accept", contentEvents)
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp := u.b.must(http.DefaultClient.Do(req)).(*http.Response)
	u.b.t.Cleanup(func() { cancel(); resp.Body.Close() })
	return &stream{t: u.b.t, status: resp.StatusCode, body: resp.Body, lines: bufio.NewScanner(resp.Body), cancel: cancel}
}

// next returns the next event with data, and false at the end.
func (s *stream) next() (e event, ok bool) {
	for s.lines.Scan() {
		name, value, _ := strings.Cut(s.lines.Text(), ": ")
		switch name {
		case "id":
			s.lastID, e.ID = value, value
		case "event":
			e.Name = value
		case "data":
			e.Data = value
		case "":
			if e.Data != "" {
				return e, true
			}
		}
	}
	return e, false
}

func (s *stream) texts(n int) (texts []string) {
	s.t.Helper()
	for range n {
		e, ok := s.next()
		if !ok || e.Name != "" {
			s.t.Fatalf("after %q came %+v", texts, e)
		}
		var m v1.Message
		if err := json.Unmarshal([]byte(e.Data), &m); err != nil {
			s.t.Fatal(err)
		}
		texts = append(texts, m.Text)
	}
	return texts
}

// expectEnd ends the test unless the next event is a problem with that code, and the last.
func (s *stream) expectEnd(code string) {
	s.t.Helper()
	e, ok := s.next()
	var p v1.Problem
	if !ok || e.Name != "problem" || json.Unmarshal([]byte(e.Data), &p) != nil || p.Code != code {
		s.t.Fatalf("the end is %+v, want a problem %s", e, code)
	}
	if e, ok := s.next(); ok {
		s.t.Errorf("after the end came %+v", e)
	}
}

func TestMessages(t *testing.T) {
	b := newBus(t, nil)
	b.class("kept")
	root, ann, rita := b.user("root", true), b.user("ann", false), b.user("rita", false)
	b.room("red", "kept", map[*user]v1.Role{ann: v1.RoleMember, rita: v1.RoleReader})
	first := decode[v1.AppendAnswer](t, ann.do("POST", redMessages, "hello", "Content-Type", "text/plain", "App-Mood", "good", "Idempotency-Key", `"one"`,
		"Cookie", "secret").expect(t, 201, ""))
	again := decode[v1.AppendAnswer](t, ann.do("POST", redMessages, "hello", "Nats-Msg-Id", "one").expect(t, 200, ""))
	if first.Sequence == 0 || again.Sequence != first.Sequence || !again.Duplicate {
		t.Errorf("%+v and again %+v", first, again)
	}
	ann.do("POST", redMessages, "\xff\x00").expect(t, 201, "")
	ann.do("POST", redMessages, nil).expect(t, 201, "")
	page := decode[v1.Messages](t, rita.do("GET", fmt.Sprint(redMessages, "?from=1&limit=2&atLeast=", first.Sequence), nil).expect(t, 200, ""))
	given := page.Messages[1].Headers["Nats-Msg-Id"]
	if given == "" {
		t.Error("a message without an id was not given one, under which the node could send it again")
	}
	want := v1.Messages{More: true, Next: page.Messages[1].Sequence + 1, Messages: []v1.Message{
		{Sequence: first.Sequence, Sender: ann.key, Text: "hello", Headers: map[string]string{"Content-Type": "text/plain", "App-Mood": "good", "Nats-Msg-Id": "one"}},
		{Sequence: first.Sequence + 1, Sender: ann.key, Data: []byte("\xff\x00"), Headers: map[string]string{"Nats-Msg-Id": given}},
	}}
	if diff := cmp.Diff(want, page, cmpopts.IgnoreFields(v1.Message{}, "Time")); diff != "" || page.Messages[0].Time == nil {
		t.Error(diff)
	}
	if p := decode[v1.Messages](t, rita.do("GET", redMessages+"?last=1", nil).expect(t, 200, "")); len(p.Messages) != 1 || p.Messages[0].Sequence != first.Sequence+2 {
		t.Errorf("the last: %+v", p)
	}
	since := page.Messages[1].Time.Format(time.RFC3339Nano)
	if p := decode[v1.Messages](t, rita.do("GET", redMessages+"?since="+since, nil).expect(t, 200, "")); len(p.Messages) != 2 {
		t.Errorf("since %s: %+v", since, p)
	}
	rita.do("POST", redMessages, "no").expect(t, 403, v1.CodeForbidden)
	for _, query := range []string{"?last=0", "?last=1001", "?since=noon", "?from=-1", "?body=x"} {
		rita.do("GET", redMessages+query, nil).expect(t, 422, v1.CodeInvalid)
	}
	rita.do("GET", redMessages+"?from=1&last=1", nil).expect(t, 400, v1.CodeMalformed)
	// To be an admin of the bus is not to be in the room.
	root.do("GET", redMessages, nil).expect(t, 404, v1.CodeNotFound)
	root.do("POST", redMessages, "no").expect(t, 404, v1.CodeNotFound)
	ann.do("POST", redMessages, strings.Repeat("x", 64<<10)).expect(t, 413, v1.CodeTooLarge)
	ann.do("POST", redMessages, strings.Repeat("x", 1<<20+1)).expect(t, 413, v1.CodeTooLarge)
	ann.do("POST", redMessages, "x", "Idempotency-Key", `""`).expect(t, 422, v1.CodeInvalid)
	ann.do("POST", redMessages, "x", "Nats-Msg-Id", strings.Repeat("x", 129)).expect(t, 422, v1.CodeInvalid)
}

func TestARoomThatKeepsNothing(t *testing.T) {
	b := newBus(t, nil)
	ann, bob := b.user("ann", false), b.user("bob", false)
	r := b.room("red", "", map[*user]v1.Role{ann: v1.RoleMember, bob: v1.RoleReader})
	ann.do("GET", redMessages, nil).expect(t, 409, v1.CodeNotKept)
	s := bob.follow(redMessages)
	if s.status != 200 {
		t.Fatalf("status %d", s.status)
	}
	ann.do("POST", redMessages, "hello", "App-Mood", "good").expect(t, 202, "")
	e, _ := s.next()
	var m v1.Message
	if err := json.Unmarshal([]byte(e.Data), &m); err != nil || e.ID != "" {
		t.Fatalf("%+v: %v", e, err)
	}
	if diff := cmp.Diff(v1.Message{Sender: ann.key, Text: "hello", Headers: map[string]string{"App-Mood": "good"}}, m); diff != "" {
		t.Error(diff)
	}
	bob.do("POST", redMessages, "no").expect(t, 403, v1.CodeForbidden)
	// It is published where NATS clients listen, and nowhere else.
	nc := b.node.MustConnect(t, embeddednats.AccountClients)
	sub, err := nc.SubscribeSync(v1.RoomSubjects(r.ID))
	if err != nil || nc.Flush() != nil {
		t.Fatal(err)
	}
	ann.do("POST", redMessages, "again").expect(t, 202, "")
	if m, err := sub.NextMsg(natstest.Patience); err != nil || m.Subject != v1.RoomSubject(r.ID, ann.key, v1.SubjectMessage) || string(m.Data) != "again" {
		t.Errorf("%+v: %v", m, err)
	}
}

// Whoever follows, and comes back after each cut, gets every message once and in order, while others append.
func TestFollowersMissNothing(t *testing.T) {
	b := newBus(t, func(c *Config) { c.Limits.UserRate, c.Limits.Heartbeat, c.Limits.Buffer = 1e6, 50*time.Millisecond, 4 })
	b.class("kept")
	ann, bob := b.user("ann", false), b.user("bob", false)
	b.room("red", "kept", map[*user]v1.Role{ann: v1.RoleMember, bob: v1.RoleReader})
	b.room("blue", "kept", map[*user]v1.Role{ann: v1.RoleMember})
	ann.do("POST", redMessages, "before").expect(t, 201, "")
	s := bob.follow(redMessages)
	const n, writers = 150, 3
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			for i := range n {
				if r := ann.do("POST", redMessages, fmt.Sprintf("%d %d", w, i)); r.status != 201 {
					t.Errorf("%d: %s", r.status, r.body)
					return
				}
				ann.do("POST", v1.PathRooms+"/blue/messages", "elsewhere")
			}
		})
	}
	var got []string
	for cut := 0; len(got) < n*writers; cut++ {
		got = append(got, s.texts(min(7+cut, n*writers-len(got)))...)
		s.cancel()
		s = bob.follow(redMessages, "Last-Event-ID", s.lastID)
	}
	wg.Wait()
	seen := make([]int, writers)
	for _, text := range got {
		var w, i int
		if _, err := fmt.Sscan(text, &w, &i); err != nil || i != seen[w] {
			t.Fatalf("%q came where %d of %d should: %v", text, seen[w], w, err)
		}
		seen[w]++
	}
	// From the beginning it is the same, and one more.
	all := bob.follow(redMessages + "?from=1")
	if diff := cmp.Diff(append([]string{"before"}, got...), all.texts(1+n*writers)); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(got[len(got)-5:], bob.follow(redMessages+"?last=5").texts(5)); diff != "" {
		t.Error(diff)
	}
	for _, id := range []string{"x", "18446744073709551615"} {
		bob.do("GET", redMessages, nil, "Accept", contentEvents, "Last-Event-ID", id).expect(t, 400, v1.CodeMalformed)
	}
}

func TestWhatEndsFollowers(t *testing.T) {
	b := newBus(t, func(c *Config) { c.Limits.FollowersOfUser, c.Limits.Followers = 2, 3 })
	b.class("kept")
	root, ann, bob := b.user("root", true), b.user("ann", false), b.user("bob", false)
	b.room("red", "kept", map[*user]v1.Role{root: v1.RoleMember, ann: v1.RoleMember, bob: v1.RoleMember})
	b.room("blue", "", map[*user]v1.Role{ann: v1.RoleMember, bob: v1.RoleMember})
	leaver, other := ann.follow(redMessages), ann.follow(v1.PathRooms+"/blue/messages")
	ann.do("GET", redMessages, nil, "Accept", contentEvents).expect(t, 429, v1.CodeRate)
	bystander := bob.follow(redMessages)
	root.do("GET", redMessages, nil, "Accept", contentEvents).expect(t, 503, v1.CodeUnavailable)
	ann.do("DELETE", v1.PathRooms+"/red/members/ann", nil).expect(t, 204, "")
	leaver.expectEnd(v1.CodeNotFound)
	root.do("DELETE", pathOf(ann), nil).expect(t, 204, "")
	other.expectEnd(v1.CodeToken)
	root.do("POST", redMessages, "still here?").expect(t, 201, "")
	if diff := cmp.Diff([]string{"still here?"}, bystander.texts(1)); diff != "" {
		t.Error(diff)
	}
	natstest.Within(t, natstest.Patience, "the places of those who ended", func() bool {
		s := bob.follow(redMessages)
		defer s.cancel()
		return s.status == 200
	})
	b.api.DropUsers()
	bystander.expectEnd(v1.CodeUnavailable)
	s := bob.follow(redMessages)
	root.do("DELETE", v1.PathRooms+"/red", nil).expect(t, 204, "")
	s.expectEnd(v1.CodeNotFound)
	last := bob.follow(v1.PathRooms + "/blue/messages")
	b.stop()
	last.expectEnd(v1.CodeUnavailable)
	bob.do("GET", v1.PathRooms, nil).expect(t, 503, v1.CodeUnavailable)
}

// Who reads too slowly what nobody keeps is told, and holds no more than its buffer.
func TestASlowFollower(t *testing.T) {
	b := newBus(t, func(c *Config) { c.Limits.Buffer = 8 })
	ann := b.user("ann", false)
	r := b.room("red", "", map[*user]v1.Role{ann: v1.RoleMember})
	s := ann.follow(redMessages)
	nc := b.node.MustConnect(t, embeddednats.AccountClients)
	text := []byte(strings.Repeat("x", 256<<10))
	for range 200 {
		if err := nc.Publish(v1.RoomSubject(r.ID, ann.key, v1.SubjectMessage), text); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	s.lines.Buffer(nil, 1<<20)
	for {
		e, ok := s.next()
		if !ok {
			t.Fatal("it ended without a word")
		}
		if e.Name == "problem" {
			if !strings.Contains(e.Data, `"`+v1.CodeSlow+`"`) {
				t.Errorf("the end is %s", e.Data)
			}
			return
		}
	}
}
