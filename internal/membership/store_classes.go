// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// GetClass reads a history class. It fails with ErrNotFound.
func (s *Store) GetClass(ctx context.Context, name string) (Record[v1.Class], error) {
	if err := CheckName("class", name); err != nil {
		return Record[v1.Class]{}, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return loadAt[v1.Class](ctx, s, v1.BucketRooms, v1.ClassKey(name), 0)
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
	at := revision
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
		at = was.revision
	} else if _, err := loadAt[v1.Class](ctx, s, v1.BucketRooms, v1.ClassKey(c.Name), revision); err != nil {
		return r, err
	}
	var err error
	r.Revision, err = s.put(ctx, v1.BucketRooms, v1.ClassKey(c.Name), c, at)
	return r, err
}

// DeleteClass removes a class that no room uses, rooms that are being deleted included. It fails with ErrInUse, ErrNotFound and
// ErrConflict, the latter also when a room of the class was made meanwhile.
func (s *Store) DeleteClass(ctx context.Context, name string, revision uint64) error {
	if err := CheckName("class", name); err != nil {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	c, err := loadAt[v1.Class](ctx, s, v1.BucketRooms, v1.ClassKey(name), revision)
	if err != nil {
		return err
	}
	keys, err := s.keys(ctx, v1.BucketRooms, v1.RoomKey("*"))
	if err != nil {
		return err
	}
	for _, key := range keys {
		r, err := load[v1.Room](ctx, s, v1.BucketRooms, key)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if r.Value.Class == name {
			return fmt.Errorf("class %s is %w by room %s; delete its rooms first", name, ErrInUse, r.Value.Name)
		}
	}
	return s.del(ctx, v1.BucketRooms, v1.ClassKey(name), "", c.Revision)
}

// touchClass sees to it that a class has a revision above that of a room that was made with it: it writes the class as it is,
// unless somebody else did. It fails with ErrNotFound and ErrConflict.
func (s *Store) touchClass(ctx context.Context, name string, room uint64) error {
	c, err := s.GetClass(ctx, name)
	if err != nil || c.Revision > room { // both are sequences of one bucket
		return err
	}
	_, err = s.put(ctx, v1.BucketRooms, v1.ClassKey(name), c.Value, c.Revision)
	return err
}
