// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"cmp"
	"slices"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// User returns a user by its public nkey, and false for who is not on the allowlist, by what is known, however old: Age says.
func (d *Directory) User(key string) (v1.User, bool) {
	hex, err := v1.UserHex(key)
	if err != nil {
		return v1.User{}, false
	}
	d.mu.RLock()
	defer d.mu.RUnlock()
	u, ok := d.index.users[hex]
	return u, ok
}

// Room returns a room by its name, and false for one that is not there. It may be being deleted.
func (d *Directory) Room(name string) (v1.Room, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	r, ok := d.index.rooms[d.index.ids[name]]
	return r, ok
}

// Users lists users sorted by name: the first limit (1,000 if less than 1 or more) of those after a name. next is what the following
// page comes after, empty on the last.
func (d *Directory) Users(after string, limit int) (list []v1.User, next string) {
	d.mu.RLock()
	for _, u := range d.index.users {
		if u.Name > after {
			list = append(list, u)
		}
	}
	d.mu.RUnlock()
	return first(list, limit, func(u v1.User) string { return u.Name })
}

// Rooms lists rooms, those that are being deleted left out, as Users lists users.
func (d *Directory) Rooms(after string, limit int) (list []v1.Room, next string) {
	d.mu.RLock()
	for _, r := range d.index.rooms {
		if r.Name > after && !r.Deleting {
			list = append(list, r)
		}
	}
	d.mu.RUnlock()
	return first(list, limit, func(r v1.Room) string { return r.Name })
}

// MembersOf lists who is in a room, by its id, as Users lists users.
func (d *Directory) MembersOf(room, after string, limit int) (list []v1.MemberView, next string) {
	d.mu.RLock()
	for hex, m := range d.index.members[room] {
		if u, ok := d.index.users[hex]; ok && u.Name > after {
			list = append(list, v1.MemberView{User: u.Key, Name: u.Name, Member: m})
		}
	}
	d.mu.RUnlock()
	return first(list, limit, func(m v1.MemberView) string { return m.Name })
}

// History is the name of the history of a class, see Kept; empty for a class that is not there.
func (d *Directory) History(class string) string {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.index.classes[class].kept.Name
}

// Kept is the class that keeps the history of a room, by the room's id, named as that history is: as a class that was made after another of its name
// was deleted, it has a history of its own. It is false for a room that keeps nothing, and as long as it is not known for sure.
func (d *Directory) Kept(room string) (v1.Class, bool) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.index.kept(room)
}

// Unsettled are the rooms whose class has not been written since they were made, in no order: who made them has not come to that, or ended
// before. Nobody comes to their history. Store.Settle ends that.
func (d *Directory) Unsettled() (rooms []v1.Room) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for id := range d.index.unsettled {
		rooms = append(rooms, d.index.rooms[id])
	}
	return rooms
}

func first[T any](list []T, limit int, name func(T) string) (page []T, next string) {
	if limit < 1 || limit > v1.MaxPage {
		limit = v1.MaxPage
	}
	slices.SortFunc(list, func(a, b T) int { return cmp.Compare(name(a), name(b)) })
	if len(list) > limit {
		return list[:limit:limit], name(list[limit-1])
	}
	return append([]T{}, list...), "" // never nil: lists are told as JSON
}
