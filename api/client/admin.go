// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// Users are named by their public key or their name, rooms and classes by their name.

// Users lists all users, for admins.
func (a *API) Users(ctx context.Context) iter.Seq2[v1.User, error] {
	return pages(ctx, a, v1.PathUsers, func(p v1.Users) ([]v1.User, string) { return p.Users, p.Next })
}

// User returns a user: oneself, or any for admins.
func (a *API) User(ctx context.Context, user string) (u v1.User, tag ETag, err error) {
	tag, err = a.do(ctx, call{method: http.MethodGet, path: under(v1.PathUsers, user)}, &u)
	return u, tag, err
}

// PutUser puts a key on the allowlist, or changes what its user is, for admins.
func (a *API) PutUser(ctx context.Context, key string, put v1.PutUser, tag ETag) (u v1.User, now ETag, err error) {
	now, err = a.do(ctx, call{method: http.MethodPut, path: under(v1.PathUsers, key), body: put, tag: tag}, &u)
	return u, now, err
}

// DeleteUser removes a user, whose connections end, for admins.
func (a *API) DeleteUser(ctx context.Context, user string, tag ETag) error {
	_, err := a.do(ctx, call{method: http.MethodDelete, path: under(v1.PathUsers, user), tag: tag}, nil)
	return err
}

// Rooms lists the rooms that the caller is in, for admins all.
func (a *API) Rooms(ctx context.Context) iter.Seq2[v1.RoomView, error] {
	return pages(ctx, a, v1.PathRooms, func(p v1.Rooms) ([]v1.RoomView, string) { return p.Rooms, p.Next })
}

// Room returns a room that the caller is in, for admins any.
func (a *API) Room(ctx context.Context, room string) (r v1.RoomView, tag ETag, err error) {
	tag, err = a.do(ctx, call{method: http.MethodGet, path: under(v1.PathRooms, room)}, &r)
	return r, tag, err
}

// PutRoom makes a room, for admins. The class, empty for none, can't be changed later.
func (a *API) PutRoom(ctx context.Context, room, class string, tag ETag) (r v1.RoomView, now ETag, err error) {
	now, err = a.do(ctx, call{method: http.MethodPut, path: under(v1.PathRooms, room), body: v1.PutRoom{Class: class}, tag: tag}, &r)
	return r, now, err
}

// DeleteRoom removes a room with its history, for admins.
func (a *API) DeleteRoom(ctx context.Context, room string, tag ETag) error {
	_, err := a.do(ctx, call{method: http.MethodDelete, path: under(v1.PathRooms, room), tag: tag}, nil)
	return err
}

// Members lists who is in a room, for whoever is in it.
func (a *API) Members(ctx context.Context, room string) iter.Seq2[v1.MemberView, error] {
	return pages(ctx, a, under(v1.PathRooms, room)+"/members", func(p v1.Members) ([]v1.MemberView, string) { return p.Members, p.Next })
}

// Member returns a user in a room, for whoever is in it.
func (a *API) Member(ctx context.Context, room, user string) (m v1.MemberView, tag ETag, err error) {
	tag, err = a.do(ctx, call{method: http.MethodGet, path: member(room, user)}, &m)
	return m, tag, err
}

// PutMember takes a user into a room, or changes its role, for the room's admins.
func (a *API) PutMember(ctx context.Context, room, user string, role v1.Role, tag ETag) (m v1.MemberView, now ETag, err error) {
	now, err = a.do(ctx, call{method: http.MethodPut, path: member(room, user), body: v1.PutMember{Role: role}, tag: tag}, &m)
	return m, now, err
}

// DeleteMember takes a user out of a room: oneself, or any for the room's admins.
func (a *API) DeleteMember(ctx context.Context, room, user string, tag ETag) error {
	_, err := a.do(ctx, call{method: http.MethodDelete, path: member(room, user), tag: tag}, nil)
	return err
}

// Classes lists all history classes.
func (a *API) Classes(ctx context.Context) ([]v1.Class, error) {
	var c v1.Classes
	_, err := a.do(ctx, call{method: http.MethodGet, path: v1.PathClasses}, &c)
	return c.Classes, err
}

// Class returns a history class.
func (a *API) Class(ctx context.Context, class string) (c v1.Class, tag ETag, err error) {
	tag, err = a.do(ctx, call{method: http.MethodGet, path: under(v1.PathClasses, class)}, &c)
	return c, tag, err
}

// PutClass makes a history class, or changes its bounds, for admins.
func (a *API) PutClass(ctx context.Context, class v1.Class, tag ETag) (c v1.Class, now ETag, err error) {
	now, err = a.do(ctx, call{method: http.MethodPut, path: under(v1.PathClasses, class.Name), body: class, tag: tag}, &c)
	return c, now, err
}

// DeleteClass removes a history class that no room has, for admins.
func (a *API) DeleteClass(ctx context.Context, class string, tag ETag) error {
	_, err := a.do(ctx, call{method: http.MethodDelete, path: under(v1.PathClasses, class), tag: tag}, nil)
	return err
}

// Audit lists what was changed, the newest first, for admins.
func (a *API) Audit(ctx context.Context) iter.Seq2[v1.AuditEntry, error] {
	return pages(ctx, a, v1.PathAudit, func(p v1.Audit) ([]v1.AuditEntry, string) { return p.Entries, p.Next })
}

func under(path, name string) string { return path + "/" + url.PathEscape(name) }

func member(room, user string) string { return under(under(v1.PathRooms, room)+"/members", user) }

// pages reads page after page, up to the first error.
func pages[P, T any](ctx context.Context, a *API, path string, items func(P) (list []T, next string)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		var after string
		var query url.Values
		for {
			var p P
			if _, err := a.do(ctx, call{method: http.MethodGet, path: path, query: query}, &p); err != nil {
				yield(none, err)
				return
			}
			list, next := items(p)
			for _, item := range list {
				if !yield(item, nil) {
					return
				}
			}
			if next == "" {
				return
			}
			if next == after {
				yield(none, fmt.Errorf("GET %s: %w: its list has no end", path, ErrBadServer))
				return
			}
			after, query = next, url.Values{"after": {next}}
		}
	}
}
