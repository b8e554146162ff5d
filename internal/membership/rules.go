// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"errors"
	"fmt"
	"strings"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

var (
	// ErrInvalid is returned for what breaks a rule. The message says which, and what is allowed.
	ErrInvalid = errors.New("invalid")
	// ErrLimit is returned for what would be one too many.
	ErrLimit = errors.New("limit reached")
)

// MaxName is the longest name of a user, room or class, in bytes.
const MaxName = 63

// CheckName fails with ErrInvalid unless name can be that of a user, a room or a class, whichever what says: 1 to MaxName lower-case
// letters, digits and '-', neither first nor last a '-'. So a name is one token of a subject, a part of a key and a DNS label.
func CheckName(what, name string) error {
	const allowed = "use 1 to 63 lower-case letters (a-z), digits and '-', which may be neither first nor last"
	if name == "" {
		return fmt.Errorf("%w %s name: it is empty; %s", ErrInvalid, what, allowed)
	}
	if len(name) > MaxName {
		return fmt.Errorf("%w %s name %.80q: it has %d bytes; %s", ErrInvalid, what, name, len(name), allowed)
	}
	for i, c := range name {
		if !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-", c) {
			return fmt.Errorf("%w %s name %q: %q at byte %d; %s", ErrInvalid, what, name, c, i+1, allowed)
		}
	}
	if name[0] == '-' || name[len(name)-1] == '-' {
		return fmt.Errorf("%w %s name %q: it begins or ends with '-'; %s", ErrInvalid, what, name, allowed)
	}
	return nil
}

// CheckRole fails with ErrInvalid unless the role is one that a user can have in a room.
func CheckRole(r v1.Role) error {
	switch r {
	case v1.RoleReader, v1.RoleMember, v1.RoleAdmin:
		return nil
	}
	return fmt.Errorf("%w role %.80q: use %s, %s or %s", ErrInvalid, string(r), v1.RoleReader, v1.RoleMember, v1.RoleAdmin)
}

// mostRoomsPerUser bounds what a connection may be granted: each room is up to five subjects, checked at every message.
const mostRoomsPerUser = 1000

// Limits bound what one bus holds. Zero fields mean the defaults, those of DefaultLimits.
type Limits struct {
	Users, Rooms int
	// RoomsPerUser is at most 1,000.
	RoomsPerUser   int
	MembersPerRoom int
}

// DefaultLimits are meant to be out of the way.
var DefaultLimits = Limits{Users: 50_000, Rooms: 20_000, RoomsPerUser: mostRoomsPerUser, MembersPerRoom: 10_000}

// Check returns the limits with defaults filled in. It fails with ErrInvalid.
func (l Limits) Check() (Limits, error) {
	for _, f := range []struct {
		what            string
		value           *int
		most, byDefault int
	}{
		{"users", &l.Users, 1_000_000, DefaultLimits.Users},
		{"rooms", &l.Rooms, 1_000_000, DefaultLimits.Rooms},
		{"rooms per user", &l.RoomsPerUser, mostRoomsPerUser, DefaultLimits.RoomsPerUser},
		{"members per room", &l.MembersPerRoom, 1_000_000, DefaultLimits.MembersPerRoom},
	} {
		if *f.value == 0 {
			*f.value = f.byDefault
		}
		if *f.value < 0 || *f.value > f.most {
			return l, fmt.Errorf("%w limit of %s: %d; use 1 to %d", ErrInvalid, f.what, *f.value, f.most)
		}
	}
	return l, nil
}

// below fails with ErrLimit when there are as many as the limit already.
func below(what string, have, limit int) error {
	if have >= limit {
		return fmt.Errorf("%w: %d %s of %d; remove some, or raise the limit", ErrLimit, have, what, limit)
	}
	return nil
}
