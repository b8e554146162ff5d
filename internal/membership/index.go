// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"encoding/json"
	"fmt"
	"strings"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// index is what the records of the buckets come to. The price of a change, and of a question, is that of the users and rooms
// concerned, however many others there are. Whoever uses it holds the directory's lock.
type index struct {
	users    map[string]v1.User  // by Ed25519 hex
	rooms    map[string]v1.Room  // by id
	since    map[string]uint64   // the revisions of their records, by id
	ids      map[string]string   // of rooms, by name
	deleting map[string]struct{} // ids
	// unsettled are the ids of the rooms whose history nobody comes to yet, see Directory.Unsettled.
	unsettled map[string]struct{}
	classes   map[string]classSeen            // by name
	members   map[string]map[string]v1.Member // room's id -> Ed25519 hex
	of        map[string]map[string]v1.Role   // the reverse
	count     int                             // of memberships
	bad       map[string]struct{}             // bucket and key of records that can't be believed
}

func newIndex() *index {
	return &index{
		users: map[string]v1.User{}, rooms: map[string]v1.Room{}, since: map[string]uint64{}, ids: map[string]string{},
		deleting: map[string]struct{}{}, classes: map[string]classSeen{}, members: map[string]map[string]v1.Member{}, of: map[string]map[string]v1.Role{},
		unsettled: map[string]struct{}{}, bad: map[string]struct{}{},
	}
}

// classSeen is a class as its record says, and under the name of its history.
type classSeen struct {
	class, kept v1.Class
	revision    uint64
}

// changes are the users whose authorization or grants have changed.
type changes map[string]struct{}

// apply takes the newest value of a key, nil when it was removed, and its revision. A record that can't be believed counts as removed; why says what
// is wrong with it, the first time.
func (x *index) apply(bucket, key string, value []byte, revision uint64, changed changes) (why error) {
	err := x.take(bucket, key, value, revision, changed)
	if err != nil {
		_ = x.take(bucket, key, nil, revision, changed) // a removal is of no content that could be wrong
	}
	id := bucket + " " + key
	_, was := x.bad[id]
	if err == nil || value == nil {
		delete(x.bad, id)
		return nil
	}
	x.bad[id] = struct{}{}
	if was {
		return nil
	}
	return err
}

func (x *index) take(bucket, key string, value []byte, revision uint64, changed changes) error {
	if key == v1.HeartbeatKey || key == v1.AdminsKey {
		return nil
	}
	switch bucket {
	case v1.BucketUsers:
		if hex, ok := v1.ParseUserKey(key); ok {
			return x.takeUser(hex, value, changed)
		}
		if name, ok := strings.CutPrefix(key, v1.UserNameKey("")); ok {
			return CheckName("user", name) // it grants nothing
		}
	case v1.BucketRooms:
		if name, ok := v1.ParseRoomKey(key); ok {
			return x.takeRoom(name, value, revision, changed)
		}
		if name, ok := v1.ParseClassKey(key); ok {
			return x.takeClass(name, value, revision)
		}
	case v1.BucketMembers:
		if room, hex, ok := v1.ParseMemberKey(key); ok {
			return x.takeMember(room, hex, value, changed)
		}
	}
	return fmt.Errorf("no key of this bucket")
}

func (x *index) takeUser(hex string, value []byte, changed changes) error {
	_, was := x.users[hex]
	if value == nil {
		if was {
			delete(x.users, hex)
			changed[hex] = struct{}{}
		}
		return nil
	}
	var u v1.User
	if err := json.Unmarshal(value, &u); err != nil {
		return err
	}
	if held, err := v1.UserHex(u.Key); err != nil {
		return err
	} else if held != hex {
		return fmt.Errorf("it is of another user's key, %s", u.Key)
	}
	if x.users[hex] = u; !was {
		changed[hex] = struct{}{}
	}
	return nil
}

