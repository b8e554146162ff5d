// SPDX-License-Identifier: Apache-2.0

package jsadmin

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Meta is the meta group as its leader tells it, after a quorum of its members confirmed that leader.
type Meta struct {
	Leader string
	// Members are all members, the leader included, sorted by name.
	Members []Member
	// Quorum is the number of votes that the leader needs.
	Quorum int
	// Voters are the members that named this leader, sorted.
	Voters []string
	// Rescue is true while a rescue keeps the quorum lowered.
	Rescue bool
}

// Member is one member of the meta group.
type Member struct {
	// Name is the server name, or the peer id when nobody knows the name.
	Name string
	// ID is the peer id, a hash of the name.
	ID string
	// Answered is true when the member itself answered just now.
	Answered bool
	// Online and Lag are the leader's word. Lag counts entries of the Raft log.
	Online bool
	Lag    uint64
	// Current is true when the leader calls the member online and complete, and the member itself answers and follows that leader.
	Current bool
	// Active is how long ago the leader heard from it.
	Active time.Duration
}

// Has returns the member with a name.
func (m Meta) Has(name string) (Member, bool) {
	for _, p := range m.Members {
		if p.Name == name || p.ID == PeerID(name) {
			return p, true
		}
	}
	return Member{}, false
}

// claim is the meta group as one server sees it.
type claim struct {
	Leader   string `json:"leader"`
	Size     int    `json:"cluster_size"`
	Quorum   int    `json:"quorum_needed"`
	Rescue   bool   `json:"rescue"`
	Replicas []peer `json:"replicas"`
}

// peer is a member of a Raft group in the words of a server.
type peer struct {
	Name    string        `json:"name"`
	ID      string        `json:"peer"`
	Current bool          `json:"current"`
	Offline bool          `json:"offline"`
	Pending bool          `json:"pending"`
	Active  time.Duration `json:"active"`
	Lag     uint64        `json:"lag"`
}

// Meta returns the meta group. It fails with ErrNoLeader when no leader is confirmed by a quorum of the members that it lists, each
// asked itself: a leader that is cut off calls itself leader for up to 18 s, and a follower that has lost its leader names it for some
// seconds, but neither is a quorum with the other. The nodes are tried in turn, since the one that is connected may be the one that is
// cut off. It fails with ErrTwoLeaders when two groups are found.
func (a *Admin) Meta(ctx context.Context) (Meta, error) {
	var last error
	for range a.nodes() {
		m, err := a.metaOnce(ctx)
		if err == nil {
			return m, nil
		}
		last = err
		if ctx.Err() != nil || errors.Is(err, ErrTwoLeaders) {
			break
		}
		a.rotate()
	}
	return Meta{}, last
}

// nodes returns the number of nodes that can be dialled, at least one.
func (a *Admin) nodes() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return max(1, len(a.urls))
}

func (a *Admin) metaOnce(ctx context.Context) (Meta, error) {
	said := map[string]claim{}
	err := a.gather(ctx, "$SYS.REQ.SERVER.PING.JSZ", struct{}{}, lastAttempt, func(r answer) verdict {
		var d struct {
			Meta *claim `json:"meta_cluster"`
		}
		if json.Unmarshal(r.Data, &d) != nil || d.Meta == nil {
			return waiting // JetStream is off there, or the server was removed
		}
		said[r.Server.Name] = *d.Meta
		a.Know(nil, []string{r.Server.Name})
		m, err := confirm(said, a.nameOf)
		switch {
		case err != nil:
			return waiting
		case slices.ContainsFunc(m.Members, func(p Member) bool { return !p.Answered }):
			return enough
		}
		return complete
	})
	if err != nil {
		return Meta{}, fmt.Errorf("%w: %w", ErrNoLeader, err)
	}
	return confirm(said, a.nameOf)
}

// confirm finds the leader that a quorum confirms in what the servers said, by server name.
func confirm(said map[string]claim, nameOf func(peer) string) (Meta, error) {
	var found []Meta
	var doubts []string
	for name, c := range said {
		if c.Leader != name {
			continue
		}
		m := weigh(name, said, nameOf)
		if len(m.Voters) >= m.Quorum {
			found = append(found, m)
			continue
		}
		doubts = append(doubts, fmt.Sprintf("%s calls itself leader of %d but only %v say so", name, len(m.Members), m.Voters))
	}
	switch len(found) {
	case 1:
		return found[0], nil
	case 0:
		slices.Sort(doubts)
		if len(doubts) == 0 {
			doubts = []string{fmt.Sprintf("%d servers with JetStream answered, none as leader", len(said))}
		}
		return Meta{}, fmt.Errorf("%w: %s", ErrNoLeader, strings.Join(doubts, "; "))
	}
	slices.SortFunc(found, func(x, y Meta) int { return cmp.Compare(x.Leader, y.Leader) })
	return Meta{}, fmt.Errorf("%w: one led by %s (%d members), one by %s (%d members): keep one and take the routes to the other away",
		ErrTwoLeaders, found[0].Leader, len(found[0].Members), found[1].Leader, len(found[1].Members))
}

// weigh builds the group that leader claims, with its voters.
func weigh(leader string, said map[string]claim, nameOf func(peer) string) Meta {
	c := said[leader]
	m := Meta{Leader: leader, Rescue: c.Rescue, Members: []Member{{Name: leader, ID: PeerID(leader), Answered: true, Online: true, Current: true}}}
	for _, p := range c.Replicas {
		n := nameOf(p)
		own, answered := said[n]
		m.Members = append(m.Members, Member{
			Name: n, ID: p.ID, Answered: answered, Online: !p.Offline, Lag: p.Lag, Active: p.Active,
			Current: p.Current && !p.Offline && !p.Pending && p.Lag == 0 && answered && own.Leader == leader,
		})
	}
	slices.SortFunc(m.Members, func(x, y Member) int { return cmp.Compare(x.Name, y.Name) })
	for _, p := range m.Members {
		if own, ok := said[p.Name]; ok && own.Leader == leader {
			m.Voters = append(m.Voters, p.Name)
		}
	}
	m.Quorum = max(c.Size, len(m.Members))/2 + 1
	if c.Rescue { // a person has lowered it, since the others are gone for good
		m.Quorum = max(1, c.Quorum)
	}
	return m
}

// nameOf returns the name of a peer. A server knows only the id of a peer that it has not met since it was started.
func (a *Admin) nameOf(p peer) string {
	a.mu.Lock()
	defer a.mu.Unlock()
	if n, ok := a.names[p.ID]; ok {
		return n
	}
	if p.Name == "" || strings.HasPrefix(p.Name, "Server name unknown") {
		return p.ID
	}
	return p.Name
}

// PeerID is the id that a server of this name has in Raft groups, as nats-server derives it: the first eight bytes of its SHA-256 as base-62 digits.
func PeerID(name string) string {
	const digits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	sum := sha256.Sum256([]byte(name))
	id := make([]byte, 8)
	for i := range id {
		id[i] = digits[int(sum[i])%len(digits)]
	}
	return string(id)
}
