// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"fmt"
	"net/http"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
)

func (a *API) describeRooms() {
	const list, path = v1.PathRooms, v1.PathRooms + "/{room}"
	register(a, operation{id: "list-rooms", memory: true, method: http.MethodGet, path: list,
		summary: "List rooms, sorted by name: all for admins, for others those that they are in", codes: []string{v1.CodeInvalid}}, a.listRooms)
	register(a, operation{id: "get-room", method: http.MethodGet, path: path, summary: "Read a room (who is in it; admins)",
		codes: []string{v1.CodeNotFound, v1.CodeInvalid}}, a.getRoom)
	register(a, operation{id: "put-room", method: http.MethodPut, path: path, conditions: true,
		summary: "Make a room (admins). While one of that name is being deleted the code is conflict",
		codes:   []string{v1.CodeForbidden, v1.CodeExists, v1.CodeLimit, v1.CodeInvalid}}, a.putRoom)
	register(a, operation{id: "delete-room", method: http.MethodDelete, path: path, conditions: true,
		summary: "Delete a room with its history (admins). It is gone for everybody at once",
		codes:   []string{v1.CodeForbidden, v1.CodeNotFound, v1.CodeInvalid}}, a.deleteRoom)
}

func (a *API) listRooms(_ context.Context, c *caller, in *Page) (*page[v1.Rooms], error) {
	p := page[v1.Rooms]{Body: v1.Rooms{Rooms: []v1.RoomView{}}}
	if c.Admin {
		var rooms []v1.Room
		rooms, p.Body.Next = a.c.Directory.Rooms(in.After, in.Limit)
		for _, r := range rooms {
			p.Body.Rooms = append(p.Body.Rooms, a.view(c, r))
		}
		return &p, nil
	}
	var own []v1.RoomOf
	own, p.Body.Next = a.c.Directory.RoomsOf(c.Key, in.After, in.Limit)
	for _, r := range own {
		if _, room, in := a.c.Directory.Role(c.Key, r.ID); in {
			p.Body.Rooms = append(p.Body.Rooms, v1.RoomView{Room: room, Role: r.Role})
		}
	}
	return &p, nil
}

// view is a room as the caller sees it.
func (a *API) view(c *caller, r v1.Room) v1.RoomView {
	role, _, _ := a.c.Directory.Role(c.Key, r.ID)
	return v1.RoomView{Room: r, Role: role}
}

// enter reads a room by its name for a caller who may do that there. It fails with membership.ErrNotFound for a room that is not there or is
// being deleted, and as membership.Caller.Check does. Who may not is refused before the leader is asked: it would tell by its time what is there.
func (a *API) enter(ctx context.Context, c *caller, name string, do membership.Action, target string) (r membership.Record[v1.Room], err error) {
	check := func(room v1.Room) error {
		return membership.Caller{Key: c.Key, Admin: c.Admin, Role: a.view(c, room).Role}.Check(do, target)
	}
	known, _ := a.c.Directory.Room(name)
	if err := check(known); err != nil {
		return r, err
	}
	if r, err = c.back.Store.OpenRoom(ctx, name); err != nil {
		return r, err
	}
	return r, check(r.Value)
}

func (a *API) getRoom(ctx context.Context, c *caller, in *RoomPath) (*one[v1.RoomView], error) {
	r, err := a.enter(ctx, c, in.Room, membership.ReadRoom, "")
	if err != nil {
		return nil, err
	}
	return oneOf(a.view(c, r.Value), r.Revision, false), nil
}

type putRoom struct {
	RoomPath
	Conditions
	Body v1.PutRoom
}

func (a *API) putRoom(ctx context.Context, c *caller, in *putRoom) (*one[v1.RoomView], error) {
	if err := c.may(membership.WriteRoom, ""); err != nil {
		return nil, err
	}
	if err := membership.CheckName("room", in.Room); err != nil {
		return nil, err
	}
	store, class := c.back.Store, in.Body.Class
	r, made, err := change[v1.Room]{api: a, caller: c, action: http.MethodPut + " " + v1.PathRooms + "/" + in.Room, body: in.Body, Conditions: in.Conditions,
		read: func(ctx context.Context) (membership.Record[v1.Room], error) { return store.GetRoom(ctx, in.Room) },
		same: func(_ context.Context, r membership.Record[v1.Room]) (bool, error) {
			switch {
			case r.Value.Deleting:
				return false, fail(v1.CodeConflict, "room "+in.Room+" is being deleted: try again when its history is gone")
			case r.Value.Class != class:
				return false, fmt.Errorf("%w: room %s, with class %q; a room's class can't be changed", membership.ErrExists, in.Room, r.Value.Class)
			}
			return true, nil
		},
		write: func(ctx context.Context, _ membership.Record[v1.Room]) (membership.Record[v1.Room], error) {
			if class != "" {
				if _, err := store.GetClass(ctx, class); err != nil {
					return membership.Record[v1.Room]{}, a.missing(err, "class "+class)
				}
			}
			return store.CreateRoom(ctx, in.Room, class)
		},
		seen: func(r v1.Room) bool {
			known, ok := a.c.Directory.Room(r.Name)
			return ok && known.ID == r.ID
		},
	}.do(ctx)
	if err != nil {
		return nil, err
	}
	return oneOf(a.view(c, r.Value), r.Revision, made), nil
}

type deleteRoom struct {
	RoomPath
	Precondition
}

func (a *API) deleteRoom(ctx context.Context, c *caller, in *deleteRoom) (*nothing, error) {
	if err := c.may(membership.WriteRoom, ""); err != nil {
		return nil, err
	}
	return nil, change[v1.Room]{api: a, caller: c, action: http.MethodDelete + " " + v1.PathRooms + "/" + in.Room, revokes: always[v1.Room], Conditions: Conditions{IfMatch: in.IfMatch},
		read: func(ctx context.Context) (membership.Record[v1.Room], error) {
			return a.enter(ctx, c, in.Room, membership.WriteRoom, "")
		},
		write: func(ctx context.Context, was membership.Record[v1.Room]) (membership.Record[v1.Room], error) {
			return c.back.Store.MarkDeleting(ctx, in.Room, was.Revision)
		},
		seen: func(r v1.Room) bool {
			known, ok := a.c.Directory.Room(r.Name)
			return !ok || known.Deleting || known.ID != r.ID
		},
	}.remove(ctx)
}
