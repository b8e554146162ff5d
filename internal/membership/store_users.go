// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// GetUser reads the user with a public nkey. It fails with v1.ErrUserKey and ErrNotFound.
func (s *Store) GetUser(ctx context.Context, key string) (Record[v1.User], error) {
	hex, err := v1.UserHex(key)
	if err != nil {
		return Record[v1.User]{}, err
	}
	return loadAt[v1.User](ctx, s, v1.BucketUsers, v1.UserKey(hex), 0)
}

// FindUser reads the user that has a name. It fails with ErrNotFound.
func (s *Store) FindUser(ctx context.Context, name string) (r Record[v1.User], err error) {
	if err := CheckName("user", name); err != nil {
		return r, fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	err = insist(ctx, func() error {
		owner, revision, err := s.owner(ctx, name)
		if err != nil {
			return err
		}
		if owner == nil { // whoever gets the name writes it last of all
			return s.sure(ctx, v1.BucketUsers, v1.UserNameKey(name), revision, fmt.Errorf("%w: user %s", ErrNotFound, name))
		}
		r = *owner
		return nil
	})
	return r, err
}

// ListUsers reads at most limit users (1,000 if 0), and what to ask for the next page, empty on the last.
func (s *Store) ListUsers(ctx context.Context, after string, limit int) (list []Record[v1.User], next string, err error) {
	return page[v1.User](ctx, s, v1.BucketUsers, v1.UserKey("*"), after, limit)
}

// CreateUser puts a user on the allowlist; the time of its creation is set here. The user is in no room, even if one of that key was
// before. It fails with v1.ErrUserKey and ErrInvalid, with ErrExists when the key is there or the name is another user's, with
// ErrLimit, with ErrConflict, and with ErrLastAdmin for the last admin if a crash has left it without its name.
//
// The name is claimed first. A claim whose user is not there can be taken over by whoever wants the name, so that a crash right
// after it blocks nothing; therefore the claim is sealed, by writing it again, once the user is there: whoever was about to take it
// over fails, or has done so and then this user is taken back.
func (s *Store) CreateUser(ctx context.Context, u v1.User) (Record[v1.User], error) {
	r := Record[v1.User]{Value: u}
	hex, err := v1.UserHex(u.Key)
	if err != nil {
		return r, err
	}
	if err := CheckName("user", u.Name); err != nil {
		return r, err
	}
	was, err := s.get(ctx, v1.BucketUsers, v1.UserKey(hex))
	if err != nil {
		return r, err
	}
	if was.live {
		return r, s.finishCreate(ctx, u, hex, was)
	}
	if !u.Admin {
		return s.create(ctx, u, hex, was)
	}
	c, err := s.readCount(ctx)
	if err != nil {
		return r, err
	}
	if r, err = s.create(ctx, u, hex, was); err != nil {
		return r, err
	}
	return s.countIn(ctx, c, r)
}

// create is CreateUser for a key that has no user, and had none at that revision.
func (s *Store) create(ctx context.Context, u v1.User, hex string, was entry) (Record[v1.User], error) {
	r := Record[v1.User]{Value: u}
	if err := s.roomForUser(ctx); err != nil {
		return r, err
	}
	claim, err := s.claim(ctx, u.Name, hex)
	if err != nil {
		return r, err
	}
	if err := s.removeAll(ctx, v1.MemberKey("*", hex), func() (bool, error) { return true, nil }); err != nil {
		return r, err
	}
	r.Value.Created = s.c.Now().UTC()
	if r.Revision, err = s.put(ctx, v1.BucketUsers, v1.UserKey(hex), r.Value, was.revision); err != nil {
		return r, err
	}
	_, err = s.write(ctx, v1.BucketUsers, v1.UserNameKey(u.Name), nil, []byte(v1.UserKey(hex)), claim)
	if errors.Is(err, ErrConflict) {
		return r, s.takeBack(ctx, u.Name, hex, r.Revision)
	}
	return r, err
}

// finishCreate answers for a user that is there: one that a crash left without its name is taken back.
func (s *Store) finishCreate(ctx context.Context, u v1.User, hex string, was entry) error {
	var there v1.User
	if json.Unmarshal(was.value, &there) == nil && there.Name == u.Name {
		if _, err := s.claim(ctx, u.Name, hex); errors.Is(err, ErrExists) {
			if there.Admin { // which may be in the count by now
				if err := s.uncount(ctx, hex, u.Name); err != nil {
					return err
				}
			}
			return s.takeBack(ctx, u.Name, hex, was.revision)
		} else if err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: a user with that key, named %.80q", ErrExists, there.Name)
}

// takeBack removes a user that lost its name to another between two steps. An admin who is not counted may go without more: whoever counts it
// writes its record before.
func (s *Store) takeBack(ctx context.Context, name, hex string, revision uint64) error {
	if err := s.del(ctx, v1.BucketUsers, v1.UserKey(hex), name, revision); err != nil && !errors.Is(err, ErrConflict) {
		return err
	}
	return fmt.Errorf("%w: user %s, made at the same time with another key", ErrExists, name)
}

func (s *Store) roomForUser(ctx context.Context) error {
	if s.c.Counter != nil {
		if err := below("users", s.c.Counter.CountUsers(), s.c.Limits.Users); err != nil {
			return err
		}
	}
	return s.spare(ctx, v1.BucketUsers)
}

// owner is the user that a name belongs to, nil when it may be claimed, and the revision of the name's record.
func (s *Store) owner(ctx context.Context, name string) (*Record[v1.User], uint64, error) {
	e, err := s.get(ctx, v1.BucketUsers, v1.UserNameKey(name))
	if err != nil || !e.live {
		return nil, e.revision, err
	}
	if _, ok := v1.ParseUserKey(string(e.value)); !ok {
		return nil, e.revision, nil
	}
	u, err := load[v1.User](ctx, s, v1.BucketUsers, string(e.value))
	if errors.Is(err, ErrNotFound) || err == nil && u.Value.Name != name {
		return nil, e.revision, nil
	}
	return &u, e.revision, err
}

// claim makes a name a user's, unless it is another's, and returns the revision of the name's record.
func (s *Store) claim(ctx context.Context, name, hex string) (uint64, error) {
	owner, revision, err := s.owner(ctx, name)
	if err != nil {
		return 0, err
	}
	if owner != nil {
		if held, err := v1.UserHex(owner.Value.Key); err == nil && held == hex {
			return revision, nil
		}
		return 0, fmt.Errorf("%w: user %s, with another key", ErrExists, name)
	}
	return s.write(ctx, v1.BucketUsers, v1.UserNameKey(name), nil, []byte(v1.UserKey(hex)), revision)
}

// SetAdmin makes a user an admin, or no admin any more. It fails with v1.ErrUserKey, ErrNotFound, ErrConflict and
// ErrLastAdmin.
func (s *Store) SetAdmin(ctx context.Context, key string, admin bool, revision uint64) (Record[v1.User], error) {
	var r Record[v1.User]
	hex, err := v1.UserHex(key)
	if err != nil {
		return r, err
	}
	if admin {
		return s.makeAdmin(ctx, hex, revision)
	}
	if r, err = loadAt[v1.User](ctx, s, v1.BucketUsers, v1.UserKey(hex), revision); err != nil {
		return r, err
	}
	if r.Value.Admin {
		if err := s.uncount(ctx, hex, r.Value.Name); err != nil {
			return r, err
		}
	}
	r.Value.Admin = false
	r.Revision, err = s.put(ctx, v1.BucketUsers, v1.UserKey(hex), r.Value, r.Revision)
	return r, err
}

// RemoveUser takes a user from the allowlist, then out of all rooms, then frees its name. The first step revokes. With revision 0 it
// wins against whoever changes the user meanwhile. Called again it finishes what was begun, and fails with ErrNotFound only for a key
// that never was a user's, or whose removal is done and was purged since. It fails with v1.ErrUserKey, ErrConflict and ErrLastAdmin.
func (s *Store) RemoveUser(ctx context.Context, key string, revision uint64) error {
	hex, err := v1.UserHex(key)
	if err != nil {
		return err
	}
	name, err := s.revoke(ctx, key, hex, revision)
	if err != nil {
		return err
	}
	return s.finishRemoval(ctx, name, hex, true)
}

// finishRemoval takes a user who was revoked out of all rooms, if it may be in some, and frees its name.
func (s *Store) finishRemoval(ctx context.Context, name, hex string, inRooms bool) error {
	// A user made anew meanwhile has begun with no rooms, and keeps those that it has been given since.
	gone := func() (bool, error) {
		e, err := s.get(ctx, v1.BucketUsers, v1.UserKey(hex))
		return !e.live, err
	}
	if inRooms {
		err := insist(ctx, func() error { return s.removeAll(ctx, v1.MemberKey("*", hex), gone) })
		if err != nil {
			return err
		}
	}
	return insist(ctx, func() error { return s.freeName(ctx, name, hex, gone) })
}

// revoke removes the user's record, unless that was done before, and returns the user's name.
func (s *Store) revoke(ctx context.Context, key, hex string, revision uint64) (name string, err error) {
	err = insist(ctx, func() error {
		e, err := s.get(ctx, v1.BucketUsers, v1.UserKey(hex))
		if err != nil {
			return err
		}
		if !e.live {
			if name = string(e.value); e.revision == 0 {
				return s.sure(ctx, v1.BucketUsers, v1.UserKey(hex), 0, fmt.Errorf("%w: user %s", ErrNotFound, key))
			}
			// Written again: a leader that is cut off does not know who was put back meanwhile, and only a quorum takes this.
			return s.del(ctx, v1.BucketUsers, v1.UserKey(hex), name, e.revision)
		}
		if revision != 0 && revision != e.revision {
			return fmt.Errorf("%w: the user is at revision %d, not %d; read it again", errStale, e.revision, revision)
		}
		var u v1.User
		if json.Unmarshal(e.value, &u) == nil && CheckName("user", u.Name) == nil {
			name = u.Name
		}
		if u.Admin {
			if err := s.uncount(ctx, hex, cmp.Or(name, key)); err != nil {
				return err
			}
		}
		return s.del(ctx, v1.BucketUsers, v1.UserKey(hex), name, e.revision)
	})
	return name, err
}

// freeName removes a name's record if it is that of a user who is gone.
func (s *Store) freeName(ctx context.Context, name, hex string, gone func() (bool, error)) error {
	if CheckName("user", name) != nil {
		return nil
	}
	e, err := s.get(ctx, v1.BucketUsers, v1.UserNameKey(name))
	if err != nil || !e.live || string(e.value) != v1.UserKey(hex) {
		return err
	}
	if ok, err := gone(); err != nil || !ok { // asked after the name was read: a user made since then has sealed it
		return err
	}
	return s.del(ctx, v1.BucketUsers, v1.UserNameKey(name), "", e.revision)
}

// errStale is a conflict that trying again does not cure.
var errStale = fmt.Errorf("%w", ErrConflict)

// insist tries again what others came in between of.
func insist(ctx context.Context, do func() error) (err error) {
	for range contention {
		if err = do(); !errors.Is(err, ErrConflict) || errors.Is(err, errStale) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(breath):
		}
	}
	return err
}
