// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"context"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// A leader that was cut off keeps the entries that nobody acknowledged. When it is back as a follower,
// it gives up one of them in each attempt to catch up, an attempt a heartbeat, which takes minutes
// after a busy moment; a restart keeps them too. It catches up at once from a snapshot, but a leader
// sends that only if its log no longer reaches back to what the follower asks for. So each leader
// makes a snapshot while a replica is away, and when one is there and does not come nearer.

const (
	// look is the pause between two looks at the groups that this server leads.
	look = 500 * time.Millisecond
	// still is how long a replica may get no nearer before its leader makes a snapshot, and again before the next one.
	still, again = time.Second, 3 * time.Second
	// attempts are needed because a snapshot is refused in the moment of a catch-up.
	attempts, attemptEvery = 20, 25 * time.Millisecond
	// awayAtMost bounds the snapshots for a replica that is away: a leader that is cut off gives up before.
	awayAtMost = 30 * time.Second
)

// led is a Raft group that this server leads.
type led struct {
	name     string
	peers    map[string]server.RaftzGroupPeer
	offline  map[string]bool
	commit   uint64
	snapshot func() error
}

// follower is what a leader remembers of one replica.
type follower struct {
	best      uint64 // the furthest index that it confirmed
	moved     time.Time
	awaySince time.Time // zero while it is there
}

// tending remembers what was seen by the looks before.
type tending struct {
	followers map[[2]string]*follower // by group and peer
	tried     map[string]time.Time    // by group
	covered   map[string]uint64       // by group: the index up to which there is a snapshot
}

func newTending() *tending {
	return &tending{followers: map[[2]string]*follower{}, tried: map[string]time.Time{}, covered: map[string]uint64{}}
}

// tend looks after the replicas of all groups that this server leads, until it stops.
func (s *Server) tend() {
	t := newTending()
	tick := time.NewTicker(look)
	defer tick.Stop()
	for {
		select {
		case <-s.ctx.Done():
			return
		case now := <-tick.C:
			for _, g := range t.needy(s.led(), now) {
				if s.snapshot(g) {
					t.covered[g.name] = g.commit
				}
			}
		}
	}
}

// needy returns the groups whose leader must make a snapshot now.
func (t *tending) needy(groups []led, now time.Time) (needy []led) {
	seen := map[[2]string]bool{}
	for _, g := range groups {
		need := false
		for peer, p := range g.peers {
			k := [2]string{g.name, peer}
			seen[k] = true
			f := t.followers[k]
			if f == nil {
				f = &follower{moved: now}
				t.followers[k] = f
			}
			if f.needs(p.LastReplicatedIndex, g.commit, g.offline[peer], now) {
				need = true
			}
		}
		if need && g.commit > t.covered[g.name] && now.Sub(t.tried[g.name]) >= again {
			t.tried[g.name] = now
			needy = append(needy, g)
		}
	}
	for k := range t.followers {
		if !seen[k] { // another leads now, or the group is gone
			delete(t.followers, k)
			delete(t.tried, k[0])
			delete(t.covered, k[0])
		}
	}
	return needy
}

func (f *follower) needs(index, commit uint64, offline bool, now time.Time) bool {
	if index > f.best || index >= commit {
		f.best, f.moved = max(index, f.best), now
	}
	switch {
	case !offline:
		f.awaySince = time.Time{}
		return now.Sub(f.moved) >= still
	case f.awaySince.IsZero():
		f.awaySince = now
	}
	return now.Sub(f.awaySince) < awayAtMost
}

// led lists the groups of streams, and the meta group, that this server leads and that have other members.
func (s *Server) led() (groups []led) {
	i, err := s.ns.Jsz(&server.JSzOptions{Accounts: true, Streams: true, RaftGroups: true, StreamLeaderOnly: true})
	if err != nil || i.Disabled {
		return nil
	}
	raft := s.raftGroups()
	add := func(group string, replicas []*server.PeerInfo, snapshot func() error) {
		z, ok := raft[group]
		if !ok || len(replicas) == 0 {
			return
		}
		g := led{name: group, commit: z.Committed, snapshot: snapshot, peers: z.Peers, offline: map[string]bool{}}
		for _, r := range replicas {
			g.offline[r.Peer] = r.Offline
		}
		groups = append(groups, g)
	}
	if m := i.Meta; m != nil && m.Leader == s.cfg.ServerName {
		add("_meta_", m.Replicas, s.ns.JetStreamSnapshotMeta)
	}
	for _, a := range i.AccountDetails {
		for _, st := range a.Streams {
			if st.Cluster != nil && st.Cluster.Leader == s.cfg.ServerName {
				add(st.RaftGroup, st.Cluster.Replicas, func() error { return s.ns.JetStreamSnapshotStream(a.Name, st.Name) })
			}
		}
	}
	return groups
}

// raftGroups returns what this server knows of each Raft group that it is in, by the group's name.
func (s *Server) raftGroups() map[string]server.RaftzGroup {
	out := map[string]server.RaftzGroup{}
	for _, account := range []string{AccountSystem, AccountMembership, AccountHistory} {
		if z := s.ns.Raftz(&server.RaftzOptions{AccountFilter: account}); z != nil {
			for _, groups := range *z {
				for name, g := range groups {
					out[name] = g
				}
			}
		}
	}
	return out
}

// nothingToCover is what Raft says when the latest snapshot already covers all that was applied.
const nothingToCover = "no snapshot available"

// snapshot makes one, in several attempts, and says whether there is one now.
func (s *Server) snapshot(g led) bool {
	ctx, cancel := context.WithTimeout(s.ctx, attempts*attemptEvery)
	defer cancel()
	for refused := 0; ; refused++ {
		err := g.snapshot()
		switch {
		case err == nil:
			s.log.Info("a replica is away or comes no nearer: made a snapshot for it", "group", g.name, "refused", refused)
			return true
		case strings.Contains(err.Error(), nothingToCover):
			return true
		}
		select {
		case <-ctx.Done():
			s.log.Debug("no snapshot yet for a replica that comes no nearer", "group", g.name, "refused", refused, "error", err)
			return false
		case <-time.After(attemptEvery):
		}
	}
}
