// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
)

func TestRooms(t *testing.T) {
	b := newBus(t, nil)
	b.class("kept")
	root, ann := b.user("root", true), b.user("ann", false)
	const path = v1.PathRooms + "/red"
	made := root.do("PUT", path, v1.PutRoom{Class: "kept"}).expect(t, 201, "")
	if r := decode[v1.RoomView](t, made); r.Name != "red" || !v1.IsRoomID(r.ID) || r.Class != "kept" || r.Role != "" {
		t.Errorf("made %+v", r)
	}
	root.do("PUT", path, v1.PutRoom{Class: "kept"}).expect(t, 200, "")
	root.do("PUT", path, v1.PutRoom{}).expect(t, 409, v1.CodeExists)
	root.do("PUT", path, v1.PutRoom{Class: "kept"}, "If-None-Match", "*").expect(t, 412, v1.CodeConflict)
	root.do("PUT", v1.PathRooms+"/blue", v1.PutRoom{Class: "lost"}).expect(t, 422, v1.CodeInvalid)
	root.do("PUT", v1.PathRooms+"/Blue", v1.PutRoom{}).expect(t, 422, v1.CodeInvalid)

	// Nobody else knows of it.
	there, absent := ann.do("GET", path, nil).expect(t, 404, v1.CodeNotFound), ann.do("GET", v1.PathRooms+"/nowhere", nil).expect(t, 404, v1.CodeNotFound)
	if diff := cmp.Diff(string(there.body), string(absent.body)); diff != "" {
		t.Errorf("a room that is there is told from one that is not: %s", diff)
	}
	// Not even by the time that it takes: nobody is asked.
	asked := b.must(b.js.Conn().SubscribeSync("$JS.API.STREAM.MSG.GET.KV_" + v1.BucketRooms)).(*nats.Subscription)
	for _, hidden := range []string{path, path + "/members", path + "/members/root", v1.PathRooms + "/nowhere", v1.PathRooms + "/nowhere/members/root"} {
		ann.do("GET", hidden, nil).expect(t, 404, v1.CodeNotFound)
	}
	if n, _, err := asked.Pending(); n != 0 || err != nil {
		t.Errorf("%d questions for what is hidden (%v)", n, err)
	}
	root.do("GET", path, nil).expect(t, 200, "")
	if _, err := asked.NextMsg(natstest.Patience); err != nil {
		t.Errorf("a question is not seen: %v", err)
	}
	for _, r := range []result{ann.do("PUT", path, v1.PutRoom{}), ann.do("PUT", v1.PathRooms+"/nowhere", v1.PutRoom{}), ann.do("DELETE", path, nil),
		ann.do("DELETE", v1.PathRooms+"/nowhere", nil)} {
		r.expect(t, 403, v1.CodeForbidden)
	}
	if l := decode[v1.Rooms](t, ann.do("GET", v1.PathRooms, nil).expect(t, 200, "")); l.Rooms == nil || len(l.Rooms) != 0 {
		t.Errorf("rooms of who is in none: %+v", l)
	}
	root.do("PUT", path+"/members/ann", v1.PutMember{Role: v1.RoleReader}).expect(t, 201, "")
	if l := decode[v1.Rooms](t, ann.do("GET", v1.PathRooms, nil).expect(t, 200, "")); len(l.Rooms) != 1 || l.Rooms[0].Role != v1.RoleReader || l.Rooms[0].Name != "red" {
		t.Errorf("rooms of a reader: %+v", l)
	}
	if l := decode[v1.Rooms](t, root.do("GET", v1.PathRooms, nil).expect(t, 200, "")); len(l.Rooms) != 1 || l.Rooms[0].Role != "" {
		t.Errorf("rooms of an admin: %+v", l)
	}

	// It is gone at once, and its name free when its history is.
	root.do("DELETE", path, nil, "If-Match", `"1"`).expect(t, 412, v1.CodeConflict)
	root.do("DELETE", path, nil).expect(t, 204, "")
	for _, u := range []*user{root, ann} {
		u.do("GET", path, nil).expect(t, 404, v1.CodeNotFound)
		u.do("GET", path+"/members", nil).expect(t, 404, v1.CodeNotFound)
		u.do("GET", path+"/messages", nil).expect(t, 404, v1.CodeNotFound)
		if l := decode[v1.Rooms](t, u.do("GET", v1.PathRooms, nil).expect(t, 200, "")); len(l.Rooms) != 0 {
			t.Errorf("rooms of %s: %+v", u.name, l)
		}
	}
	root.do("DELETE", path, nil).expect(t, 404, v1.CodeNotFound)
	root.do("PUT", path, v1.PutRoom{Class: "kept"}).expect(t, 409, v1.CodeConflict)
	if err := b.store.FinishDeletion(t.Context(), decode[v1.RoomView](t, made).Room); err != nil {
		t.Fatal(err)
	}
	root.do("PUT", path, v1.PutRoom{}).expect(t, 201, "")
}

