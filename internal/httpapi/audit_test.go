// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"errors"
	"fmt"
	"slices"
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
	b := newBus(t, func(c *Config) { c.Limits.UserRate = 1e6 }) // it asks again and again
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

// tired is a JetStream that gives a stream so many times.
type tired struct {
	jetstream.JetStream
	left int
}

func (j *tired) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	if j.left--; j.left < 0 {
		return nil, context.DeadlineExceeded
	}
	return j.JetStream.Stream(ctx, name)
}

// A page for which there is no time ends early, and the next one goes on there.
func TestAnAuditThatTakesLong(t *testing.T) {
	b := newBus(t, nil)
	root := b.user("root", true)
	const all = 2*auditPart + 20
	log := membership.NewAuditLog(b.js, nil)
	for n := range all {
		b.must(log.Begin(t.Context(), v1.AuditEntry{Who: root.key, Action: fmt.Sprint(n)}))
	}
	back := *b.api.backend.Load()
	read := func(parts, limit int, after string) v1.Audit {
		back := back
		back.Audit = membership.NewAuditLog(&tired{b.js, parts}, nil)
		b.api.backend.Store(&back)
		return decode[v1.Audit](t, root.do("GET", fmt.Sprintf("%s?limit=%d&after=%s", v1.PathAudit, limit, after), nil).expect(t, 200, ""))
	}
	first := read(1, v1.MaxList, "")
	second := read(5, auditPart+10, first.Next)
	third := read(5, v1.MaxList, second.Next)
	if len(first.Entries) != auditPart || len(second.Entries) != auditPart+10 || third.Next != "" {
		t.Errorf("pages of %d, %d and %d entries, and then %q", len(first.Entries), len(second.Entries), len(third.Entries), third.Next)
	}
	for i, e := range slices.Concat(first.Entries, second.Entries, third.Entries) {
		if e.Action != fmt.Sprint(all-1-i) {
			t.Fatalf("entry %d is number %s of %d", i, e.Action, all)
		}
	}
	b.api.backend.Store(&Backend{Store: back.Store, Audit: membership.NewAuditLog(&tired{b.js, 0}, nil)})
	root.do("GET", v1.PathAudit, nil).expect(t, 503, v1.CodeUnavailable)
}
