// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// table is a directory that is told by hand, as if it had seen all.
type table struct {
	t testing.TB
	*Directory
	log *natstest.Log
	seq uint64
}

func newTable(t testing.TB) *table {
	log := natstest.NewLog()
	d := NewDirectory(Config{Logger: log.Logger()})
	for _, b := range d.buckets {
		b.begin()
		b.loaded = true
	}
	return &table{t: t, Directory: d, log: log}
}

// tell is a record that all buckets' watches could show; nil removes. It returns who changed.
func (x *table) tell(bucket, key string, value any) []string {
	x.t.Helper()
	var data []byte
	switch v := value.(type) {
	case nil:
	case string:
		data = []byte(v)
	default:
		var err error
		if data, err = json.Marshal(value); err != nil {
			x.t.Fatal(err)
		}
	}
	x.seq++
	var c changes
	b := x.buckets[slices.Index(buckets, bucket)]
	b.do(func(n *news) {
		b.see(b.watch, key, x.seq, data, n)
		c = n.changed
	})
	return slices.Sorted(maps.Keys(c))
}

func (x *table) user(key, hex string) []string {
	x.t.Helper()
	return x.tell(v1.BucketUsers, v1.UserKey(hex), v1.User{Name: "u", Key: key})
}

func (x *table) room(name, id string, deleting bool) []string {
	x.t.Helper()
	return x.tell(v1.BucketRooms, v1.RoomKey(name), v1.Room{Name: name, ID: id, Deleting: deleting})
}

func (x *table) member(id, hex string, role v1.Role) []string {
	x.t.Helper()
	return x.tell(v1.BucketMembers, v1.MemberKey(id, hex), v1.Member{Role: role})
}

func (x *table) expectGrants(what, key, hex string, roles map[string]v1.Role) {
	x.t.Helper()
	wantPublish, wantSubscribe := v1.Grants(key, roles)
	publish, subscribe := x.Grants(hex)
	sorted := cmpopts.SortSlices(strings.Compare)
	if diff := cmp.Diff(wantPublish, publish, sorted); diff != "" {
		x.t.Errorf("%s: publish (-want +got):\n%s", what, diff)
	}
	if diff := cmp.Diff(wantSubscribe, subscribe, sorted); diff != "" {
		x.t.Errorf("%s: subscribe (-want +got):\n%s", what, diff)
	}
}

func id(c string) string { return strings.Repeat(c, v1.RoomIDSize) }