func TestMembers(t *testing.T) {
	b := newBus(t, nil)
	root, ann, bob, eve := b.user("root", true), b.user("ann", false), b.user("bob", false), b.user("eve", false)
	b.room("red", "", map[*user]v1.Role{ann: v1.RoleAdmin, bob: v1.RoleMember})
	const list = v1.PathRooms + "/red/members"
	of := func(u *user) string { return list + "/" + u.key }
	if p := decode[v1.Members](t, bob.do("GET", list, nil).expect(t, 200, "")); len(p.Members) != 2 || p.Members[0].Name != "ann" ||
		p.Members[0].User != ann.key || p.Members[0].Role != v1.RoleAdmin || p.Members[1].Created.IsZero() {
		t.Errorf("members: %+v", p)
	}
	// However many there are, none is asked for one by one.
	asked := b.must(b.js.Conn().SubscribeSync("$JS.API.STREAM.MSG.GET.KV_" + v1.BucketMembers)).(*nats.Subscription)
	p := decode[v1.Members](t, bob.do("GET", list, nil).expect(t, 200, ""))
	if n, _, err := asked.Pending(); n != 0 || err != nil {
		t.Errorf("%d questions for a list (%v)", n, err)
	}
	one := decode[v1.MemberView](t, bob.do("GET", of(ann), nil).expect(t, 200, ""))
	if diff := cmp.Diff(one, p.Members[0]); diff != "" {
		t.Error(diff)
	}
	if _, err := asked.NextMsg(natstest.Patience); err != nil {
		t.Errorf("a question is not seen: %v", err)
	}
	if p := decode[v1.Members](t, bob.do("GET", list+"?limit=1", nil).expect(t, 200, "")); len(p.Members) != 1 || p.Next != "ann" {
		t.Errorf("a page of members: %+v", p)
	}
	// The room's admin manages it, and other members do not.
	first := ann.do("PUT", list+"/eve", v1.PutMember{Role: v1.RoleReader}).expect(t, 201, "").header.Get("ETag")
	ann.do("PUT", of(eve), v1.PutMember{Role: v1.RoleReader}, "If-Match", first).expect(t, 200, "")
	ann.do("PUT", of(eve), v1.PutMember{Role: v1.RoleMember}, "If-Match", first).expect(t, 200, "")
	ann.do("PUT", of(eve), v1.PutMember{Role: v1.RoleAdmin}, "If-Match", first).expect(t, 412, v1.CodeConflict)
	ann.do("PUT", of(eve), map[string]string{"role": "owner"}).expect(t, 422, v1.CodeInvalid)
	ann.do("PUT", list+"/nobody", v1.PutMember{Role: v1.RoleReader}).expect(t, 404, v1.CodeNotFound)
	bob.do("PUT", of(eve), v1.PutMember{Role: v1.RoleAdmin}).expect(t, 403, v1.CodeForbidden)
	bob.do("PUT", of(bob), v1.PutMember{Role: v1.RoleAdmin}).expect(t, 403, v1.CodeForbidden)
	bob.do("DELETE", of(eve), nil).expect(t, 403, v1.CodeForbidden)
	bob.do("DELETE", list+"/nobody", nil).expect(t, 403, v1.CodeForbidden)
	bob.do("GET", of(eve), nil).expect(t, 200, "")
	// Everybody may leave, and is then outside.
	eve.do("DELETE", list+"/eve", nil).expect(t, 204, "")
	for _, r := range []result{eve.do("GET", list, nil), eve.do("GET", of(bob), nil), eve.do("PUT", of(eve), v1.PutMember{Role: v1.RoleReader}),
		eve.do("DELETE", of(eve), nil), eve.do("DELETE", of(bob), nil), eve.do("GET", v1.PathRooms+"/nowhere/members", nil)} {
		r.expect(t, 404, v1.CodeNotFound)
	}
	ann.do("DELETE", of(eve), nil).expect(t, 404, v1.CodeNotFound)
	ann.do("DELETE", of(ann), nil).expect(t, 204, "")
	// An admin of the bus may always put one into a room.
	root.do("PUT", of(bob), v1.PutMember{Role: v1.RoleAdmin}).expect(t, 200, "")
	bob.do("PUT", of(eve), v1.PutMember{Role: v1.RoleReader}).expect(t, 201, "")
}

