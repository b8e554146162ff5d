// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"errors"
	"net/http"
	"slices"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

func (a *API) describeMembers() {
	const list = v1.PathRooms + "/{room}/members"
	const path = list + "/{user}"
	register(a, operation{id: "list-members", method: http.MethodGet, path: list, summary: "List who is in a room, sorted by name (who is in it; admins)",
		codes: []string{v1.CodeNotFound, v1.CodeInvalid}}, a.listMembers)
	register(a, operation{id: "get-member", method: http.MethodGet, path: path, summary: "Read what a user is in a room (who is in it; admins)",
		codes: []string{v1.CodeNotFound, v1.CodeInvalid}}, a.getMember)
	register(a, operation{id: "put-member", method: http.MethodPut, path: path, conditions: true,
		summary: "Put a user into a room, or change its role there (the room's admins; admins)",
		codes:   []string{v1.CodeForbidden, v1.CodeNotFound, v1.CodeLimit, v1.CodeInvalid}}, a.putMember)
	register(a, operation{id: "delete-member", method: http.MethodDelete, path: path, conditions: true,
		summary: "Take a user out of a room (the room's admins; admins; oneself)",
		codes:   []string{v1.CodeForbidden, v1.CodeNotFound, v1.CodeInvalid}}, a.deleteMember)
}

type listMembers struct {
	RoomPath
	Page
}

func (a *API) listMembers(ctx context.Context, c *caller, in *listMembers) (*page[v1.Members], error) {
	r, err := a.enter(ctx, c, in.Room, membership.ReadMember, "")
	if err != nil {
		return nil, err
	}
	var p page[v1.Members]
	p.Body.Members, p.Body.Next = a.c.Directory.MembersOf(r.Value.ID, in.After, in.Limit)
	return &p, nil
}

// MemberPath says which user of which room.
type MemberPath struct {
	RoomPath
	UserPath
}

// member finds a user of a room for a caller who may do that with it.
func (a *API) member(ctx context.Context, c *caller, in MemberPath, do membership.Action) (u v1.User, err error) {
	target := in.User
	if c.is(target) {
		target = c.Key
	}
	if _, err := a.enter(ctx, c, in.Room, do, target); err != nil {
		return u, err
	}
	if u.Key, err = c.keyOfUser(ctx, in.User); err != nil {
		return u, err
	}
	r, err := c.back.Store.GetUser(ctx, u.Key)
	return r.Value, err
}

func viewOf(u v1.User, m v1.Member) v1.MemberView {
	return v1.MemberView{User: u.Key, Name: u.Name, Member: m}
}

func (a *API) getMember(ctx context.Context, c *caller, in *MemberPath) (*one[v1.MemberView], error) {
	u, err := a.member(ctx, c, *in, membership.ReadMember)
	if err != nil {
		return nil, err
	}
	r, err := c.back.Store.GetMember(ctx, in.Room, u.Key)
	if err != nil {
		return nil, err
	}
	return oneOf(viewOf(u, r.Value), r.Revision, false), nil
}

// roles are those in a room, each with all that the one before it may do.
var roles = []v1.Role{v1.RoleReader, v1.RoleMember, v1.RoleAdmin}

type putMember struct {
	MemberPath
	Conditions
	Body v1.PutMember
}

func (a *API) putMember(ctx context.Context, c *caller, in *putMember) (*one[v1.MemberView], error) {
	u, err := a.member(ctx, c, in.MemberPath, membership.PutMember)
	if err != nil {
		return nil, err
	}
	store := c.back.Store
	r, made, err := change[v1.Member]{api: a, caller: c, action: http.MethodPut + " " + actionOf(in.Room, u), body: in.Body, Conditions: in.Conditions,
		revokes: func(m v1.Member) bool { return slices.Index(roles, in.Body.Role) < slices.Index(roles, m.Role) },
		read: func(ctx context.Context) (membership.Record[v1.Member], error) {
			return store.GetMember(ctx, in.Room, u.Key)
		},
		same: func(_ context.Context, r membership.Record[v1.Member]) (bool, error) {
			return r.Value.Role == in.Body.Role, nil
		},
		write: func(ctx context.Context, was membership.Record[v1.Member]) (membership.Record[v1.Member], error) {
			return store.PutMember(ctx, in.Room, u.Key, in.Body.Role, was.Revision)
		},
		seen: func(m v1.Member) bool { return a.roleIn(in.Room, u) == m.Role },
	}.do(ctx)
	if err != nil {
		return nil, err
	}
	return oneOf(viewOf(u, r.Value), r.Revision, made), nil
}

func actionOf(room string, u v1.User) string { return v1.PathRooms + "/" + room + "/members/" + u.Key }

func (a *API) roleIn(room string, u v1.User) v1.Role {
	r, _ := a.c.Directory.Room(room)
	role, _, _ := a.c.Directory.Role(u.Key, r.ID)
	return role
}

type deleteMember struct {
	MemberPath
	Precondition
}

func (a *API) deleteMember(ctx context.Context, c *caller, in *deleteMember) (*nothing, error) {
	u, err := a.member(ctx, c, in.MemberPath, membership.DeleteMember)
	if err != nil {
		return nil, err
	}
	return nil, change[v1.Member]{api: a, caller: c, action: http.MethodDelete + " " + actionOf(in.Room, u), revokes: always[v1.Member], Conditions: Conditions{IfMatch: in.IfMatch},
		read: func(ctx context.Context) (membership.Record[v1.Member], error) {
			return c.back.Store.GetMember(ctx, in.Room, u.Key)
		},
		write: func(ctx context.Context, was membership.Record[v1.Member]) (membership.Record[v1.Member], error) {
			return was, c.back.Store.RemoveMember(ctx, in.Room, u.Key, was.Revision)
		},
		seen: func(v1.Member) bool { return a.roleIn(in.Room, u) == "" },
	}.remove(ctx)
}

// missing tells of what a request names beside what its path does, and is not there: that it is not found would be said of the path.
func (a *API) missing(err error, what string) error {
	if errors.Is(err, membership.ErrNotFound) {
		return fail(v1.CodeInvalid, "there is no "+what+": make it first, or name another")
	}
	return err
}
