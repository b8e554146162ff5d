// SPDX-License-Identifier: Apache-2.0

package v1

import "strings"

// Clients meet in one account. What a client may publish and subscribe to is listed here in full; all else is denied to it.
// In every subject <user> is a public user nkey ("U...", UserKeySize letters of base32), so that a subject proves who sent what is
// under it, and <room> is the id of a room, which is never used again.
//
//	room.<room>.<user>.>         a member publishes under its own name; all who are in the room subscribe within room.<room>.>
//	reply.<room>.<user>.>        the inbox of a request that was made in the room: the room's members publish, the user subscribes
//	log.<room>                   what the room's history took, with sequences: who is in the room subscribes, no client publishes
//	unibus.<user>.append.<room>  the node's service that appends to the room's history
//	unibus.<user>.history.<room> the node's service that reads it
//	unibus.<user>.rooms          the node's service that lists the user's rooms
//	_INBOX.<user>.>              the user's inbox: only nodes publish to it
const (
	prefixRoom    = "room."
	prefixReply   = "reply."
	prefixLog     = "log."
	prefixService = "unibus."
	prefixInbox   = "_INBOX."
)

// Subjects that nodes subscribe to in the clients' account, in the queue group ServiceQueue.
const (
	AppendSubjects  = prefixService + "*.append.*"
	HistorySubjects = prefixService + "*.history.*"
	RoomsSubjects   = prefixService + "*.rooms"
	ServiceQueue    = "unibus"
)

// LocalSubjects are service subjects with one more token, the server name of a node. A node that can serve its own clients maps their
// requests there, so that these don't go to another node first.
func LocalSubjects(subjects, node string) string { return subjects + "." + node }

// LogSubjects are those that history streams republish to. They leave the history account for the clients'.
const LogSubjects = prefixLog + "*"

// RoomSubject is what a user publishes to in a room; rest is one token or more.
func RoomSubject(room, user, rest string) string { return prefixRoom + room + "." + user + "." + rest }

// RoomSubjects are all subjects of a room.
func RoomSubjects(room string) string { return prefixRoom + room + ".>" }

// ReplyPrefix is the inbox prefix for requests of a user in a room, without a closing dot.
func ReplyPrefix(room, user string) string { return prefixReply + room + "." + user }

// LogSubject is where what the room's history took is told.
func LogSubject(room string) string { return prefixLog + room }

// AppendSubject is where a user asks for a message to be kept in a room's history.
func AppendSubject(user, room string) string { return prefixService + user + ".append." + room }

// HistorySubject is where a user asks for messages of a room's history.
func HistorySubject(user, room string) string { return prefixService + user + ".history." + room }

// RoomsSubject is where a user asks which rooms it is in.
func RoomsSubject(user string) string { return prefixService + user + ".rooms" }

// InboxPrefix is the inbox prefix for requests of a user to nodes, without a closing dot.
func InboxPrefix(user string) string { return prefixInbox + user }

// Grants are the subjects that a client may publish and subscribe to: those of every user, and those of its rooms.
func Grants(user string, roles map[string]Role) (publish, subscribe []string) {
	publish = append(make([]string, 0, 1+2*len(roles)), prefixService+user+".>")
	subscribe = append(make([]string, 0, 1+3*len(roles)), InboxPrefix(user)+".>")
	for room, role := range roles {
		subscribe = append(subscribe, RoomSubjects(room), LogSubject(room))
		if role.Writes() {
			publish = append(publish, RoomSubject(room, user, ">"), prefixReply+room+".>")
			subscribe = append(subscribe, ReplyPrefix(room, user)+".>")
		}
	}
	return publish, subscribe
}

// ParseService splits the subject of a service request into the user who asked, the service ("append", "history" or "rooms") and
// the room, which is empty for "rooms"; what LocalSubjects adds is left out. ok is false for what is no such subject.
func ParseService(subject string) (user, service, room string, ok bool) {
	rest, found := strings.CutPrefix(subject, prefixService)
	user, rest, _ = strings.Cut(rest, ".") // no slice of tokens: it is asked for every message
	service, rest, more := strings.Cut(rest, ".")
	switch service {
	case "rooms":
		ok = !more
	case "append", "history":
		var node string
		room, node, _ = strings.Cut(rest, ".")
		ok = IsRoomID(room) && !strings.Contains(node, ".")
	}
	return user, service, room, ok && found && IsUserKey(user)
}

// IsInbox says whether a reply subject is within the user's own inbox and can be published to.
func IsInbox(subject, user string) bool {
	rest, in := strings.CutPrefix(subject, prefixInbox)
	rest, own := strings.CutPrefix(rest, user)
	rest, within := strings.CutPrefix(rest, ".")
	if !in || !own || !within || rest == "" || len(subject) > maxSubject {
		return false
	}
	for token := range strings.SplitSeq(rest, ".") {
		if token == "" || token == "*" || token == ">" || strings.ContainsAny(token, " \t\r\n") {
			return false
		}
	}
	return true
}

// maxSubject is the longest reply subject that a node answers to, in bytes.
const maxSubject = 256

// UserKeySize and RoomIDSize are lengths in bytes.
const (
	UserKeySize = 56
	RoomIDSize  = 26
)

// IsUserKey says whether a token has the form of a public user nkey. It does not judge the checksum.
func IsUserKey(token string) bool {
	return len(token) == UserKeySize && token[0] == 'U' && isBase32(token)
}

// IsRoomID says whether a token has the form of a room's id.
func IsRoomID(token string) bool { return len(token) == RoomIDSize && isBase32(token) }

func isBase32(s string) bool {
	for _, c := range []byte(s) {
		if (c < 'A' || c > 'Z') && (c < '2' || c > '7') {
			return false
		}
	}
	return true
}
