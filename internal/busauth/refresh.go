// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"math"
	"slices"

	"github.com/nats-io/nats-server/v2/server"
)

// listAll is from how many connections on they are looked up in one listing of all. The server copies its table of connections for each
// listing, also for that of a single one.
const listAll = 32

// suspect is a connection that lost a subject to which it may be subscribed.
type suspect struct {
	id      uint64
	allowed *allowed
}

// Refresh brings the live connections of users (64 lower-case hexadecimal digits each) to what Config.IsListed and Config.Grants
// say now. Call it after they say what is new, for all users of a change at once, without a lock that they need.
//
// A user that is not listed any more loses its connections. Others keep theirs: what they may publish and subscribe to is replaced in
// place. Subscriptions that exist can't be taken away, so that then those connections are dropped which hold one that is not
// allowed any more; their client may come back at once. When Refresh returns, all of that has been done on this node. Its cost is that of
// the users' own connections, except that one which lost a subject is looked up among all.
func (a *Authenticator) Refresh(users ...string) {
	b := a.bound.Load()
	if b == nil {
		return
	}
	var suspects []suspect
	for _, key := range users {
		gone, more := a.refresh(b, key)
		a.kick(b, gone)
		suspects = append(suspects, more...)
	}
	a.kick(b, b.holders(suspects))
}

func (a *Authenticator) refresh(b *bound, key string) (gone []uint64, suspects []suspect) {
	s := b.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[key]
	if u == nil {
		return nil, nil
	}
	r := a.ask(a.isListed, key)
	if r == nil {
		return s.expel(key), nil
	}
	if u.rights.equal(r) {
		r = u.rights
	}
	u.rights = r
	now, permissions := newAllowed(r.subscribe), r.permissions()
	for id, x := range u.sessions {
		c := x.conn()
		if c == nil {
			u.forget(id)
			continue
		}
		if x.rights == r {
			continue
		}
		// Without an account: the server would take the connection out of it and put it back, and would do so for one that is closing, too.
		c.RegisterUser(&server.User{Username: key, Permissions: permissions})
		u.sessions[id] = session{conn: x.conn, rights: r, ended: x.ended}
		if !x.rights.within(now) {
			suspects = append(suspects, suspect{id, now})
			a.counts.add(narrowed)
		}
	}
	if len(u.sessions) == 0 {
		delete(s.users, key)
	}
	return nil, suspects
}

// within says whether all that was allowed to be subscribed to still is.
func (r *rights) within(now *allowed) bool {
	return !slices.ContainsFunc(r.subscribe, func(s string) bool { return !now.covers(s) })
}

// holders are those of the suspects that are subscribed to what they may not. The server checks a subscription and enters it into its list
// within one hold of the lock that RegisterUser takes: one that was accepted before is in the list, a later one is refused.
func (b *bound) holders(suspects []suspect) (found []uint64) {
	if len(suspects) == 0 {
		return nil
	}
	by := make(map[uint64]*allowed, len(suspects))
	for _, s := range suspects {
		by[s.id] = s.allowed
	}
	for _, o := range b.listings(suspects) {
		z, err := b.server.Connz(&o)
		if err != nil {
			continue // only of options that make no sense
		}
		for _, c := range z.Conns {
			if now := by[c.Cid]; now != nil && slices.ContainsFunc(c.SubsDetail, func(d server.SubDetail) bool { return !now.covers(d.Subject) }) {
				found = append(found, c.Cid)
			}
		}
	}
	return found
}

func (b *bound) listings(suspects []suspect) (o []server.ConnzOptions) {
	if len(suspects) >= listAll {
		return []server.ConnzOptions{{Account: AccountClients, SubscriptionsDetail: true, Limit: math.MaxInt32}}
	}
	for _, s := range suspects {
		o = append(o, server.ConnzOptions{CID: s.id, SubscriptionsDetail: true})
	}
	return o
}

// DropUsers disconnects every user, for a node that can't know any more who is removed. Operators and the node's own connections
// stay. Users may come back as far as Config.IsAuthorized lets them; once it does not, none survives a call.
func (a *Authenticator) DropUsers() {
	b := a.bound.Load()
	if b == nil {
		return
	}
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		var gone []uint64
		for key := range s.users {
			gone = append(gone, s.expel(key)...)
		}
		s.mu.Unlock()
		a.kick(b, gone)
	}
}

// expel forgets a user and takes all rights from its connections, which are to be ended: the server would go on with what it
// has read from them already.
func (s *shard) expel(key string) (gone []uint64) {
	nothing := new(rights).permissions()
	for id, x := range s.users[key].sessions {
		if c := x.conn(); c != nil {
			c.RegisterUser(&server.User{Username: key, Permissions: nothing})
			gone = append(gone, id)
		}
	}
	delete(s.users, key)
	return gone
}

// kick ends connections. One that has ended already is not there any more, and numbers are not used again.
func (a *Authenticator) kick(b *bound, list []uint64) {
	for _, id := range list {
		if b.server.DisconnectClientByID(id) == nil {
			a.counts.add(kicked)
		}
	}
}
