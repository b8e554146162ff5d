// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

func TestStoreKeepsUsers(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	key, hex := mustUser(t, s, "ann")
	mustAdmin(t, s, "bob")

	u := must(t)(s.GetUser(ctx, key)).(Record[v1.User])
	if u.Value.Name != "ann" || u.Value.Admin || u.Value.Created.IsZero() || u.Revision == 0 {
		t.Errorf("%+v", u)
	}
	admin := must(t)(s.SetAdmin(ctx, key, true, u.Revision)).(Record[v1.User])
	_, err := s.SetAdmin(ctx, key, false, u.Revision)
	expectErr(t, "an old revision", err, ErrConflict)
	if found := must(t)(s.FindUser(ctx, "ann")); !cmp.Equal(found, any(admin), cmp.AllowUnexported(Record[v1.User]{})) {
		t.Errorf("found %+v, want %+v", found, admin)
	}
	_, err = s.CreateUser(ctx, v1.User{Name: "ann", Key: key})
	expectErr(t, "the same user", err, ErrExists)
	third, _ := mustKey(t)
	_, err = s.CreateUser(ctx, v1.User{Name: "ann", Key: third})
	expectErr(t, "a name that is taken", err, ErrExists)
	_, err = s.GetUser(ctx, third)
	expectErr(t, "whom the name was refused", err, ErrNotFound)
	_, err = s.CreateUser(ctx, v1.User{Name: "Ann", Key: third})
	expectErr(t, "a bad name", err, ErrInvalid)
	_, err = s.CreateUser(ctx, v1.User{Name: "x", Key: "U"})
	expectErr(t, "a bad key", err, v1.ErrUserKey)

	expectErr(t, "a removal at an old revision", s.RemoveUser(ctx, key, u.Revision), ErrConflict)
	for range 2 {
		if err := s.RemoveUser(ctx, key, 0); err != nil {
			t.Error(err)
		}
	}
	if got := strings.Join(live(t, s, v1.BucketUsers), " "); strings.Contains(got, hex) || strings.Contains(got, "ann") {
		t.Errorf("left of the user: %s", got)
	}
	expectErr(t, "who never was", s.RemoveUser(ctx, third, 0), ErrNotFound)
	must(t)(s.CreateUser(ctx, v1.User{Name: "ann", Key: third}))
	list, next, err := s.ListUsers(ctx, "", 0)
	if err != nil || next != "" || len(list) != 2 {
		t.Errorf("%+v, %q, %v", list, next, err)
	}
}

func TestStoreKeepsRooms(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	key, _ := mustUser(t, s, "ann")
	other, _ := mustUser(t, s, "bob")

	class := must(t)(s.PutClass(ctx, DefaultClass("short"), 0)).(Record[v1.Class])
	_, err := s.CreateRoom(ctx, "lab", "long")
	expectErr(t, "a room of no class", err, ErrNotFound)
	room := must(t)(s.CreateRoom(ctx, "lab", "short")).(Record[v1.Room])
	if !v1.IsRoomID(room.Value.ID) {
		t.Errorf("id %q", room.Value.ID)
	}
	_, err = s.CreateRoom(ctx, "lab", "")
	expectErr(t, "the same room", err, ErrExists)
	if err := s.DeleteClass(ctx, "short", 0); !errors.Is(err, ErrInUse) || errors.Is(err, ErrDeleting) {
		t.Errorf("a class in use: %v", err)
	}
	expectErr(t, "a class at an old revision", s.DeleteClass(ctx, "short", class.Revision), ErrConflict)

	must(t)(s.PutMember(ctx, "lab", key, v1.RoleMember, 0))
	expectErr(t, "the end of all rooms", s.FinishDeletion(ctx, v1.Room{Name: "bar", ID: "*"}), ErrInvalid)
	expectErr(t, "the end of a room that is not marked", s.FinishDeletion(ctx, room.Value), ErrInvalid)
	marked := must(t)(s.MarkDeleting(ctx, "lab", 0)).(Record[v1.Room])
	again := must(t)(s.MarkDeleting(ctx, "lab", room.Revision)).(Record[v1.Room])
	if marked != again {
		t.Errorf("marked again: %+v, %+v", marked, again)
	}
	_, err = s.PutMember(ctx, "lab", other, v1.RoleReader, 0)
	expectErr(t, "a member of a room that is deleted", err, ErrNotFound)
	_, err = s.CreateRoom(ctx, "lab", "")
	expectErr(t, "the name before the end", err, ErrExists)
	for _, want := range []error{ErrInUse, ErrDeleting} {
		expectErr(t, "a class in use by a room that is deleted", s.DeleteClass(ctx, "short", 0), want)
	}
	_, err = s.keysUpTo(ctx, v1.BucketRooms, v1.RoomKey("*"), marked.Revision+10)
	expectErr(t, "a list of who knows less", err, ErrUnavailable)
	for range 2 {
		if err := s.FinishDeletion(ctx, marked.Value); err != nil {
			t.Error(err)
		}
	}
	if got := live(t, s, v1.BucketMembers); len(got) != 0 {
		t.Errorf("members left: %v", got)
	}
	if anew := must(t)(s.CreateRoom(ctx, "lab", "")).(Record[v1.Room]); anew.Value.ID == room.Value.ID {
		t.Error("the id came back")
	}
	if err := s.FinishDeletion(ctx, marked.Value); err != nil { // a node that comes late
		t.Error(err)
	}
	must(t)(s.GetRoom(ctx, "lab"))
	if err := s.DeleteClass(ctx, "short", 0); err != nil {
		t.Error(err)
	}
}

