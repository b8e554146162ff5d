// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// ErrLastAdmin is returned when a bus would be left without an admin.
var ErrLastAdmin = errors.New("the last admin of the bus")

// A bus that has admins keeps one. That is a rule over many records, and two admins may remove each other at the same moment on two
// nodes. So the admins are also counted in one record, v1.AdminsKey, which lists them, and each change of an admin writes it by compare
// and set:
//
//   - Who makes an admin reads the count, writes the user, and then counts it, if nobody has changed the count since it was read.
//     Otherwise all of that is done again, the user's record included, unless somebody has changed that as well.
//   - Who unmakes one reads the user, sees in the count another user who is an admin, takes the user out of the count, and then
//     changes the user, if nobody has changed it since it was read.
//
// So whoever is about to unmake an admin that is counted was there before it was counted, and fails when it writes the user, since
// that was written after it; or comes later, and then has to find another in the count. A crash between two steps leaves an admin who is
// not counted, which only makes the rule stricter.

// count is the record of admins.
type count struct {
	// Admins are Ed25519 keys as hexadecimal digits.
	Admins []string `json:"admins"`

	revision uint64
}

func (s *Store) readCount(ctx context.Context) (count, error) {
	e, err := s.get(ctx, v1.BucketUsers, v1.AdminsKey)
	c := count{revision: e.revision}
	if err != nil || !e.live {
		return c, err
	}
	if err := json.Unmarshal(e.value, &c); err != nil {
		return c, fmt.Errorf("record %s of %s can't be read, remove it: %w", v1.AdminsKey, v1.BucketUsers, err)
	}
	return c, nil
}

// writeCount fails with ErrConflict when the count is not what it was when it was read.
func (s *Store) writeCount(ctx context.Context, c count) error {
	slices.Sort(c.Admins)
	c.Admins = slices.Compact(c.Admins)
	_, err := s.put(ctx, v1.BucketUsers, v1.AdminsKey, c, c.revision)
	return err
}

// IsCounted says whether an admin is in the count. A crash while it was made, or unmade, can leave it out: then SetAdmin counts it. It
// fails with v1.ErrUserKey.
func (s *Store) IsCounted(ctx context.Context, key string) (bool, error) {
	hex, err := v1.UserHex(key)
	if err != nil {
		return false, err
	}
	c, err := s.readCount(ctx)
	return slices.Contains(c.Admins, hex), err
}

// standing says whether one of those who are counted, other than one key, is an admin.
func (s *Store) standing(ctx context.Context, c count, other string) (bool, error) {
	for _, hex := range c.Admins {
		if hex == other {
			continue
		}
		u, err := load[v1.User](ctx, s, v1.BucketUsers, v1.UserKey(hex))
		if err == nil && u.Value.Admin {
			return true, nil
		}
		if err != nil && !errors.Is(err, ErrNotFound) {
			return false, err
		}
	}
	return false, nil
}

// uncount is what comes between reading an admin's record and unmaking the admin. It fails with ErrLastAdmin and ErrConflict. It
// writes the count even if the user is not in it: whoever is about to count the user must see that. name is what people know the user by.
func (s *Store) uncount(ctx context.Context, hex, name string) error {
	c, err := s.readCount(ctx)
	if err != nil {
		return err
	}
	ok, err := s.standing(ctx, c, hex)
	if err != nil {
		return err
	}
	if !ok {
		return fmt.Errorf("%w: user %s; make another user an admin first", ErrLastAdmin, name)
	}
	c.Admins = slices.DeleteFunc(c.Admins, func(a string) bool { return a == hex })
	return s.writeCount(ctx, c)
}

// makeAdmin makes a user an admin, also one that is. It fails with ErrNotFound and ErrConflict.
func (s *Store) makeAdmin(ctx context.Context, hex string, revision uint64) (r Record[v1.User], err error) {
	c, err := s.readCount(ctx)
	if err != nil {
		return r, err
	}
	if r, err = s.promote(ctx, hex, revision); err != nil {
		return r, err
	}
	return s.countIn(ctx, c, r)
}