func (x *index) takeRoom(name string, value []byte, revision uint64, changed changes) error {
	var r v1.Room
	if value != nil {
		if err := json.Unmarshal(value, &r); err != nil {
			return err
		}
		if r.Name != name || !v1.IsRoomID(r.ID) {
			return fmt.Errorf("it is of room %.80q with id %.80q", r.Name, r.ID)
		}
		if other, ok := x.rooms[r.ID]; ok && other.Name != name {
			return fmt.Errorf("its id is that of room %s", other.Name)
		}
	}
	if old, ok := x.ids[name]; ok && old != r.ID {
		x.setRoom(old, nil, changed)
	}
	if value != nil {
		x.setRoom(r.ID, &r, changed)
		x.since[r.ID] = revision
		x.settle(r.ID)
	}
	return nil
}

// setRoom puts a room, or removes it (nil). Its members are told if it begins or ceases to be one that grants.
func (x *index) setRoom(id string, r *v1.Room, changed changes) {
	was := x.open(id)
	delete(x.deleting, id)
	delete(x.unsettled, id)
	if r == nil {
		delete(x.ids, x.rooms[id].Name)
		delete(x.rooms, id)
		delete(x.since, id)
	} else {
		x.rooms[id], x.ids[r.Name] = *r, id
		if r.Deleting {
			x.deleting[id] = struct{}{}
		}
	}
	if was == x.open(id) {
		return
	}
	for hex := range x.members[id] {
		if _, ok := x.users[hex]; ok {
			changed[hex] = struct{}{}
		}
	}
}

// open says whether a room grants what its members' roles give.
func (x *index) open(id string) bool {
	r, ok := x.rooms[id]
	return ok && !r.Deleting
}

// kept is the class that keeps the history of a room, under the name of that history. ok is false while its record is older than the
// room's: then it may be that of another class of the name, which was there before.
func (x *index) kept(id string) (c v1.Class, ok bool) {
	since, there := x.since[id]
	seen := x.classes[x.rooms[id].Class]
	return seen.kept, there && seen.revision > since
}

// settle puts a room among those that are unsettled, or takes it out.
func (x *index) settle(id string) {
	r := x.rooms[id]
	if _, ok := x.kept(id); ok || r.Class == "" || r.Deleting {
		delete(x.unsettled, id)
	} else {
		x.unsettled[id] = struct{}{}
	}
}

// settleAll does so after the record of a class has changed. A newer one unsettles no room, so that only those are looked at which are: who
// makes a room writes the class. One that is gone, or begins to count anew, is rare.
func (x *index) settleAll(newer bool) {
	if newer {
		for id := range x.unsettled {
			x.settle(id)
		}
		return
	}
	for id := range x.rooms {
		x.settle(id)
	}
}

func (x *index) takeClass(name string, value []byte, revision uint64) error {
	was := x.classes[name].revision
	defer func() { x.settleAll(x.classes[name].revision >= was) }()
	if value == nil {
		delete(x.classes, name)
		return nil
	}
	var c class
	if err := json.Unmarshal(value, &c); err != nil {
		return err
	}
	if c.Name != name {
		return fmt.Errorf("it is of class %.80q", c.Name)
	}
	x.classes[name] = classSeen{c.Class, c.kept(), revision}
	return nil
}

func (x *index) takeMember(room, hex string, value []byte, changed changes) error {
	var m v1.Member
	if value != nil {
		if err := json.Unmarshal(value, &m); err != nil {
			return err
		}
		if err := CheckRole(m.Role); err != nil {
			return err
		}
		if !v1.IsRoomID(room) || !isHex(hex) {
			return fmt.Errorf("its key is none of a member")
		}
	}
	old, was := x.members[room][hex]
	switch {
	case value != nil:
		put(x.members, room, hex, m)
		put(x.of, hex, room, m.Role)
		if !was {
			x.count++
		}
	case was:
		drop(x.members, room, hex)
		drop(x.of, hex, room)
		x.count--
	}
	_, user := x.users[hex]
	same := was == (value != nil) && old.Role.Writes() == m.Role.Writes()
	if user && x.open(room) && !same {
		changed[hex] = struct{}{}
	}
	return nil
}

func put[T any](m map[string]map[string]T, a, b string, v T) {
	if m[a] == nil {
		m[a] = map[string]T{}
	}
	m[a][b] = v
}

func drop[T any](m map[string]map[string]T, a, b string) {
	if delete(m[a], b); len(m[a]) == 0 {
		delete(m, a)
	}
}

// isHex says whether s is an Ed25519 key in the form in which users are known.
func isHex(s string) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return len(s) == 64
}