func TestClasses(t *testing.T) {
	b := newBus(t, nil)
	root, ann := b.user("root", true), b.user("ann", false)
	const path = v1.PathClasses + "/kept"
	class := membership.DefaultClass("kept")
	made := root.do("PUT", path, class).expect(t, 201, "")
	if diff := cmp.Diff(class, decode[v1.Class](t, made)); diff != "" {
		t.Error(diff)
	}
	root.do("PUT", path, class).expect(t, 200, "")
	ann.do("GET", path, nil).expect(t, 200, "")
	if diff := cmp.Diff(v1.Classes{Classes: []v1.Class{class}}, decode[v1.Classes](t, ann.do("GET", v1.PathClasses, nil).expect(t, 200, ""))); diff != "" {
		t.Error(diff)
	}
	ann.do("PUT", path, class).expect(t, 403, v1.CodeForbidden)
	ann.do("DELETE", path, nil).expect(t, 403, v1.CodeForbidden)
	ann.do("GET", v1.PathClasses+"/none", nil).expect(t, 404, v1.CodeNotFound)
	other := class
	other.Name = "other"
	root.do("PUT", path, other).expect(t, 422, v1.CodeInvalid)
	other.Full = "overflow"
	root.do("PUT", v1.PathClasses+"/other", other).expect(t, 422, v1.CodeInvalid)
	b.fits = func(c v1.Class) error { return fmt.Errorf("%w: no space", membership.ErrLimit) }
	class.MaxBytes *= 2
	root.do("PUT", path, class).expect(t, 409, v1.CodeLimit)
	class.MaxBytes /= 4
	root.do("PUT", path, class).expect(t, 200, "")
	b.room("red", "kept", nil)
	root.do("DELETE", path, nil).expect(t, 409, v1.CodeInUse)
	root.do("DELETE", v1.PathClasses+"/none", nil).expect(t, 404, v1.CodeNotFound)
	b.fits = func(v1.Class) error { return errors.New("broken") }
	other = membership.DefaultClass("other")
	if r := root.do("PUT", v1.PathClasses+"/other", other).expect(t, 500, v1.CodeInternal); strings.Contains(string(r.body), "broken") {
		t.Errorf("an internal error is told: %s", r.body)
	}
	b.fits = func(v1.Class) error { return nil }
	root.do("PUT", v1.PathClasses+"/other", other).expect(t, 201, "")
	root.do("DELETE", v1.PathClasses+"/other", nil).expect(t, 204, "")
}

// Each change is written down before it is made, and after; what changes nothing is not.
func TestAudit(t *testing.T) {
	b := newBus(t, nil)
	root, ann := b.user("root", true), b.stranger("ann")
	for range 2 {
		root.do("PUT", pathOf(ann), v1.PutUser{Name: "ann"})
	}
	root.do("PUT", pathOf(root), v1.PutUser{Name: "root"}).expect(t, 409, v1.CodeLastAdmin)
	ann.do("DELETE", pathOf(root), nil).expect(t, 403, v1.CodeForbidden)
	root.do("DELETE", v1.PathUsers+"/ann", nil).expect(t, 204, "")
	var got []string
	ids := map[string]int{}
	for after := ""; ; {
		p := decode[v1.Audit](t, root.do("GET", v1.PathAudit+"?limit=4&after="+after, nil).expect(t, 200, ""))
		for _, e := range p.Entries {
			got = append(got, strings.NewReplacer(ann.key, "ANN", root.key, "ROOT").Replace(fmt.Sprintf("%s %s %s [%s]", e.Who, e.Action, e.Body, e.Outcome)))
			if ids[e.ID]++; e.Node != b.node.Name() || e.Time.IsZero() {
				t.Errorf("entry %+v", e)
			}
		}
		if after = p.Next; after == "" {
			break
		}
	}
	if diff := cmp.Diff([]string{
		"ROOT DELETE /v1/users/ANN  [ok]", "ROOT DELETE /v1/users/ANN  []",
		`ROOT PUT /v1/users/ROOT {"name":"root"} [last-admin]`, `ROOT PUT /v1/users/ROOT {"name":"root"} []`,
		`ROOT PUT /v1/users/ANN {"name":"ann"} [ok]`, `ROOT PUT /v1/users/ANN {"name":"ann"} []`,
	}, got); diff != "" {
		t.Error(diff)
	}
	if len(ids) != 3 {
		t.Errorf("ids %v: both entries of a change have the same, and no others", ids)
	}
	root.do("GET", v1.PathAudit+"?after=x", nil).expect(t, 422, v1.CodeInvalid)
}
