// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"fmt"
	"slices"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// routePassword is the password that nodes know each other by, and the one that replaces it or that it has replaced. How far that is follows
// from the Secret and from what nodes say alone, so that whoever takes over goes on where it was left:
//
//	a second one is accepted -> every node is seen to accept both -> the second is dialled with, and pods are replaced one at a time
//	-> every node is seen to dial with it -> the first is accepted no more
//
// A node has its files read anew, and so accepts what they have, without a restart; but what it dials with it has taken at its start.
type routePassword struct {
	// dials is dialled with, also is accepted beside it; empty while there is one only.
	dials, also string
	replacement
}

// passwordName is the word of the annotation that asks for another password of routes.
const passwordName = "route-password"

// Changes of the password of routes.
const (
	acceptBoth     change = "accept-both-passwords"
	switchPassword change = "switch-password"
	dropPassword   change = "drop-old-password"
)

// next is the change to be made next, nothing where none is due, and what of nodes must be seen before.
func (k routePassword) next(wish string) (change, func(*v1.NodeStatus) string) {
	switch {
	case k.phase() == phaseBothAccepted:
		return switchPassword, k.acceptsBoth
	case k.phase() == phaseSwitching:
		return dropPassword, k.dialsNew
	case k.asked(wish, passwordName):
		return acceptBoth, nil
	}
	return nothing, nil
}

// after is the password once a change is made; fresh is one that nobody has had.
func (k routePassword) after(do change, fresh, wish string) routePassword {
	switch do {
	case acceptBoth:
		k.also, k.replacement = fresh, k.begun(wish)
	case switchPassword:
		k.dials, k.also, k.replacement = k.also, k.dials, k.switched()
	case dropPassword:
		k.also, k.replacement = "", k.ended()
	}
	return k
}

// acceptsBoth says what a node lacks before others may dial it with either password, empty when nothing.
func (k routePassword) acceptsBoth(n *v1.NodeStatus) string {
	if why := mute(n); why != "" {
		return why
	}
	for _, password := range []string{k.dials, k.also} {
		if !slices.Contains(n.RouteSecrets.Accepts, v1.SecretMark(password, n.Nonce)) {
			return "does not accept both passwords yet"
		}
	}
	return ""
}

// dialsNew says what a node lacks before the former password may go, empty when nothing.
func (k routePassword) dialsNew(n *v1.NodeStatus) string {
	if why := mute(n); why != "" {
		return why
	}
	if mark := v1.SecretMark(k.dials, n.Nonce); n.RouteSecrets.Dials != mark || n.RouteSecrets.Next != mark {
		return "dials with the former password yet"
	}
	return ""
}

// mute says why a node does not tell of its passwords, empty when it does.
func mute(n *v1.NodeStatus) string {
	switch {
	case n == nil:
		return "does not answer"
	case n.RouteSecrets == nil:
		return "does not tell which passwords it accepts: it is of an earlier version"
	}
	return ""
}

// stale says whether a node dials with the former password, and will with the new one once it is started anew: it has read its files since.
func (k routePassword) stale(n *v1.NodeStatus) bool {
	return k.phase() == phaseSwitching && n != nil && n.RouteSecrets != nil &&
		n.RouteSecrets.Dials == v1.SecretMark(k.also, n.Nonce) && n.RouteSecrets.Next == v1.SecretMark(k.dials, n.Nonce)
}

// words says how far it is and what it waits for, empty when nothing is under way.
func (k routePassword) words() string {
	return k.replacement.words(passwordName, map[string]string{
		phaseBothAccepted: "nodes are to accept a second password, and it is dialled with once all are seen to (step 1 of 3)",
		phaseSwitching:    "nodes are to dial with the new password, and the former is dropped once all are seen to (steps 2 and 3 of 3)",
	})
}

// lacking says which node lacks what must be seen, empty when none does. Every pod counts, whatever its node does: one that does not answer
// comes back with what it has.
func (p *pass) lacking(lacks func(*v1.NodeStatus) string) string {
	words := make([]string, max(p.seen.Size, len(p.seen.Places)))
	for place := range words {
		if p.pods[place] == nil && place >= p.seen.Size {
			continue // only a volume
		}
		name := p.c.PodName(place)
		if p.endpoint(place) == "" {
			words[place] = fmt.Sprintf("the pod %s does not run", name)
		} else if why := lacks(p.nodes[place]); why != "" {
			words[place] = fmt.Sprintf("the node of the pod %s %s", name, why)
		}
	}
	return cmp.Or(words...)
}

// stale are the places whose nodes dial with the former password, in order.
func (p *pass) stale() (places []int) {
	for place, n := range p.nodes {
		if p.pods[place] != nil && p.password.stale(n) {
			places = append(places, place)
		}
	}
	return places
}
