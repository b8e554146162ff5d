// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"net/http"
	"strings"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/httpapi/apitest"
	"github.com/unibus/unibus/internal/membership"
)

// client is one that was generated from the description, for a user.
func (u *user) client() *apitest.ClientWithResponses {
	u.b.t.Helper()
	return u.b.must(apitest.NewClientWithResponses(u.b.url, apitest.WithRequestEditorFn(func(_ context.Context, r *http.Request) error {
		token, err := u.sign(nil)
		r.Header.Set("Authorization", bearer+token)
		return err
	}))).(*apitest.ClientWithResponses)
}

// A client that is generated from the description works all of the API.
func TestGeneratedClient(t *testing.T) {
	log := &statusLog{seen: map[string]map[string]bool{}}
	b := newBus(t, func(c *Config) { c.Answered = log.answered })
	defer b.expectAllAsked(log)
	root, ann := b.user("root", true), b.stranger("ann")
	ctx, r, a := t.Context(), root.client(), ann.client()
	ok := func(what string, err error, got *http.Response, want int) {
		t.Helper()
		if err != nil || got.StatusCode != want {
			t.Fatalf("%s: %v, %+v, want %d", what, err, got, want)
		}
	}
	cluster, err := r.GetClusterWithResponse(ctx)
	ok("cluster", err, cluster.HTTPResponse, 200)
	if cluster.JSON200.Id != clusterID {
		t.Errorf("cluster %+v", cluster.JSON200)
	}
	b.class("kept")
	class, err := r.GetClassWithResponse(ctx, "kept")
	ok("class", err, class.HTTPResponse, 200)
	class.JSON200.MaxMessagesPerRoom *= 2
	tag := class.HTTPResponse.Header.Get("ETag")
	changed, err := r.PutClassWithResponse(ctx, "kept", &apitest.PutClassParams{IfMatch: &tag}, *class.JSON200)
	ok("change a class", err, changed.HTTPResponse, 200)
	late, err := r.PutClassWithResponse(ctx, "kept", &apitest.PutClassParams{IfMatch: &tag}, *class.JSON200)
	ok("change a class late", err, late.HTTPResponse, 412)
	if late.ApplicationproblemJSON412.Code != v1.CodeConflict {
		t.Errorf("problem %+v", late.ApplicationproblemJSON412)
	}
	classes, err := r.ListClassesWithResponse(ctx)
	ok("classes", err, classes.HTTPResponse, 200)
	name := "kept"
	room, err := r.PutRoomWithResponse(ctx, "red", nil, apitest.PutRoom{Class: &name})
	ok("make a room", err, room.HTTPResponse, 201)
	user, err := r.PutUserWithResponse(ctx, ann.key, nil, apitest.PutUser{Name: "ann"})
	ok("make a user", err, user.HTTPResponse, 201)
	again, err := r.PutUserWithResponse(ctx, ann.key, nil, apitest.PutUser{Name: "ann"})
	ok("make a user again", err, again.HTTPResponse, 200)
	member, err := r.PutMemberWithResponse(ctx, "red", "ann", nil, apitest.PutMember{Role: apitest.Member})
	ok("put a member", err, member.HTTPResponse, 201)
	one, err := a.GetMemberWithResponse(ctx, "red", "ann")
	ok("member", err, one.HTTPResponse, 200)
	me, err := a.GetUserWithResponse(ctx, ann.key)
	ok("user", err, me.HTTPResponse, 200)
	members, err := a.ListMembersWithResponse(ctx, "red", nil)
	ok("members", err, members.HTTPResponse, 200)
	if l := members.JSON200.Members; len(l) != 1 || l[0].User != ann.key {
		t.Errorf("members %+v", l)
	}
	sent, err := a.PostMessageWithBodyWithResponse(ctx, "red", nil, "text/plain", strings.NewReader("hello"))
	ok("send", err, sent.HTTPResponse, 201)
	read, err := a.ReadMessagesWithResponse(ctx, "red", &apitest.ReadMessagesParams{AtLeast: sent.JSON201.Sequence})
	ok("read", err, read.HTTPResponse, 200)
	if l := read.JSON200.Messages; len(l) != 1 || *l[0].Text != "hello" || (*l[0].Headers)["Content-Type"] != "text/plain" {
		t.Errorf("messages %+v", l)
	}
	rooms, err := a.ListRoomsWithResponse(ctx, nil)
	ok("rooms", err, rooms.HTTPResponse, 200)
	hidden, err := a.ListUsersWithResponse(ctx, nil)
	ok("users, as no admin", err, hidden.HTTPResponse, 403)
	users, err := r.ListUsersWithResponse(ctx, nil)
	ok("users", err, users.HTTPResponse, 200)
	left, err := a.DeleteMemberWithResponse(ctx, "red", "ann", nil)
	ok("leave", err, left.HTTPResponse, 204)
	gone, err := a.GetRoomWithResponse(ctx, "red")
	ok("look back", err, gone.HTTPResponse, 404)
	removed, err := r.DeleteUserWithResponse(ctx, "ann", nil)
	ok("remove a user", err, removed.HTTPResponse, 204)
	deleted, err := r.DeleteRoomWithResponse(ctx, "red", nil)
	ok("delete a room", err, deleted.HTTPResponse, 204)
	other := membership.DefaultClass("other")
	made, err := r.PutClassWithResponse(ctx, "other", nil, apitest.Class{Name: "other", MaxBytes: other.MaxBytes,
		MaxMessagesPerRoom: other.MaxMessagesPerRoom, MaxMessageBytes: other.MaxMessageBytes, Full: "roll"})
	ok("make a class", err, made.HTTPResponse, 201)
	dropped, err := r.DeleteClassWithResponse(ctx, "other", nil)
	ok("delete a class", err, dropped.HTTPResponse, 204)
	audit, err := r.ListAuditWithResponse(ctx, nil)
	ok("audit", err, audit.HTTPResponse, 200)
	if n := len(audit.JSON200.Entries); n == 0 || n%2 != 0 {
		t.Errorf("%d entries of the audit", n)
	}
}

// expectAllAsked expects that each operation of the description was asked for.
func (b *bus) expectAllAsked(log *statusLog) {
	b.t.Helper()
	all := b.mustDescription()
	log.mu.Lock()
	defer log.mu.Unlock()
	for key := range all {
		if log.seen[key] == nil {
			b.t.Errorf("nobody asks for %s", key)
		}
	}
}
