// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"hash/maphash"
	"sync"
	"weak"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	shardCount = 256
	// sweepSize is how many connections of a user are looked at in passing.
	sweepSize = 4
	// manySize is how many are looked at when a user has as many as it may, for one that has ended: whoever tries again and again must not have
	// all of them looked at each time.
	manySize = 1024
)

// bound is a server, with the connections of users to it.
type bound struct {
	server   *server.Server
	accounts map[string]*server.Account
	seed     maphash.Seed
	shards   [shardCount]shard
}

// shard holds some of the users. Its lock is held from the question what a user may do until the server has been told, at a new
// connection as well as at a change. So either a change finds the connection, or the connection finds the directory changed; and what
// is older never replaces what is newer. The server calls Check without a lock of its own.
type shard struct {
	mu    sync.Mutex
	users map[string]*user
}

type user struct {
	rights   *rights // the latest
	sessions map[uint64]session
	open     int // how many sessions are not known to have ended
}

// session is a connection of a user.
type session struct {
	conn   func() connection // nil once nothing of the server uses it any more
	rights *rights           // what the server was told
	ended  bool              // the server takes nothing more from it, and may still work through what it has read
}

// connection is the part of the server's record of a connection that changes what may be done through it.
type connection interface{ RegisterUser(*server.User) }

func newBound(s *server.Server, accounts map[string]*server.Account) *bound {
	return &bound{server: s, accounts: accounts, seed: maphash.MakeSeed()}
}

func (b *bound) shard(key string) *shard { return &b.shards[maphash.String(b.seed, key)%shardCount] }

// find returns the server's record of a connection, nil when it is none of the server's any more. The record is not kept alive: it holds
// much, and nothing tells when a connection ends. But as long as the server works through what it has read from the connection, it is
// there, while the server's own table has forgotten it at the first sign of an end.
func (b *bound) find(c server.ClientAuthentication) func() connection {
	listed := b.server.GetClient(c.GetID())
	if listed == nil || server.ClientAuthentication(listed) != c {
		return nil
	}
	w := weak.Make(listed)
	return func() connection {
		if p := w.Value(); p != nil {
			return p
		}
		return nil
	}
}

// enter registers a connection of a user, with the rights that it has now, unless the user has most connections already (0: it may have any
// number). The server sets the rights before Check returns, and reads nothing from the connection before that.
func (b *bound) enter(c server.ClientAuthentication, key string, most int, ask func(string) *rights) verdict {
	conn := b.find(c)
	if conn == nil {
		return refusedEnded
	}
	s := b.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	r := ask(key)
	if r == nil {
		return refusedUnknown
	}
	u := s.users[key]
	if u == nil {
		if s.users == nil {
			s.users = map[string]*user{}
		}
		u = &user{rights: r, sessions: map[uint64]session{}}
		s.users[key] = u
	} else if !u.rights.equal(r) {
		u.rights = r
	}
	u.forget(c.GetID()) // it may log in a second time
	if most > 0 && u.open >= most && !b.findEnded(u) {
		return refusedMany
	}
	// The second time may be as another user whose key it has: the server drops its subscriptions then, and it is known under both from there
	// on, so that the removal of either ends it.
	u.sessions[c.GetID()] = session{conn: conn, rights: u.rights}
	u.open++
	c.RegisterUser(&server.User{Username: key, Account: b.accounts[AccountClients], Permissions: u.rights.permissions()})
	s.sweep(key)
	return admitted
}

// findEnded says whether one of the user's connections has ended since they were counted. It stays known: see find.
func (b *bound) findEnded(u *user) bool {
	n := manySize
	for id, x := range u.sessions {
		if x.ended {
			continue
		}
		if b.server.GetClient(id) == nil {
			x.ended = true
			u.sessions[id] = x
			u.open--
			return true
		}
		if n--; n == 0 {
			break
		}
	}
	return false
}

func (u *user) forget(id uint64) {
	if x, known := u.sessions[id]; known && !x.ended {
		u.open--
	}
	delete(u.sessions, id)
}

// sweep forgets what has ended, in passing: a few connections of the user that has just come, who may
// be one that comes and goes, and a few of another, who may never come again. Go ranges over a map from a random place. At each
// connection one is added and at least two are looked at, so that the dead never come to outnumber the living for long.
func (s *shard) sweep(key string) {
	s.prune(key)
	others := 2
	for other := range s.users {
		s.prune(other)
		if others--; others == 0 {
			return
		}
	}
}

func (s *shard) prune(key string) {
	u, n := s.users[key], sweepSize
	for id, x := range u.sessions {
		if x.conn() == nil {
			u.forget(id)
		}
		if n--; n == 0 {
			break
		}
	}
	if len(u.sessions) == 0 {
		delete(s.users, key)
	}
}
