// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"strings"
	"time"
)

// Buckets of the membership account. Each keeps one revision of a key.
const (
	// BucketUsers holds users by key and the names that are taken.
	BucketUsers = "UNIBUS_users"
	// BucketRooms holds rooms by name and history classes.
	BucketRooms = "UNIBUS_rooms"
	// BucketMembers holds who is in which room.
	BucketMembers = "UNIBUS_members"
)

// HeartbeatKey is in every bucket. Nodes write it to see that what they watch is not cut off, each with its name as value, by which others know
// that there is this node to wait for until a change is known everywhere.
const HeartbeatKey = "_heartbeat"

// Prefixes of keys.
const (
	keyUser     = "user."
	keyUserName = "name."
	keyRoom     = "room."
	keyClass    = "class."
)

// UserKey is the key of a User in BucketUsers. ed25519Hex is the user's public key, 64 lower-case hexadecimal digits.
func UserKey(ed25519Hex string) string { return keyUser + ed25519Hex }

// UserNameKey is the key in BucketUsers that holds the UserKey of who has the name.
func UserNameKey(name string) string { return keyUserName + name }

// RoomKey is the key of a Room in BucketRooms.
func RoomKey(name string) string { return keyRoom + name }

// ClassKey is the key of a Class in BucketRooms.
func ClassKey(name string) string { return keyClass + name }

// MemberKey is the key of a Member in BucketMembers.
func MemberKey(room, ed25519Hex string) string { return room + "." + ed25519Hex }

// ParseUserKey is the reverse of UserKey.
func ParseUserKey(key string) (ed25519Hex string, ok bool) { return strings.CutPrefix(key, keyUser) }

// ParseRoomKey is the reverse of RoomKey.
func ParseRoomKey(key string) (name string, ok bool) { return strings.CutPrefix(key, keyRoom) }

// ParseClassKey is the reverse of ClassKey.
func ParseClassKey(key string) (name string, ok bool) { return strings.CutPrefix(key, keyClass) }

// ParseMemberKey is the reverse of MemberKey.
func ParseMemberKey(key string) (room, ed25519Hex string, ok bool) { return strings.Cut(key, ".") }

// User is on the allowlist: it may connect.
type User struct {
	// Name is unique among users that are there; it may be given again after its user is removed. Subjects and records of
	// membership carry keys, never names.
	Name string `json:"name"`
	// Key is the public nkey, "U...".
	Key string `json:"key"`
	// Admin users manage users, rooms and classes.
	Admin   bool      `json:"admin,omitempty"`
	Created time.Time `json:"created"`
}

// Room is a named place.
type Room struct {
	Name string `json:"name"`
	// ID is in the room's subjects. It is made at random and never used again.
	ID string `json:"id"`
	// Class is the name of the history class that keeps the room's messages, empty for a room that keeps nothing.
	Class string `json:"class,omitempty"`
	// Deleting is true from the first step of a deletion on: nobody is in the room any more, and its history is being purged.
	Deleting bool      `json:"deleting,omitempty"`
	Created  time.Time `json:"created"`
}

// Role is what a user is in a room.
type Role string

const (
	// RoleReader subscribes and reads history.
	RoleReader Role = "reader"
	// RoleMember does that, publishes, asks, answers and appends.
	RoleMember Role = "member"
	// RoleAdmin does that and manages the room's members.
	RoleAdmin Role = "admin"
)

// Writes says whether the role publishes and appends.
func (r Role) Writes() bool { return r == RoleMember || r == RoleAdmin }

// Member is a user in a room.
type Member struct {
	Role    Role      `json:"role"`
	Created time.Time `json:"created"`
}

// RoomOf is a room as one of its users sees it.
type RoomOf struct {
	ID    string `json:"id"`
	Name  string `json:"name"`
	Role  Role   `json:"role"`
	Class string `json:"class,omitempty"`
}

// RoomsAnswer is what the rooms service answers: a page of the user's rooms, sorted by name. The request's body is the name
// after which the page begins, empty for the first.
type RoomsAnswer struct {
	Rooms []RoomOf `json:"rooms"`
	// Next is what to ask for the next page, empty on the last.
	Next string `json:"next,omitempty"`
	// Error is nil unless the request was refused.
	Error *Error `json:"error,omitempty"`
}
