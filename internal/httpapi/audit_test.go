// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
)

// What can't be written down is not done, unless it only takes rights away: that is written down as soon as it can be.
func TestNothingHindersARevocation(t *testing.T) {
	b := newBus(t, nil)
	root, ann, bob, cid := b.user("root", true), b.user("ann", true), b.user("bob", false), b.user("cid", false)
	b.room("red", "", map[*user]v1.Role{bob: v1.RoleAdmin, cid: v1.RoleMember})
	b.room("blue", "", map[*user]v1.Role{cid: v1.RoleMember})
	b.must(nil, b.js.DeleteStream(t.Context(), v1.StreamAudit))
	const red, blue = v1.PathRooms + "/red", v1.PathRooms + "/blue"
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"PUT", pathOf(b.stranger("dan")), v1.PutUser{Name: "dan"}},
		{"PUT", pathOf(bob), v1.PutUser{Name: "bob", Admin: true}},
		{"PUT", red + "/members/" + cid.key, v1.PutMember{Role: v1.RoleAdmin}},
		{"PUT", blue + "/members/" + bob.key, v1.PutMember{Role: v1.RoleReader}},
		{"PUT", v1.PathClasses + "/kept", membership.DefaultClass("kept")},
	} {
		root.do(c.method, c.path, c.body).expect(t, 503, v1.CodeUnavailable)
	}
	want := map[string]int{}
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"PUT", pathOf(ann), v1.PutUser{Name: "ann"}},
		{"PUT", red + "/members/" + bob.key, v1.PutMember{Role: v1.RoleMember}},
		{"PUT", red + "/members/" + cid.key, v1.PutMember{Role: v1.RoleReader}},
		{"DELETE", red + "/members/" + cid.key, nil},
		{"DELETE", blue, nil},
		{"DELETE", pathOf(bob), nil},
	} {
		if r := root.do(c.method, c.path, c.body); r.status >= 300 {
			t.Errorf("%s %s: %d %s", c.method, c.path, r.status, r.body)
		}
		want[c.method+" "+c.path], want[c.method+" "+c.path+" ok"] = 1, 1
	}
	ann.do("GET", v1.PathUsers, nil).expect(t, 403, v1.CodeForbidden)
	bob.do("GET", v1.PathRooms, nil).expect(t, 401, v1.CodeToken)
	b.must(b.js.CreateStream(t.Context(), membership.AuditStream(1, 1<<20)))
	var got map[string]int
	if !natstest.Until(natstest.Patience, func() bool {
		got = map[string]int{}
		for _, e := range decode[v1.Audit](t, root.do("GET", v1.PathAudit, nil).expect(t, 200, "")).Entries {
			if e.Outcome != "" {
				e.Action += " " + e.Outcome
			}
			got[e.Action]++
		}
		return cmp.Equal(want, got)
	}) {
		t.Errorf("the audit: %s", cmp.Diff(want, got))
	}
}

// A demotion that finds nobody any more would put the user back: that waits for the audit, like all that gives.
func TestARevocationThatTurnsIntoAGift(t *testing.T) {
	b := newBus(t, nil)
	root, ann := b.user("root", true), b.user("ann", true)
	b.must(nil, b.js.DeleteStream(t.Context(), v1.StreamAudit))
	remove := sync.OnceFunc(func() { b.must(nil, b.store.RemoveUser(t.Context(), ann.key, 0)) })
	b.hook(func(_ context.Context, _ *nats.Msg, write func() (*jetstream.PubAck, error)) (*jetstream.PubAck, error) {
		remove()
		return write()
	})
	root.do("PUT", pathOf(ann), v1.PutUser{Name: "ann"}).expect(t, 503, v1.CodeUnavailable)
	if _, err := b.store.GetUser(t.Context(), ann.key); !errors.Is(err, membership.ErrNotFound) {
		t.Errorf("ann is there again: %v", err)
	}
}
