// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

func pathOf(u *user) string { return v1.PathUsers + "/" + u.key }

func TestUsers(t *testing.T) {
	b := newBus(t, nil)
	root, ann, bob := b.user("root", true), b.stranger("ann"), b.stranger("bob")
	made := root.do("PUT", pathOf(ann), v1.PutUser{Name: "ann"}).expect(t, 201, "")
	if u := decode[v1.User](t, made); u.Name != "ann" || u.Key != ann.key || u.Admin || u.Created.IsZero() {
		t.Errorf("made %+v", u)
	}
	// The same again writes nothing, and so does not change the revision.
	same := root.do("PUT", pathOf(ann), v1.PutUser{Name: "ann"}).expect(t, 200, "")
	if diff := cmp.Diff(made.header.Get("ETag"), same.header.Get("ETag")); diff != "" || made.header.Get("ETag") == "" {
		t.Errorf("ETag of the same: %s", diff)
	}
	if diff := cmp.Diff(string(made.body), string(same.body)); diff != "" {
		t.Error(diff)
	}
	ann.do("GET", pathOf(ann), nil).expect(t, 200, "")
	ann.do("GET", v1.PathUsers+"/ann", nil).expect(t, 200, "")
	root.do("GET", v1.PathUsers+"/ann", nil).expect(t, 200, "")

	// Whoever may not know of others is told the same of those who are there and of those who are not.
	there := ann.do("GET", v1.PathUsers+"/root", nil).expect(t, 404, v1.CodeNotFound)
	absent := ann.do("GET", v1.PathUsers+"/nobody", nil).expect(t, 404, v1.CodeNotFound)
	if diff := cmp.Diff(string(there.body), string(absent.body)); diff != "" {
		t.Errorf("who is there is told from who is not: %s", diff)
	}
	there = ann.do("DELETE", pathOf(root), nil).expect(t, 403, v1.CodeForbidden)
	absent = ann.do("DELETE", v1.PathUsers+"/nobody", nil).expect(t, 403, v1.CodeForbidden)
	if diff := cmp.Diff(string(there.body), string(absent.body)); diff != "" {
		t.Errorf("who is there is told from who is not: %s", diff)
	}
	ann.do("GET", v1.PathUsers, nil).expect(t, 403, v1.CodeForbidden)
	ann.do("PUT", pathOf(ann), v1.PutUser{Name: "ann", Admin: true}).expect(t, 403, v1.CodeForbidden)
	ann.do("PUT", pathOf(bob), v1.PutUser{Name: "bob"}).expect(t, 403, v1.CodeForbidden)

	// What breaks a rule.
	root.do("PUT", pathOf(bob), v1.PutUser{Name: "ann"}).expect(t, 409, v1.CodeExists)
	root.do("PUT", pathOf(ann), v1.PutUser{Name: "anne"}).expect(t, 409, v1.CodeExists)
	root.do("PUT", pathOf(bob), v1.PutUser{Name: "Bob!"}).expect(t, 422, v1.CodeInvalid)
	root.do("PUT", v1.PathUsers+"/bob", v1.PutUser{Name: "bob"}).expect(t, 422, v1.CodeInvalid)
	root.do("PUT", pathOf(bob), map[string]any{"name": "bob", "seed": "SU"}).expect(t, 422, v1.CodeInvalid)
	root.do("PUT", pathOf(bob), map[string]any{}).expect(t, 422, v1.CodeInvalid)

	// Admins.
	root.do("PUT", pathOf(root), v1.PutUser{Name: "root"}).expect(t, 409, v1.CodeLastAdmin)
	root.do("DELETE", pathOf(root), nil).expect(t, 409, v1.CodeLastAdmin)
	root.do("PUT", pathOf(ann), v1.PutUser{Name: "ann", Admin: true}).expect(t, 200, "")
	ann.do("PUT", pathOf(root), v1.PutUser{Name: "root"}).expect(t, 200, "")
	root.do("GET", v1.PathUsers, nil).expect(t, 403, v1.CodeForbidden)
	ann.do("DELETE", v1.PathUsers+"/root", nil).expect(t, 204, "")
	root.do("GET", pathOf(root), nil).expect(t, 401, v1.CodeToken)
	ann.do("DELETE", pathOf(root), nil).expect(t, 404, v1.CodeNotFound)
	ann.do("GET", pathOf(root), nil).expect(t, 404, v1.CodeNotFound)
}

