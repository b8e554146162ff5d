// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"errors"
	"fmt"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

var (
	// ErrForbidden is returned to who may know of a thing and may not do that with it.
	ErrForbidden = errors.New("forbidden")
	// ErrHidden is returned to who may not know of a thing. It is to be told in the same words as ErrNotFound.
	ErrHidden = errors.New("hidden")
)

// Caller is who asks for something: a user on the allowlist.
type Caller struct {
	// Key is the public nkey.
	Key string
	// Admin is true for admins of the bus.
	Admin bool
	// Role is what the caller is in the room concerned, empty for who is not in it, and where no room is.
	Role v1.Role
}

// Action is what a caller wants to do.
type Action int

// What can be done. The target of an action is a user, by its nkey, where one is concerned.
const (
	// ListUsers, WriteUser (target), WriteRoom, WriteClass and ReadAudit are for admins of the bus.
	ListUsers Action = iota
	WriteUser
	WriteRoom
	WriteClass
	ReadAudit
	// ReadUser (target) is for the target itself and for admins of the bus.
	ReadUser
	// ReadRoom and ReadMember are for who is in the room, and for admins of the bus.
	ReadRoom
	ReadMember
	// PutMember and DeleteMember (target) are for admins of the room and of the bus; leaving is for everybody who is in it.
	PutMember
	DeleteMember
	// ReadMessages is for who is in the room, WriteMessages for those of them who are no readers. To be an admin of the bus is not enough.
	ReadMessages
	WriteMessages
)

// verdicts of a rule.
var (
	errNotAdmin     = fmt.Errorf("%w: it is for admins of the bus; ask one", ErrForbidden)
	errNotRoomAdmin = fmt.Errorf("%w: it is for the room's admins; ask one", ErrForbidden)
	errReader       = fmt.Errorf("%w: readers of the room may not; ask one of its admins to become a member", ErrForbidden)
)

// Check says whether the caller may do that. It fails with ErrForbidden, and with ErrHidden where the caller may not even learn
// whether the target, or the room, is there. An error that is not ErrHidden is the same whatever is there.
func (c Caller) Check(a Action, target string) error {
	inside := c.Role != ""
	switch a {
	case ListUsers, WriteUser, WriteRoom, WriteClass, ReadAudit:
		return unless(c.Admin, errNotAdmin)
	case ReadUser:
		return unless(c.Admin || c.Key == target, ErrHidden)
	case ReadRoom, ReadMember:
		return unless(c.Admin || inside, ErrHidden)
	case ReadMessages:
		return unless(inside, ErrHidden)
	case WriteMessages:
		if !inside {
			return ErrHidden
		}
		return unless(c.Role.Writes(), errReader)
	case PutMember, DeleteMember:
		switch {
		case c.Admin, c.Role == v1.RoleAdmin, a == DeleteMember && inside && c.Key == target:
			return nil
		case !inside:
			return ErrHidden
		}
		return errNotRoomAdmin
	}
	return fmt.Errorf("%w: unknown action %d", ErrForbidden, a)
}

func unless(ok bool, err error) error {
	if ok {
		return nil
	}
	return err
}