func TestChangesAreToldToThoseConcerned(t *testing.T) {
	x := newTable(t)
	ka, a := mustKey(t)
	kb, b := mustKey(t)
	_, stranger := mustKey(t)
	r, r2 := id("A"), id("B")
	for i, step := range []struct {
		what  string
		do    func() []string
		want  []string
		roles map[string]v1.Role // of a, afterwards; nil means not on the allowlist
	}{
		{"a room", func() []string { return x.room("one", r, false) }, nil, nil},
		{"a member before its user", func() []string { return x.member(r, a, v1.RoleReader) }, nil, nil},
		{"the user", func() []string { return x.user(ka, a) }, []string{a}, map[string]v1.Role{r: v1.RoleReader}},
		{"the same user", func() []string { return x.user(ka, a) }, nil, map[string]v1.Role{r: v1.RoleReader}},
		{"a role that writes", func() []string { return x.member(r, a, v1.RoleMember) }, []string{a}, map[string]v1.Role{r: v1.RoleMember}},
		{"another that writes", func() []string { return x.member(r, a, v1.RoleAdmin) }, nil, map[string]v1.Role{r: v1.RoleMember}},
		{"a bystander", func() []string { return x.user(kb, b) }, []string{b}, map[string]v1.Role{r: v1.RoleMember}},
		{"its room", func() []string { return x.room("two", r2, false) }, nil, map[string]v1.Role{r: v1.RoleMember}},
		{"it in its room", func() []string { return x.member(r2, b, v1.RoleMember) }, []string{b}, map[string]v1.Role{r: v1.RoleMember}},
		{"no user in the room", func() []string { return x.member(r, stranger, v1.RoleMember) }, nil, map[string]v1.Role{r: v1.RoleMember}},
		{"the room is deleted", func() []string { return x.room("one", r, true) }, []string{a}, map[string]v1.Role{}},
		{"out of a room that is deleted", func() []string { return x.tell(v1.BucketMembers, v1.MemberKey(r, stranger), nil) }, nil, map[string]v1.Role{}},
		{"the room is gone", func() []string { return x.tell(v1.BucketRooms, v1.RoomKey("one"), nil) }, nil, map[string]v1.Role{}},
		{"a new one of that name", func() []string { return x.room("one", id("C"), false) }, nil, map[string]v1.Role{}},
		{"into it", func() []string { return x.member(id("C"), a, v1.RoleReader) }, []string{a}, map[string]v1.Role{id("C"): v1.RoleReader}},
		{"it is replaced at once", func() []string { return x.room("one", id("D"), false) }, []string{a}, map[string]v1.Role{}},
		{"the user is removed", func() []string { return x.tell(v1.BucketUsers, v1.UserKey(a), nil) }, []string{a}, nil},
		{"out of the room", func() []string { return x.tell(v1.BucketMembers, v1.MemberKey(id("C"), a), nil) }, nil, nil},
		{"a class", func() []string { return x.tell(v1.BucketRooms, v1.ClassKey("c"), DefaultClass("c")) }, nil, nil},
		{"a name", func() []string { return x.tell(v1.BucketUsers, v1.UserNameKey("u"), v1.UserKey(b)) }, nil, nil},
		{"a heartbeat", func() []string { return x.tell(v1.BucketUsers, v1.HeartbeatKey, "n1") }, nil, nil},
	} {
		what := fmt.Sprintf("%d: %s", i, step.what)
		if diff := cmp.Diff(step.want, step.do(), cmpopts.EquateEmpty()); diff != "" {
			t.Errorf("%s: changed (-want +got):\n%s", what, diff)
		}
		if authorized := x.IsAuthorized(a); authorized != (step.roles != nil) {
			t.Errorf("%s: authorized: %v", what, authorized)
		}
		if step.roles != nil {
			x.expectGrants(what, ka, a, step.roles)
		} else if p, s := x.Grants(a); p != nil || s != nil {
			t.Errorf("%s: granted %v, %v", what, p, s)
		}
	}
	x.expectGrants("the bystander", kb, b, map[string]v1.Role{r2: v1.RoleMember})
	if s := x.State(); s.Bad != 0 || s.Users != 1 || s.Rooms != 2 || s.Members != 2 || s.Classes != 1 {
		t.Errorf("state %+v", s)
	}
}

// A role that appears in a room before the room does must give nothing, and then all at once.
func TestMembersOfAnUnknownRoomHaveNothing(t *testing.T) {
	x := newTable(t)
	key, hex := mustKey(t)
	x.user(key, hex)
	if c := x.member(id("A"), hex, v1.RoleMember); len(c) != 0 {
		t.Errorf("changed: %v", c)
	}
	x.expectGrants("before the room", key, hex, nil)
	if _, _, ok := x.Role(key, id("A")); ok {
		t.Error("it has a role in a room that nobody knows")
	}
	if diff := cmp.Diff([]string{hex}, x.room("one", id("A"), false)); diff != "" {
		t.Error(diff)
	}
	x.expectGrants("with the room", key, hex, map[string]v1.Role{id("A"): v1.RoleMember})
	role, room, ok := x.Role(key, id("A"))
	if !ok || role != v1.RoleMember || room.Name != "one" {
		t.Errorf("role %s in %+v, %v", role, room, ok)
	}
	x.room("one", id("A"), true)
	if _, _, ok := x.Role(key, id("A")); ok {
		t.Error("it has a role in a room that is being deleted")
	}
	if got := x.Deleting(); len(got) != 1 || got[0].ID != id("A") {
		t.Errorf("deleting %+v", got)
	}
	if rooms, _ := x.RoomsOf(key, "", 0); len(rooms) != 0 {
		t.Errorf("rooms %+v", rooms)
	}
}