func TestPages(t *testing.T) {
	b := newBus(t, nil)
	root := b.user("u0", true)
	for _, name := range []string{"u1", "u2", "u3", "u4"} {
		b.user(name, false)
	}
	var names []string
	after := ""
	for pages := 1; ; pages++ {
		p := decode[v1.Users](t, root.do("GET", v1.PathUsers+"?limit=2&after="+after, nil).expect(t, 200, ""))
		for _, u := range p.Users {
			names = append(names, u.Name)
		}
		if after = p.Next; after == "" {
			if pages != 3 {
				t.Errorf("%d pages", pages)
			}
			break
		}
	}
	if diff := cmp.Diff([]string{"u0", "u1", "u2", "u3", "u4"}, names); diff != "" {
		t.Error(diff)
	}
	for _, query := range []string{"?limit=0", "?limit=1001", "?limit=x", "?page=2", "?limit=1;after=x"} {
		root.do("GET", v1.PathUsers+query, nil).expect(t, 422, v1.CodeInvalid)
	}
}

func TestPreconditions(t *testing.T) {
	b := newBus(t, nil)
	root, ann := b.user("root", true), b.stranger("ann")
	put := func(admin bool, headers ...string) result {
		return root.do("PUT", pathOf(ann), v1.PutUser{Name: "ann", Admin: admin}, headers...)
	}
	put(false, "If-Match", "*").expect(t, 412, v1.CodeConflict)
	put(false, "If-Match", `"1"`).expect(t, 412, v1.CodeConflict)
	first := put(false, "If-None-Match", "*").expect(t, 201, "").header.Get("ETag")
	put(false, "If-None-Match", "*").expect(t, 412, v1.CodeConflict)
	second := put(true, "If-Match", first).expect(t, 200, "").header.Get("ETag")
	if first == second {
		t.Error("a change left the ETag as it was")
	}
	put(false, "If-Match", first).expect(t, 412, v1.CodeConflict)
	put(true, "If-Match", first).expect(t, 412, v1.CodeConflict) // also who wants what is there has read another
	put(false, "If-Match", "W/"+second).expect(t, 412, v1.CodeConflict)
	put(false, "If-Match", first+", "+second).expect(t, 200, "")
	for _, bad := range []string{"12", `"`, `"12`, `W/12`, "", " "} {
		put(true, "If-Match", bad).expect(t, 400, v1.CodeMalformed)
	}
	put(true, "If-None-Match", "").expect(t, 400, v1.CodeMalformed)
	put(true, "If-None-Match", second).expect(t, 400, v1.CodeMalformed)
	root.do("DELETE", pathOf(ann), nil, "If-Match", first).expect(t, 412, v1.CodeConflict)
	root.do("DELETE", pathOf(ann), nil, "If-Match", "*").expect(t, 204, "")
	root.do("DELETE", pathOf(ann), nil, "If-Match", "*").expect(t, 412, v1.CodeConflict)
	root.do("DELETE", pathOf(ann), nil).expect(t, 404, v1.CodeNotFound)
}

// Many count up a class's bound, each by what it has read: none of the steps may be lost.
func TestNoUpdateIsLost(t *testing.T) {
	b := newBus(t, func(c *Config) { c.Limits.UserRate = 1e6 })
	root := b.user("root", true)
	const path, writers, steps = v1.PathClasses + "/counted", 8, 10
	class := membership.DefaultClass("counted")
	class.MaxMessagesPerRoom = 1
	root.do("PUT", path, class).expect(t, 201, "")
	var wg sync.WaitGroup
	for range writers {
		wg.Go(func() {
			for done := 0; done < steps; {
				r := root.do("GET", path, nil)
				c := decode[v1.Class](t, r)
				c.MaxMessagesPerRoom++
				switch got := root.do("PUT", path, c, "If-Match", r.header.Get("ETag")); got.status {
				case 200:
					done++
				case 412:
				default:
					t.Errorf("%d: %s", got.status, got.body)
					return
				}
			}
		})
	}
	wg.Wait()
	if got := decode[v1.Class](t, root.do("GET", path, nil)).MaxMessagesPerRoom; got != 1+writers*steps {
		t.Errorf("counted to %d, want %d", got, 1+writers*steps)
	}
	// Without a condition the last one wins, and nobody is refused.
	for i := range writers {
		wg.Go(func() {
			c := class
			c.MaxMessagesPerRoom = int64(1000 + i)
			if got := root.do("PUT", path, c); got.status != 200 {
				t.Errorf("%d: %s", got.status, got.body)
			}
		})
	}
	wg.Wait()
}
