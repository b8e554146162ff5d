// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

// Page is the part of a list that is wanted.
type Page struct {
	After string `query:"after" maxLength:"80" doc:"What next said of the page before; empty for the first."`
	Limit int    `query:"limit" minimum:"1" maximum:"1000" default:"1000" doc:"The most items of the page."`
}

// UserPath says which user.
type UserPath struct {
	User string `path:"user" maxLength:"64" doc:"A public nkey (U...) or a user's name."`
}

// RoomPath says which room.
type RoomPath struct {
	Room string `path:"room" maxLength:"64" doc:"A room's name."`
}

// one is an answer with a record and its ETag.
type one[T any] struct {
	Status int    `json:"-"`
	ETag   string `header:"ETag" doc:"The revision of what is there, for If-Match."`
	Body   T
}

// oneOf answers with a record that was read, or put.
func oneOf[T any](body T, revision uint64, made bool) *one[T] {
	o := &one[T]{Status: http.StatusOK, ETag: etag(revision), Body: body}
	if made {
		o.Status = http.StatusCreated
	}
	return o
}

// page is an answer with a part of a list.
type page[T any] struct{ Body T }

type nothing struct{}

func (a *API) describeUsers() {
	const list, path = v1.PathUsers, v1.PathUsers + "/{user}"
	register(a, operation{id: "list-users", memory: true, method: http.MethodGet, path: list, summary: "List users, sorted by name (admins)",
		codes: []string{v1.CodeForbidden, v1.CodeInvalid}}, a.listUsers)
	register(a, operation{id: "get-user", method: http.MethodGet, path: path, summary: "Read a user (admins; oneself)",
		codes: []string{v1.CodeNotFound, v1.CodeInvalid}}, a.getUser)
	register(a, operation{id: "put-user", method: http.MethodPut, path: path, conditions: true,
		summary: "Put a user, by its key, on the allowlist, or make it an admin or no admin any more (admins)",
		codes:   []string{v1.CodeForbidden, v1.CodeExists, v1.CodeLastAdmin, v1.CodeLimit, v1.CodeInvalid}}, a.putUser)
	register(a, operation{id: "delete-user", method: http.MethodDelete, path: path, conditions: true,
		summary: "Remove a user from the allowlist and out of all rooms (admins)",
		codes:   []string{v1.CodeForbidden, v1.CodeNotFound, v1.CodeLastAdmin, v1.CodeInvalid}}, a.deleteUser)
}

func (a *API) listUsers(_ context.Context, c *caller, in *Page) (*page[v1.Users], error) {
	if err := c.may(membership.ListUsers, ""); err != nil {
		return nil, err
	}
	var p page[v1.Users]
	p.Body.Users, p.Body.Next = a.c.Directory.Users(in.After, in.Limit)
	return &p, nil
}

// keyOfUser returns the key of a user that was named by it or by its name. It fails with membership.ErrNotFound.
func (c *caller) keyOfUser(ctx context.Context, user string) (string, error) {
	switch {
	case c.is(user):
		return c.Key, nil
	case v1.IsUserKey(user):
		if _, err := v1.UserHex(user); err != nil {
			return "", errors.Join(membership.ErrNotFound, err)
		}
		return user, nil
	}
	r, err := c.back.Store.FindUser(ctx, user)
	return r.Value.Key, err
}

func (a *API) getUser(ctx context.Context, c *caller, in *UserPath) (*one[v1.User], error) {
	if !c.is(in.User) {
		if err := c.may(membership.ReadUser, in.User); err != nil {
			return nil, err
		}
	}
	key, err := c.keyOfUser(ctx, in.User)
	if err != nil {
		return nil, err
	}
	r, err := c.back.Store.GetUser(ctx, key)
	if err != nil {
		return nil, err
	}
	return oneOf(r.Value, r.Revision, false), nil
}

type putUser struct {
	UserPath
	Conditions
	Body v1.PutUser
}

func (a *API) putUser(ctx context.Context, c *caller, in *putUser) (*one[v1.User], error) {
	if err := c.may(membership.WriteUser, in.User); err != nil {
		return nil, err
	}
	if _, err := v1.UserHex(in.User); err != nil {
		return nil, err
	}
	if err := membership.CheckName("user", in.Body.Name); err != nil {
		return nil, err
	}
	store, want := c.back.Store, in.Body
	r, made, err := change[v1.User]{api: a, caller: c, action: http.MethodPut + " " + v1.PathUsers + "/" + in.User, body: want, Conditions: in.Conditions,
		revokes: func(u v1.User) bool { return u.Admin && !want.Admin },
		read:    func(ctx context.Context) (membership.Record[v1.User], error) { return store.GetUser(ctx, in.User) },
		same: func(ctx context.Context, r membership.Record[v1.User]) (bool, error) {
			if r.Value.Name != want.Name {
				return false, fmt.Errorf("%w: a user with that key, named %s; a name can't be changed", membership.ErrExists, r.Value.Name)
			}
			if !want.Admin || !r.Value.Admin {
				return want.Admin == r.Value.Admin, nil
			}
			return store.IsCounted(ctx, in.User) // a crash may have left that to be done
		},
		write: func(ctx context.Context, was membership.Record[v1.User]) (membership.Record[v1.User], error) {
			if was.Revision == 0 {
				return store.CreateUser(ctx, v1.User{Name: want.Name, Key: in.User, Admin: want.Admin})
			}
			return store.SetAdmin(ctx, in.User, want.Admin, was.Revision)
		},
		seen: func(u v1.User) bool {
			known, ok := a.c.Directory.User(u.Key)
			return ok && known.Admin == u.Admin
		},
	}.do(ctx)
	if err != nil {
		return nil, err
	}
	return oneOf(r.Value, r.Revision, made), nil
}

type deleteUser struct {
	UserPath
	Precondition
}

func (a *API) deleteUser(ctx context.Context, c *caller, in *deleteUser) (*nothing, error) {
	if err := c.may(membership.WriteUser, in.User); err != nil {
		return nil, err
	}
	key, err := c.keyOfUser(ctx, in.User)
	if err != nil {
		return nil, err
	}
	return nil, change[v1.User]{api: a, caller: c, action: http.MethodDelete + " " + v1.PathUsers + "/" + key, revokes: always[v1.User], Conditions: Conditions{IfMatch: in.IfMatch},
		read: func(ctx context.Context) (membership.Record[v1.User], error) { return c.back.Store.GetUser(ctx, key) },
		write: func(ctx context.Context, was membership.Record[v1.User]) (membership.Record[v1.User], error) {
			if in.IfMatch == "" {
				return was, c.back.Store.RemoveUser(ctx, key, 0)
			}
			return was, c.back.Store.RemoveUser(ctx, key, was.Revision)
		},
		seen: func(u v1.User) bool {
			_, ok := a.c.Directory.User(u.Key)
			return !ok
		},
	}.remove(ctx)
}
