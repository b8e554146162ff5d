// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// Room is one that the user is in. What is in it was true when it was asked for: who is removed since hears of it by the errors of its methods.
type Room struct {
	c *Client
	// What is the same for each message: the subjects that are published to, and how all subjects of the room begin.
	speak, keep, prefix string

	// ID is in the room's subjects, and never used again.
	ID   string
	Name string
	Role v1.Role
	// Class is the history class that keeps the room's messages, empty for a room that keeps none.
	Class string
}

func (c *Client) roomOf(r v1.RoomOf) *Room {
	return &Room{c: c, ID: r.ID, Name: r.Name, Role: r.Role, Class: r.Class,
		speak: v1.RoomSubject(r.ID, c.user, v1.SubjectMessage), keep: v1.AppendSubject(c.user, r.ID),
		prefix: strings.TrimSuffix(v1.RoomSubjects(r.ID), ">")}
}

// Kept says whether the room's messages are kept.
func (r *Room) Kept() bool { return r.Class != "" }

// mostRooms is more than any user may be in.
const mostRooms = 100_000

// Rooms lists the rooms that the user is in, sorted by name. Without a deadline it waits until a node answers. It fails with
// ErrRemoved, ErrBadServer, ErrClosed and the context's error.
func (c *Client) Rooms(ctx context.Context) (rooms []*Room, err error) {
	err = c.eachRoom(ctx, func(r *Room) bool {
		rooms = append(rooms, r)
		return true
	})
	return rooms, err
}

// Room looks for one of the user's rooms by its name. It fails with ErrNotFound when the user is in no room of that name, and as Rooms does.
func (c *Client) Room(ctx context.Context, name string) (found *Room, err error) {
	err = c.eachRoom(ctx, func(r *Room) bool {
		if r.Name == name {
			found = r
		}
		return r.Name < name
	})
	if err == nil && found == nil {
		return nil, fmt.Errorf("room %q: %w: you are in no room of that name: ask one of its admins to take you in", name, ErrNotFound)
	}
	return found, err
}

func (c *Client) eachRoom(ctx context.Context, do func(*Room) bool) error {
	after := ""
	for range mostRooms {
		var page v1.RoomsAnswer
		err := c.ask(ctx, "list rooms", v1.RoomsSubject(c.user), []byte(after), func(body []byte) error {
			page = v1.RoomsAnswer{}
			if err := json.Unmarshal(body, &page); err != nil {
				return fmt.Errorf("%w: its list of rooms can't be read", ErrBadServer)
			}
			return answered(page.Error)
		})
		if err != nil {
			return err
		}
		for _, r := range page.Rooms {
			if !v1.IsRoomID(r.ID) || r.Name <= after {
				return fmt.Errorf("%w: its list of rooms is out of order", ErrBadServer)
			}
			after = r.Name
			if !do(c.roomOf(r)) {
				return nil
			}
		}
		if page.Next == "" || len(page.Rooms) == 0 {
			return nil
		}
	}
	return fmt.Errorf("%w: its list of rooms has no end", ErrBadServer)
}

// Join finds a room and subscribes to it. It fails as Room and Room.Subscribe do.
func (c *Client) Join(ctx context.Context, name string, from Start) (*Room, *Subscription, error) {
	r, err := c.Room(ctx, name)
	if err != nil {
		return nil, nil, err
	}
	s, err := r.Subscribe(ctx, from)
	return r, s, err
}

// Leave ends the user's membership, by the HTTP API. Only an admin of the room can undo that. It fails with ErrInvalid without
// Options.API, and as API.DeleteMember does.
func (r *Room) Leave(ctx context.Context) error {
	if r.c.api == nil {
		return fmt.Errorf("leave room %s: %w: Options.API is not set", r.Name, ErrInvalid)
	}
	return r.c.api.DeleteMember(ctx, r.Name, r.c.user, "")
}
