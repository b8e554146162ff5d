// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// class is the record of a history class.
type class struct {
	v1.Class
	// After is the revision of the marker that the class was made over, 0 for the first class of its name. No two of a name have the same:
	// a class is made by compare and set, and markers of classes are never purged. It does not change as long as the class is there.
	After uint64 `json:"after,omitempty"`
}

// afterMark is between the name of a class and After in the name of its history. No name has it.
const afterMark = "_"

// kept is the class under the name of its history, see Directory.Kept.
func (c class) kept() v1.Class {
	if c.After > 0 {
		c.Name += afterMark + strconv.FormatUint(c.After, 10)
	}
	return c.Class
}

func (s *Store) loadClass(ctx context.Context, name string, revision uint64) (Record[class], error) {
	if err := CheckName("class", name); err != nil {
		return Record[class]{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return loadAt[class](ctx, s, v1.BucketRooms, v1.ClassKey(name), revision)
}

// GetClass reads a history class. It fails with ErrNotFound.
func (s *Store) GetClass(ctx context.Context, name string) (Record[v1.Class], error) {
	r, err := s.loadClass(ctx, name, 0)
	return Record[v1.Class]{r.Value.Class, r.Revision, r.bucket, r.key}, err
}

// GetKept reads a history class and names it as its history is named, see Directory.Kept. It fails with ErrNotFound.
func (s *Store) GetKept(ctx context.Context, name string) (v1.Class, error) {
	r, err := s.loadClass(ctx, name, 0)
	return r.Value.kept(), err
}

// Gone says whether the class of a history, by the name that Directory.Kept gives it, is not there. A quorum has it so, and it is never there
// again: who makes a class of that name has another history.
func (s *Store) Gone(ctx context.Context, history string) (bool, error) {
	name, _, _ := strings.Cut(history, afterMark)
	r, err := s.loadClass(ctx, name, 0)
	switch {
	case errors.Is(err, ErrNotFound):
		return true, nil
	case err != nil, r.Value.kept().Name == history:
		return false, err
	}
	err = Sure(ctx, s, r)
	return err == nil, err
}

// ListClasses reads all history classes, sorted by name.
func (s *Store) ListClasses(ctx context.Context) ([]Record[v1.Class], error) {
	list, _, err := page[v1.Class](ctx, s, v1.BucketRooms, v1.ClassKey("*"), "", 0)
	return list, err
}

// PutClass makes a class (revision 0) or changes it. Whether it fits into the store, the caller judges before, with Fits. It fails
// with ErrInvalid, ErrExists, ErrNotFound, ErrConflict, and with ErrLimit when the bucket is nearly full.
func (s *Store) PutClass(ctx context.Context, c v1.Class, revision uint64) (Record[v1.Class], error) {
	r := Record[v1.Class]{Value: c}
	if err := CheckClass(c, s.c.MaxPayload); err != nil {
		return r, err
	}
	at, after := revision, uint64(0)
	if revision == 0 {
		was, err := s.get(ctx, v1.BucketRooms, v1.ClassKey(c.Name))
		if err != nil {
			return r, err
		}
		if was.live {
			return r, fmt.Errorf("%w: class %s", ErrExists, c.Name)
		}
		if err := s.spare(ctx, v1.BucketRooms); err != nil {
			return r, err
		}
		at, after = was.revision, was.revision
	} else {
		is, err := s.loadClass(ctx, c.Name, revision)
		if err != nil {
			return r, err
		}
		after = is.Value.After
	}
	var err error
	r.Revision, err = s.put(ctx, v1.BucketRooms, v1.ClassKey(c.Name), class{c, after}, at)
	return r, err
}

// ErrDeleting is the ErrInUse of a class that goes on only until rooms which are being deleted have gone: wait for that.
var ErrDeleting = fmt.Errorf("%w for a moment", ErrInUse)

// DeleteClass removes a class that no room uses, rooms that are being deleted included. It fails with ErrInUse, which is ErrDeleting if only
// such rooms use it, with ErrNotFound, and with ErrConflict, also when a room of the class was made meanwhile.
func (s *Store) DeleteClass(ctx context.Context, name string, revision uint64) error {
	c, err := s.loadClass(ctx, name, revision)
	if err != nil {
		return err
	}
	// Whoever lists the rooms must know what the class's reader did: a later room would find the class changed, an earlier one is in the list.
	keys, err := s.keysUpTo(ctx, v1.BucketRooms, v1.RoomKey("*"), c.Revision)
	if err != nil {
		return err
	}
	rooms, err := loadAll[v1.Room](ctx, s, v1.BucketRooms, keys)
	if err != nil {
		return err
	}
	leaving := ""
	for _, r := range rooms {
		switch {
		case r.Value.Class != name:
		case r.Value.Deleting:
			leaving = r.Value.Name
		default:
			return fmt.Errorf("class %s is %w by room %s; delete its rooms first", name, ErrInUse, r.Value.Name)
		}
	}
	if leaving != "" {
		return fmt.Errorf("class %s is %w: room %s is being deleted, and its history goes first; try again soon", name, ErrDeleting, leaving)
	}
	return s.del(ctx, v1.BucketRooms, v1.ClassKey(name), "", c.Revision)
}

// touchClass sees to it that a class has a revision above that of a room that was made with it: it writes the class as it is,
// unless somebody else did. It fails with ErrNotFound and ErrConflict.
func (s *Store) touchClass(ctx context.Context, name string, room uint64) error {
	c, err := s.loadClass(ctx, name, 0)
	if err != nil || c.Revision > room { // both are sequences of one bucket
		return err
	}
	_, err = s.put(ctx, v1.BucketRooms, v1.ClassKey(name), c.Value, c.Revision)
	return err
}

// settle is touchClass for a room as it was read, until it is done or the class is not there. From then on the class can't be removed
// without the room being seen.
func (s *Store) settle(ctx context.Context, room Record[v1.Room]) error {
	if room.Value.Class == "" {
		return nil
	}
	return insist(ctx, func() error { return s.touchClass(ctx, room.Value.Class, room.Revision) })
}

// Settle does for a room what whoever made it has not: see Directory.Unsettled. It fails with ErrNotFound when the room or its class is not there,
// and with ErrConflict.
func (s *Store) Settle(ctx context.Context, room v1.Room) error {
	r, err := s.OpenRoom(ctx, room.Name)
	if err != nil {
		return err
	}
	return s.settle(ctx, r)
}