func TestRecordsThatCantBeBelievedGiveNothing(t *testing.T) {
	x := newTable(t)
	key, hex := mustKey(t)
	other, otherHex := mustKey(t)
	fresh := func() {
		x.user(key, hex)
		x.room("one", id("A"), false)
		x.member(id("A"), hex, v1.RoleMember)
		x.tell(v1.BucketRooms, v1.ClassKey("c"), DefaultClass("c"))
	}
	fresh()
	for what, c := range map[string]struct {
		bucket, key string
		value       any
	}{
		"a user in no JSON":        {v1.BucketUsers, v1.UserKey(hex), "{"},
		"a user without a key":     {v1.BucketUsers, v1.UserKey(hex), v1.User{Name: "u"}},
		"a user of another key":    {v1.BucketUsers, v1.UserKey(hex), v1.User{Name: "u", Key: other}},
		"another spelling":         {v1.BucketUsers, v1.UserKey(strings.ToUpper(otherHex)), v1.User{Name: "u", Key: other}},
		"a room in no JSON":        {v1.BucketRooms, v1.RoomKey("one"), "no"},
		"a room of another name":   {v1.BucketRooms, v1.RoomKey("one"), v1.Room{Name: "two", ID: id("B")}},
		"a room without an id":     {v1.BucketRooms, v1.RoomKey("one"), v1.Room{Name: "one"}},
		"a wildcard for an id":     {v1.BucketRooms, v1.RoomKey("one"), v1.Room{Name: "one", ID: "*"}},
		"another room's id":        {v1.BucketRooms, v1.RoomKey("two"), v1.Room{Name: "two", ID: id("A")}},
		"a member in no JSON":      {v1.BucketMembers, v1.MemberKey(id("A"), hex), ""},
		"an unknown role":          {v1.BucketMembers, v1.MemberKey(id("A"), hex), v1.Member{Role: "owner"}},
		"a member of no room":      {v1.BucketMembers, v1.MemberKey("one", hex), v1.Member{Role: v1.RoleMember}},
		"a member that is no user": {v1.BucketMembers, v1.MemberKey(id("A"), "u"), v1.Member{Role: v1.RoleMember}},
		"a class of another name":  {v1.BucketRooms, v1.ClassKey("c"), DefaultClass("d")},
		"a key of no kind":         {v1.BucketUsers, "group.x", "{}"},
		"a user in another bucket": {v1.BucketRooms, v1.UserKey(otherHex), v1.User{Name: "u", Key: other}},
	} {
		x.tell(c.bucket, c.key, c.value)
		if s := x.State(); s.Bad != 1 {
			t.Errorf("%s: %d bad records", what, s.Bad)
		}
		if x.IsAuthorized(otherHex) || x.IsAuthorized(strings.ToUpper(otherHex)) {
			t.Errorf("%s: it authorizes", what)
		}
		if strings.HasPrefix(c.bucket, v1.BucketUsers) && c.key == v1.UserKey(hex) && x.IsAuthorized(hex) {
			t.Errorf("%s: the user is still authorized", what)
		}
		if _, _, ok := x.Role(key, id("A")); ok && (c.key == v1.RoomKey("one") || c.key == v1.MemberKey(id("A"), hex)) {
			t.Errorf("%s: the role is still there", what)
		}
		if _, ok := x.Class("c"); ok && c.key == v1.ClassKey("c") {
			t.Errorf("%s: the class is still there", what)
		}
		if !x.log.Said("ERROR", c.key) {
			t.Errorf("%s: nothing was logged", what)
		}
		x.tell(c.bucket, c.key, nil)
		fresh()
		if s := x.State(); s.Bad != 0 || s.Users != 1 || s.Rooms != 1 || s.Members != 1 || s.Classes != 1 {
			t.Errorf("%s: not mended: %+v", what, s)
		}
	}
}

