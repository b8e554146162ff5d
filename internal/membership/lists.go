// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"sync"

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
	return first(list, limit, userName)
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

// MembersOf lists the users in a room, by its id, as Users lists users.
func (d *Directory) MembersOf(room, after string, limit int) (list []v1.User, next string) {
	d.mu.RLock()
	for hex := range d.index.members[room] {
		if u, ok := d.index.users[hex]; ok && u.Name > after {
			list = append(list, u)
		}
	}
	d.mu.RUnlock()
	return first(list, limit, userName)
}

func userName(u v1.User) string { return u.Name }

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

// readers is how many records of a list are read at a time: one after the other, a page would take as many times the way to the leader.
const readers = 16

// Memberships reads what users are in a room, by its id. It leaves out who is not in it any more.
func (s *Store) Memberships(ctx context.Context, room string, users []v1.User) ([]v1.MemberView, error) {
	found := make([]*v1.MemberView, len(users))
	errs := make([]error, len(users))
	turn := make(chan struct{}, readers)
	var wg sync.WaitGroup
	for i, u := range users {
		turn <- struct{}{}
		wg.Go(func() {
			defer func() { <-turn }()
			hex, err := v1.UserHex(u.Key)
			if err != nil {
				errs[i] = err
				return
			}
			m, err := load[v1.Member](ctx, s, v1.BucketMembers, v1.MemberKey(room, hex))
			if errors.Is(err, ErrNotFound) {
				return
			}
			found[i], errs[i] = &v1.MemberView{User: u.Key, Name: u.Name, Member: m.Value}, err
		})
	}
	wg.Wait()
	list := make([]v1.MemberView, 0, len(users))
	for _, m := range found {
		if m != nil {
			list = append(list, *m)
		}
	}
	return list, errors.Join(errs...)
}
