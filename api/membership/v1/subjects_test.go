// SPDX-License-Identifier: Apache-2.0

package v1

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// FuzzSubjects judges by regular expressions what is read out of subjects, and what rooms are granted.
func FuzzSubjects(f *testing.F) {
	user, room := "U"+strings.Repeat("A", UserKeySize-1), strings.Repeat("R", RoomIDSize)
	for _, subject := range []string{AppendSubject(user, room), LocalSubjects(HistorySubject(user, room), "NODE"), RoomsSubject(user), InboxPrefix(user) + ".x", InboxPrefix(user) + ".x.>",
		InboxPrefix(user) + "..x", InboxPrefix(user) + ".a b", AppendSubject("U", room), AppendSubject(user, "R")} {
		f.Add(user, room, string(RoleMember), subject)
	}
	f.Add("U", "*", string(RoleReader), InboxPrefix("U")+".x")
	f.Add(user, room, string(RoleReader), "")
	const key, id = `U[A-Z2-7]{55}`, `[A-Z2-7]{26}`
	service := regexp.MustCompile(`^unibus\.(` + key + `)\.(rooms|(?:append|history)\.(` + id + `)(?:\.[^.]*)?)\z`)
	tokens := regexp.MustCompile(`^(?:\.(?:[^. \t\r\n*>]|[*>][^. \t\r\n])[^. \t\r\n]*)+\z`)
	f.Fuzz(func(t *testing.T, user, room, role, subject string) {
		u, what, r, ok := ParseService(subject)
		if m := service.FindStringSubmatch(subject); ok != (m != nil) || ok && (u != m[1] || r != m[3] || !strings.HasPrefix(m[2], what)) {
			t.Errorf("%q is read as %q of %q in %q: %v", subject, what, u, r, ok)
		}
		rest, own := strings.CutPrefix(subject, "_INBOX."+user)
		if got, want := IsInbox(subject, user), own && len(subject) <= maxSubject && tokens.MatchString(rest); got != want {
			t.Errorf("%q is in the inbox of %q: %v, want %v", subject, user, got, want)
		}
		if k, i := regexp.MustCompile(`^`+key+`\z`).MatchString(user), regexp.MustCompile(`^`+id+`\z`).MatchString(room); IsUserKey(user) != k || IsRoomID(room) != i {
			t.Errorf("%q is a key: %v; %q is an id: %v", user, IsUserKey(user), room, IsRoomID(room))
		} else if k && i {
			expectGrants(t, user, room, Role(role))
		}
	})
}

// expectGrants: nothing is granted but what is the user's own, and the room's.
func expectGrants(t *testing.T, user, room string, role Role) {
	t.Helper()
	publish, subscribe := Grants(user, map[string]Role{room: role})
	mayPublish, maySubscribe := []string{"unibus." + user + ".>"}, []string{"_INBOX." + user + ".>", "room." + room + ".>", "log." + room}
	if role == RoleMember || role == RoleAdmin {
		mayPublish = append(mayPublish, "room."+room+"."+user+".>", "reply."+room+".>")
		maySubscribe = append(maySubscribe, "reply."+room+"."+user+".>")
	}
	if !slices.Equal(publish, mayPublish) || !slices.Equal(subscribe, maySubscribe) {
		t.Errorf("%q is granted %q and %q", role, publish, subscribe)
	}
}
