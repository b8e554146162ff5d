// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// GetRoom reads a room by its name. It fails with ErrNotFound.
func (s *Store) GetRoom(ctx context.Context, name string) (Record[v1.Room], error) {
	if err := CheckName("room", name); err != nil {
		return Record[v1.Room]{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return loadAt[v1.Room](ctx, s, v1.BucketRooms, v1.RoomKey(name), 0)
}

// OpenRoom is GetRoom for one that is not being deleted: such a room is not found.
func (s *Store) OpenRoom(ctx context.Context, name string) (r Record[v1.Room], err error) {
	err = insist(ctx, func() error {
		if r, err = s.GetRoom(ctx, name); err == nil && r.Value.Deleting {
			err = cmp.Or(Sure(ctx, s, r), fmt.Errorf("%w: room %s is being deleted", ErrNotFound, name))
		}
		return err
	})
	return r, err
}

// ListRooms reads at most limit rooms (1,000 if 0), and what to ask for the next page, empty on the last.
func (s *Store) ListRooms(ctx context.Context, after string, limit int) (list []Record[v1.Room], next string, err error) {
	return page[v1.Room](ctx, s, v1.BucketRooms, v1.RoomKey("*"), after, limit)
}

// CreateRoom makes a room with an id of its own, which keeps history as a class says, or none if class is empty. It fails with
// ErrInvalid, with ErrExists, also while a room of that name is being deleted, with ErrNotFound when the class is not there, with
// ErrLimit, and with ErrConflict.
func (s *Store) CreateRoom(ctx context.Context, name, class string) (Record[v1.Room], error) {
	r := Record[v1.Room]{Value: v1.Room{Name: name, Class: class, ID: rand.Text()[:v1.RoomIDSize], Created: s.c.Now().UTC()}}
	if err := CheckName("room", name); err != nil {
		return r, err
	}
	if class != "" {
		if _, err := s.GetClass(ctx, class); err != nil {
			return r, err
		}
	}
	was, err := s.get(ctx, v1.BucketRooms, v1.RoomKey(name))
	if err != nil {
		return r, err
	}
	if was.live {
		return r, fmt.Errorf("%w: room %s; if it is being deleted, wait until its history is gone", ErrExists, name)
	}
	if s.c.Counter != nil {
		if err := below("rooms", s.c.Counter.CountRooms(), s.c.Limits.Rooms); err != nil {
			return r, err
		}
	}
	if err := s.spare(ctx, v1.BucketRooms); err != nil {
		return r, err
	}
	if r.Revision, err = s.put(ctx, v1.BucketRooms, v1.RoomKey(name), r.Value, was.revision); err != nil || class == "" {
		return r, err
	}
	// Whoever removes the class either sees the room, or finds the class changed, or was there before us.
	err = s.settle(ctx, r)
	if errors.Is(err, ErrNotFound) {
		return r, errors.Join(err, s.del(ctx, v1.BucketRooms, v1.RoomKey(name), "", r.Revision))
	}
	return r, err
}

// MarkDeleting begins the deletion of a room: from now on nobody is in it. Called again it changes nothing. Next, the room's history
// is to be purged, and then FinishDeletion called. It fails with ErrNotFound and ErrConflict.
func (s *Store) MarkDeleting(ctx context.Context, name string, revision uint64) (Record[v1.Room], error) {
	r, err := s.GetRoom(ctx, name)
	if err != nil {
		return r, err
	}
	if r.Value.Deleting {
		return r, Sure(ctx, s, r)
	}
	if revision != 0 && revision != r.Revision {
		return r, fmt.Errorf("%w: room %s is at revision %d, not %d; read it again", ErrConflict, name, r.Revision, revision)
	}
	r.Value.Deleting = true
	r.Revision, err = s.put(ctx, v1.BucketRooms, v1.RoomKey(name), r.Value, r.Revision)
	return r, err
}

// FinishDeletion removes who was in a room that is marked, and then the room, so that the name is free. It may be called by several
// nodes at once, and again. It fails with ErrInvalid for a room that is not marked, and with ErrConflict.
func (s *Store) FinishDeletion(ctx context.Context, room v1.Room) error {
	if !v1.IsRoomID(room.ID) { // it would be a wildcard
		return fmt.Errorf("%w room id %.80q", ErrInvalid, room.ID)
	}
	r, err := s.GetRoom(ctx, room.Name)
	if err != nil && !errors.Is(err, ErrNotFound) {
		return err
	}
	there := err == nil && r.Value.ID == room.ID
	if there && !r.Value.Deleting {
		return fmt.Errorf("%w deletion of room %s: it is not marked", ErrInvalid, room.Name)
	}
	err = insist(ctx, func() error {
		return s.removeAll(ctx, v1.MemberKey(room.ID, "*"), func() (bool, error) { return true, nil })
	})
	if err != nil || !there {
		return err
	}
	if err = s.del(ctx, v1.BucketRooms, v1.RoomKey(room.Name), "", r.Revision); !errors.Is(err, ErrConflict) {
		return err
	}
	// A marked room changes only by its removal, and the id never comes back.
	if again, readErr := s.GetRoom(ctx, room.Name); errors.Is(readErr, ErrNotFound) || readErr == nil && again.Value.ID != room.ID {
		return nil
	}
	return err
}

// memberOf finds the key of a user's membership. It fails with v1.ErrUserKey, and with ErrNotFound when there is no such room.
func (s *Store) memberOf(ctx context.Context, room, user string) (r Record[v1.Room], hex string, err error) {
	if hex, err = v1.UserHex(user); err != nil {
		return r, "", err
	}
	r, err = s.OpenRoom(ctx, room)
	return r, hex, err
}

// GetMember reads what a user, by its nkey, is in a room, by its name. It fails with v1.ErrUserKey and ErrNotFound.
func (s *Store) GetMember(ctx context.Context, room, user string) (Record[v1.Member], error) {
	r, hex, err := s.memberOf(ctx, room, user)
	if err != nil {
		return Record[v1.Member]{}, err
	}
	return loadAt[v1.Member](ctx, s, v1.BucketMembers, v1.MemberKey(r.Value.ID, hex), 0)
}

// PutMember puts a user into a room (revision 0) or changes its role there. It fails with v1.ErrUserKey and ErrInvalid, with
// ErrNotFound when the room or the user is not there, with ErrExists, ErrConflict and ErrLimit.
func (s *Store) PutMember(ctx context.Context, room, user string, role v1.Role, revision uint64) (Record[v1.Member], error) {
	m := Record[v1.Member]{Value: v1.Member{Role: role, Created: s.c.Now().UTC()}}
	if err := CheckRole(role); err != nil {
		return m, err
	}
	r, hex, err := s.memberOf(ctx, room, user)
	if err != nil {
		return m, err
	}
	if _, err := loadAt[v1.User](ctx, s, v1.BucketUsers, v1.UserKey(hex), 0); err != nil {
		return m, err
	}
	key := v1.MemberKey(r.Value.ID, hex)
	at := revision
	if revision == 0 {
		// Who made the room may not have come to that, or have ended before: nobody is in a room whose class may go unseen.
		if err = s.settle(ctx, r); err != nil {
			return m, err
		}
		if at, err = s.newMember(ctx, r.Value, hex); err != nil {
			return m, err
		}
	} else {
		was, err := loadAt[v1.Member](ctx, s, v1.BucketMembers, key, revision)
		if err != nil {
			return m, err
		}
		m.Value.Created = was.Value.Created
	}
	if m.Revision, err = s.put(ctx, v1.BucketMembers, key, m.Value, at); err != nil || revision != 0 {
		return m, err
	}
	return m, s.stays(ctx, r.Value, key, m.Revision)
}

// stays takes a membership back that was made in a room which was deleted meanwhile: whoever deletes it may have listed its members before. It
// fails with ErrNotFound then.
func (s *Store) stays(ctx context.Context, room v1.Room, key string, revision uint64) error {
	again, err := s.OpenRoom(ctx, room.Name)
	if err == nil && again.Value.ID != room.ID {
		err = fmt.Errorf("%w: room %s was deleted, and another made of that name", ErrNotFound, room.Name)
	}
	if !errors.Is(err, ErrNotFound) {
		return err
	}
	if gone := s.del(ctx, v1.BucketMembers, key, "", revision); gone != nil && !errors.Is(gone, ErrConflict) {
		return gone
	}
	return err
}

// newMember returns the revision that a membership has which is not there.
func (s *Store) newMember(ctx context.Context, room v1.Room, hex string) (uint64, error) {
	was, err := s.get(ctx, v1.BucketMembers, v1.MemberKey(room.ID, hex))
	if err != nil {
		return 0, err
	}
	if was.live {
		return 0, fmt.Errorf("%w: the user is in room %s", ErrExists, room.Name)
	}
	if s.c.Counter != nil {
		if err := below("rooms of the user", s.c.Counter.CountRoomsOf(hex), s.c.Limits.RoomsPerUser); err != nil {
			return 0, err
		}
		if err := below("members of room "+room.Name, s.c.Counter.CountMembers(room.ID), s.c.Limits.MembersPerRoom); err != nil {
			return 0, err
		}
	}
	return was.revision, s.spare(ctx, v1.BucketMembers)
}

// RemoveMember takes a user out of a room. It fails with v1.ErrUserKey, ErrNotFound and ErrConflict.
func (s *Store) RemoveMember(ctx context.Context, room, user string, revision uint64) error {
	r, hex, err := s.memberOf(ctx, room, user)
	if err != nil {
		return err
	}
	key := v1.MemberKey(r.Value.ID, hex)
	return insist(ctx, func() error {
		e, err := s.get(ctx, v1.BucketMembers, key)
		switch {
		case err != nil:
			return err
		case !e.live:
			return s.sure(ctx, v1.BucketMembers, key, e.revision, fmt.Errorf("%w: the user is not in room %s", ErrNotFound, room))
		case revision != 0 && revision != e.revision:
			return fmt.Errorf("%w: the membership is at revision %d, not %d; read it again", errStale, e.revision, revision)
		}
		return s.del(ctx, v1.BucketMembers, key, "", e.revision)
	})
}