func TestStoreKeepsMembers(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	key, hex := mustUser(t, s, "ann")
	other, _ := mustUser(t, s, "bob")
	third, _ := mustKey(t)
	mustRoom(t, s, "lab")
	m := must(t)(s.PutMember(ctx, "lab", key, v1.RoleMember, 0)).(Record[v1.Member])
	_, err := s.PutMember(ctx, "lab", key, v1.RoleAdmin, 0)
	expectErr(t, "a member made again", err, ErrExists)
	_, err = s.PutMember(ctx, "lab", other, "king", 0)
	expectErr(t, "a bad role", err, ErrInvalid)
	_, err = s.PutMember(ctx, "lab", third, v1.RoleAdmin, 0)
	expectErr(t, "a member that is no user", err, ErrNotFound)
	_, err = s.PutMember(ctx, "bar", key, v1.RoleAdmin, 0)
	expectErr(t, "a member of no room", err, ErrNotFound)
	changed := must(t)(s.PutMember(ctx, "lab", key, v1.RoleReader, m.Revision)).(Record[v1.Member])
	if !changed.Value.Created.Equal(m.Value.Created) {
		t.Errorf("a change of role changed the time of joining: %v, %v", changed.Value.Created, m.Value.Created)
	}
	expectErr(t, "a removal at an old revision", s.RemoveMember(ctx, "lab", key, m.Revision), ErrConflict)
	if err := s.RemoveMember(ctx, "lab", key, changed.Revision); err != nil {
		t.Error(err)
	}
	expectErr(t, "a second removal", s.RemoveMember(ctx, "lab", key, 0), ErrNotFound)
	must(t)(s.PutMember(ctx, "lab", key, v1.RoleMember, 0)) // on the marker of the removal
	must(t)(s.PutMember(ctx, "lab", other, v1.RoleMember, 0))
	if err := s.RemoveUser(ctx, key, 0); err != nil {
		t.Error(err)
	}
	if got := live(t, s, v1.BucketMembers); len(got) != 1 || strings.Contains(got[0], hex) {
		t.Errorf("members left: %v", got)
	}
}

func TestListsArePages(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	for i := range 7 {
		mustRoom(t, s, fmt.Sprint("r", i))
	}
	r := must(t)(s.MarkDeleting(ctx, "r3", 0)).(Record[v1.Room])
	if err := s.FinishDeletion(ctx, r.Value); err != nil {
		t.Fatal(err)
	}
	var got []string
	for after, first := "", true; first || after != ""; first = false {
		list, next, err := s.ListRooms(ctx, after, 2)
		if err != nil || len(list) > 2 {
			t.Fatalf("%d rooms, %v", len(list), err)
		}
		for _, r := range list {
			got = append(got, r.Value.Name)
		}
		after = next
	}
	if diff := cmp.Diff([]string{"r0", "r1", "r2", "r4", "r5", "r6"}, got); diff != "" {
		t.Error(diff)
	}
}

type counts struct{ users, rooms, of, members int }

func (c counts) CountUsers() int         { return c.users }
func (c counts) CountRooms() int         { return c.rooms }
func (c counts) CountRoomsOf(string) int { return c.of }
func (c counts) CountMembers(string) int { return c.members }

func TestLimitsAreKept(t *testing.T) {
	_, js := mustOne(t)
	ctx := t.Context()
	free := mustStore(t, js, StoreConfig{})
	key, _ := mustUser(t, free, "ann")
	mustRoom(t, free, "lab")
	other, _ := mustKey(t)
	for what, c := range map[string]counts{"users": {users: 1}, "rooms": {rooms: 1}, "rooms of": {of: 1}, "members": {members: 1}} {
		s := mustStore(t, js, StoreConfig{Counter: c, Limits: Limits{Users: 1, Rooms: 1, RoomsPerUser: 1, MembersPerRoom: 1}})
		var err error
		switch what {
		case "users":
			_, err = s.CreateUser(ctx, v1.User{Name: "bob", Key: other})
		case "rooms":
			_, err = s.CreateRoom(ctx, "two", "")
		default:
			_, err = s.PutMember(ctx, "lab", key, v1.RoleReader, 0)
		}
		expectErr(t, what, err, ErrLimit)
	}
}
