// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"slices"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
)

// FuzzAllowed: what is within a list of subjects is so by the server's own word, in either of the two ways in which it is found.
func FuzzAllowed(f *testing.F) {
	for _, s := range []string{"room.A.>", "room.*.>", "room.A.*", "room.A", ">", "*", "*.>", "log.A", "a.*.c", "a.b.>", "room.>.x", "room.AB.>"} {
		for _, w := range []string{"room.A.>", ">", "*", "room.*.x", "a.*.>", "log.A", "*.*", "room.A.*"} {
			f.Add(s, w, "log.B")
		}
	}
	f.Fuzz(func(t *testing.T, subject, one, two string) {
		// The server takes no subscription to what is invalid, and its comparison takes "*x", which is a plain word, for a wildcard.
		if !server.IsValidSubject(subject) || odd(subject) || odd(one) || odd(two) {
			return
		}
		list, want := newRights(nil, []string{one, two}).subscribe, false
		for _, s := range list {
			within := server.SubjectMatchesFilter(subject, s)
			if want = want || within; isSubset(subject, s) != within {
				t.Errorf("%q within %q: want %v", subject, s, within)
			}
		}
		if got := newAllowed(list).covers(subject); got != want {
			t.Errorf("%q within %q: %v, want %v", subject, list, got, want)
		}
	})
}

func odd(subject string) bool {
	return slices.ContainsFunc(strings.Split(subject, "."), func(t string) bool { return len(t) > 1 && strings.ContainsAny(t, "*>") })
}
