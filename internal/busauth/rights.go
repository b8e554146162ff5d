// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"slices"
	"strings"

	"github.com/nats-io/nats-server/v2/server"
)

// rights are what a user may do, in lists that are sorted and never changed: connections of a user share them.
type rights struct {
	publish, subscribe []string
}

// newRights leaves out what is no subject, which the server would log, or take a part of for the name of a queue group.
func newRights(publish, subscribe []string) *rights {
	clean := func(list []string) []string {
		list = slices.DeleteFunc(slices.Clone(list), func(s string) bool { return !server.IsValidSubject(s) })
		slices.Sort(list)
		return slices.Compact(list)
	}
	return &rights{publish: clean(publish), subscribe: clean(subscribe)}
}

func (r *rights) equal(o *rights) bool {
	return slices.Equal(r.publish, o.publish) && slices.Equal(r.subscribe, o.subscribe)
}

// permissions have no responses: whoever asks would choose where the one who answers may publish.
func (r *rights) permissions() *server.Permissions {
	return &server.Permissions{Publish: only(r.publish), Subscribe: only(r.subscribe)}
}

// only allows nothing but what is listed. To the server an allow list that is empty or missing means all.
func only(allow []string) *server.SubjectPermission {
	if len(allow) == 0 {
		return &server.SubjectPermission{Deny: []string{">"}}
	}
	return &server.SubjectPermission{Allow: allow}
}

// allowed answers whether subscriptions are within a list of subjects, in a time that does not grow with the list unless that has
// "*" in it: neither who is in many rooms nor who holds many subscriptions may delay the revocation of others.
type allowed struct {
	exact   map[string]struct{}
	partial []string
}

func newAllowed(list []string) *allowed {
	a := &allowed{exact: make(map[string]struct{}, len(list))}
	for _, s := range list {
		a.exact[s] = struct{}{}
		if slices.Contains(strings.Split(s, "."), "*") {
			a.partial = append(a.partial, s)
		}
	}
	return a
}

// covers says whether everything that a subscription to the subject matches, is allowed by one subject of the list.
func (a *allowed) covers(subject string) bool {
	if a.has(subject) || a.has(">") {
		return true
	}
	for i, c := range []byte(subject) {
		if c == '.' && a.has(subject[:i]+".>") {
			return true
		}
	}
	return slices.ContainsFunc(a.partial, func(s string) bool { return isSubset(subject, s) })
}

func (a *allowed) has(subject string) bool { _, ok := a.exact[subject]; return ok }

// isSubset says whether everything that subject matches, wider matches too. Both may have wildcards.
func isSubset(subject, wider string) bool {
	for {
		s, sRest, sMore := strings.Cut(subject, ".")
		w, wRest, wMore := strings.Cut(wider, ".")
		switch {
		case w == ">" && !wMore:
			return true
		case s != w && (w != "*" || s == ">"):
			return false
		case !sMore || !wMore:
			return sMore == wMore
		}
		subject, wider = sRest, wRest
	}
}
