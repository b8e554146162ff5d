// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"maps"
	"slices"
	"time"
)

// metaGroup names the Raft group of the cluster itself.
const metaGroup = "_meta_"

// groupWord is what one server says of a Raft group that it is a member of.
type groupWord struct {
	// ID is the server's name in the group, Leader that of the member which it follows, or its own.
	ID, Leader string
	Leads      bool
	Term       uint64
	// Applied is how far the log is carried out. Not what is committed: an open batch keeps that ahead on every member.
	Applied      uint64
	CatchingUp   bool
	Size, Quorum int
	// Peers are the names of the other members.
	Peers []string
}

// picture is what a node sees of itself and of its groups at one moment. The others were asked first and the node itself last:
// what it lacks then it really lacks.
type picture struct {
	At   time.Time
	Self string
	// Routes are the names of the servers that a route stands to.
	Routes []string
	// MetaLeader is empty when this node knows none.
	MetaLeader string
	// Members of the meta group, this node included; empty when it has no such group.
	Members []string
	// Removed is true when this node was taken out of the meta group.
	Removed bool
	// Own is this node's word, by group.
	Own map[string]groupWord
	// Others are the words of the servers that answered.
	Others map[string]map[string]groupWord
	// Streams names the stream of a group, as "ACCOUNT > STREAM".
	Streams map[string]string
	// OwnLast and LeaderLast are the last sequences of streams, by group.
	OwnLast, LeaderLast map[string]uint64
	// Cluster is the id of this node's cluster, empty until its next start where a bootstrap has only now agreed on it.
	Cluster string
	// Strange says of servers why they and this node must not be in one cluster: other Raft timers, or another cluster id.
	Strange map[string]string
	// Solo are the streams whose only replica is here.
	Solo []string
	// Healthy and Unhealthy are the server's own verdict.
	Healthy   bool
	Unhealthy string
}

// name of a group in words.
func (p picture) name(group string) string {
	if group == metaGroup {
		return "the meta group"
	}
	if s := p.Streams[group]; s != "" {
		return "stream " + s
	}
	return "group " + group
}

// groups are those that this node is a member of, sorted.
func (p picture) groups() []string { return slices.Sorted(maps.Keys(p.Own)) }

// leader returns the server that leads a group, and its word. Its own claim is not enough: one that was cut off claims it for
// long. A quorum of the members must say that they follow it; of two such, when words are from before and after an election,
// the later term is right.
func (p picture) leader(group string) (string, groupWord) {
	words := map[string]groupWord{}
	if w, ok := p.Own[group]; ok {
		words[p.Self] = w
	}
	for other, groups := range p.Others {
		if w, ok := groups[group]; ok {
			words[other] = w
		}
	}
	var name string
	var word groupWord
	for _, server := range slices.Sorted(maps.Keys(words)) {
		w, followers := words[server], 0
		for _, other := range words {
			if other.Leader == w.ID {
				followers++
			}
		}
		if w.Leads && followers >= w.Quorum && (name == "" || w.Term > word.Term) {
			name, word = server, w
		}
	}
	return name, word
}

// lag says by how many operations, or messages of the stream, this node is behind the leader of a group; ok is false when
// no leader answers.
func (p picture) lag(group string) (by uint64, ok bool) {
	name, word := p.leader(group)
	if name == "" {
		return 0, false
	}
	if name == p.Self {
		return 0, true
	}
	own := p.Own[group]
	if word.Applied > own.Applied {
		by = word.Applied - own.Applied
	}
	if last := p.LeaderLast[group]; last > p.OwnLast[group] {
		by = max(by, last-p.OwnLast[group])
	}
	return by, true
}