func TestRoomsOfAreAPage(t *testing.T) {
	x := newTable(t)
	key, hex := mustKey(t)
	x.user(key, hex)
	var want []string
	for i := range 25 {
		name := fmt.Sprintf("room-%02d", i)
		x.room(name, id(string(rune('A'+i))), false)
		x.member(id(string(rune('A'+i))), hex, v1.RoleReader)
		want = append(want, name)
	}
	var got []string
	pages := 0
	for after := ""; ; pages++ {
		rooms, next := x.RoomsOf(key, after, 10)
		for _, r := range rooms {
			got = append(got, r.Name)
		}
		if after = next; next == "" {
			break
		}
	}
	if diff := cmp.Diff(want, got); diff != "" || pages != 2 {
		t.Errorf("after %d more pages:\n%s", pages, diff)
	}
}

// An old value that a lagging replica shows, after a newer one was seen, must not bring back what was taken away.
func TestAnOldRevisionChangesNothing(t *testing.T) {
	x := newTable(t)
	key, hex := mustKey(t)
	x.user(key, hex)
	x.tell(v1.BucketUsers, v1.UserKey(hex), nil)
	b := x.buckets[0]
	x.seq = 0
	b.begin()
	x.user(key, hex)
	if x.IsAuthorized(hex) {
		t.Error("a user that was removed came back with an old revision")
	}
	b.begin()
	b.pending = &proof{last: x.seq, done: make(chan error, 1)}
	b.last = x.seq
	b.do(b.judge)
	if b.floor != x.seq || len(b.keys) != 0 {
		t.Fatal("a watch that has shown nothing, of a bucket that has nothing, is not believed")
	}
	x.seq--
	x.user(key, hex)
	if x.IsAuthorized(hex) {
		t.Error("a user that vanished came back with an old revision")
	}
	x.seq = 10
	b.do(func(n *news) { b.see(b.watch-1, v1.UserKey(hex), 11, []byte(`{"name":"u","key":"`+key+`"}`), n) })
	if x.IsAuthorized(hex) || b.last == 11 {
		t.Error("a message of a watch that was given up was taken")
	}
}

func FuzzRecords(f *testing.F) {
	key, hex := mustKey(f)
	f.Add(uint8(0), v1.UserKey(hex), []byte(`{"name":"a","key":"`+key+`"}`))
	f.Add(uint8(1), v1.RoomKey("one"), []byte(`{"name":"one","id":"`+id("A")+`"}`))
	f.Add(uint8(1), v1.ClassKey("c"), []byte(`{"name":"c","maxBytes":-1}`))
	f.Add(uint8(2), v1.MemberKey(id("A"), hex), []byte(`{"role":"member"}`))
	f.Add(uint8(2), "a.b.c", []byte(nil))
	f.Fuzz(func(t *testing.T, n uint8, key string, value []byte) {
		x := newTable(t)
		bucket := buckets[int(n)%len(buckets)]
		x.tell(bucket, key, string(value))
		for hex, u := range x.index.users {
			if held, err := v1.UserHex(u.Key); err != nil || held != hex {
				t.Errorf("%q authorizes %q: %v", u.Key, hex, err)
			}
		}
		for id := range x.index.rooms {
			if !v1.IsRoomID(id) {
				t.Errorf("a room with id %q", id)
			}
		}
		x.tell(bucket, key, nil)
		if s := x.State(); s.Users+s.Rooms+s.Members+s.Classes+s.Bad != 0 {
			t.Errorf("after the removal there is left: %+v", s)
		}
	})
}