func (s *Store) promote(ctx context.Context, hex string, revision uint64) (Record[v1.User], error) {
	r, err := loadAt[v1.User](ctx, s, v1.BucketUsers, v1.UserKey(hex), revision)
	if err != nil {
		return r, err
	}
	r.Value.Admin = true
	r.Revision, err = s.put(ctx, v1.BucketUsers, v1.UserKey(hex), r.Value, r.Revision)
	return r, err
}

// countIn counts an admin that was made after the count was read. If others have counted meanwhile, the admin is made again. It fails with
// ErrConflict if it was changed meanwhile: whoever unmade it came later.
func (s *Store) countIn(ctx context.Context, c count, r Record[v1.User]) (Record[v1.User], error) {
	hex, err := v1.UserHex(r.Value.Key)
	if err != nil {
		return r, err
	}
	late := false
	err = insist(ctx, func() (err error) {
		if late {
			if c, err = s.readCount(ctx); err != nil {
				return err
			}
			made, err := s.promote(ctx, hex, r.Revision)
			if errors.Is(err, ErrConflict) {
				return fmt.Errorf("%w: user %s; read it again", errStale, r.Value.Name)
			}
			if err != nil {
				return err
			}
			r = made
		}
		late = true
		c.Admins = append(c.Admins, hex)
		return s.writeCount(ctx, c)
	})
	return r, err
}

// HasAdmin says whether the bus has an admin that is counted.
func (s *Store) HasAdmin(ctx context.Context) (bool, error) {
	c, err := s.readCount(ctx)
	if err != nil {
		return false, err
	}
	return s.standing(ctx, c, "")
}

// EnsureAdmins makes users of keys admins of a bus that has none, and returns which; where there is an admin, it changes nothing. Who is no
// user yet becomes one, named "admin", "admin-2" and so on. Several nodes may do it at once, and each may end in the middle: then the
// next call goes on. It fails with v1.ErrUserKey, ErrLimit and ErrConflict.
func (s *Store) EnsureAdmins(ctx context.Context, keys []string) (made []v1.User, err error) {
	if len(keys) == 0 {
		return nil, nil
	}
	err = insist(ctx, func() error {
		made, err = s.ensureAdmins(ctx, keys)
		return err
	})
	return made, err
}

func (s *Store) ensureAdmins(ctx context.Context, keys []string) (made []v1.User, err error) {
	// The users are read before the count: one that was made, counted and removed since then is written at a revision that it has no
	// more.
	was := make([]entry, len(keys))
	hexes := make([]string, len(keys))
	for i, key := range keys {
		if hexes[i], err = v1.UserHex(key); err != nil {
			return nil, err
		}
		if was[i], err = s.get(ctx, v1.BucketUsers, v1.UserKey(hexes[i])); err != nil {
			return nil, err
		}
	}
	c, err := s.readCount(ctx)
	if err != nil {
		return nil, err
	}
	if ok, err := s.standing(ctx, c, ""); err != nil || ok {
		return nil, err
	}
	for i, key := range keys {
		u, err := s.admit(ctx, key, hexes[i], was[i])
		if err != nil {
			return nil, err
		}
		made = append(made, u)
	}
	c.Admins = hexes
	return made, s.writeCount(ctx, c)
}

// admit puts a user on the allowlist as an admin, at the revision that was read, under the first name that is free.
func (s *Store) admit(ctx context.Context, key, hex string, was entry) (v1.User, error) {
	var u v1.User
	if was.live && json.Unmarshal(was.value, &u) == nil {
		u.Admin = true
		_, err := s.put(ctx, v1.BucketUsers, v1.UserKey(hex), u, was.revision)
		return u, err
	}
	for n := 1; ; n++ {
		name := "admin"
		if n > 1 {
			name = fmt.Sprintf("admin-%d", n)
		}
		r, err := s.create(ctx, v1.User{Name: name, Key: key, Admin: true}, hex, was)
		if !errors.Is(err, ErrExists) || n == contention {
			return r.Value, err
		}
	}
}
