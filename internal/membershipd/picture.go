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
	Leads bool
	Term  uint64
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

// leader returns the server that leads a group by its own word, and that word. Of two that claim it the later term is right:
// a leader that was cut off does not know yet.
func (p picture) leader(group string) (string, groupWord) {
	var name string
	var word groupWord
	if w, ok := p.Own[group]; ok && w.Leads {
		name, word = p.Self, w
	}
	for _, other := range slices.Sorted(maps.Keys(p.Others)) {
		if w, ok := p.Others[other][group]; ok && w.Leads && (name == "" || w.Term > word.Term) {
			name, word = other, w
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
