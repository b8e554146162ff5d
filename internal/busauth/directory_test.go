// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"encoding/hex"
	"maps"
	"math"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// Ids of rooms.
const (
	roomA = "AAAAAAAAAAAAAAAAAAAAAAAAAA"
	roomB = "BBBBBBBBBBBBBBBBBBBBBBBBBB"
)

// everything is what users may do in tests that are about other things.
func everything(string) (publish, subscribe []string) { return []string{">"}, []string{">"} }

// allowlist is what the directory of users is to an Authenticator.
type allowlist struct {
	mu    sync.RWMutex
	set   map[string]bool
	roles map[string]map[string]v1.Role
}

func newAllowlist(keys ...string) *allowlist {
	l := &allowlist{set: map[string]bool{}, roles: map[string]map[string]v1.Role{}}
	for _, k := range keys {
		l.set[k] = true
	}
	return l
}

func (l *allowlist) has(key string) bool { l.mu.RLock(); defer l.mu.RUnlock(); return l.set[key] }
func (l *allowlist) add(key string)      { l.mu.Lock(); defer l.mu.Unlock(); l.set[key] = true }
func (l *allowlist) remove(key string)   { l.mu.Lock(); defer l.mu.Unlock(); delete(l.set, key) }

// let makes the user what it is to be in the room, nothing with the empty role.
func (l *allowlist) let(key, room string, role v1.Role) {
	l.mu.Lock()
	defer l.mu.Unlock()
	m := maps.Clone(l.roles[key])
	if m == nil {
		m = map[string]v1.Role{}
	}
	if m[room] = role; role == "" {
		delete(m, room)
	}
	l.roles[key] = m
}

func (l *allowlist) grants(key string) (publish, subscribe []string) {
	raw, err := hex.DecodeString(key)
	if err != nil {
		return nil, nil
	}
	public, err := nkeys.Encode(nkeys.PrefixByteUser, raw)
	if err != nil {
		return nil, nil
	}
	l.mu.RLock()
	defer l.mu.RUnlock()
	return v1.Grants(string(public), l.roles[key])
}

// bus is a server whose users and rooms change.
type bus struct {
	*allowlist
	keys *Keys
	auth *Authenticator
	srv  *server.Server
}

func mustBus(t testing.TB) *bus {
	t.Helper()
	b := &bus{allowlist: newAllowlist(), keys: mustKeys(t)}
	b.auth = mustAuth(t, Config{Keys: b.keys, IsAuthorized: b.has, Grants: b.grants})
	b.srv = mustServer(t, b.auth, func(o *server.Options) { o.JetStream = false })
	return b
}

// mustUser makes a user that is on the list.
func (b *bus) mustUser(t testing.TB) key {
	t.Helper()
	k := mustKey(t, nkeys.CreateUser)
	b.add(k.hex)
	return k
}

// refresh changes the user's role in a room and says so.
func (b *bus) refresh(k key, room string, role v1.Role) {
	b.let(k.hex, room, role)
	b.auth.Refresh(k.hex)
}

// users counts the connections in the clients' account.
func (b *bus) users(t testing.TB) int {
	t.Helper()
	z, err := b.srv.Connz(&server.ConnzOptions{Account: AccountClients, Limit: math.MaxInt32})
	if err != nil {
		t.Fatal(err)
	}
	return z.NumConns
}

// conn is a client that tells what happens to it.
type conn struct {
	*nats.Conn
	gone atomic.Int64 // disconnections
	errs chan error
}

func (b *bus) mustConn(t testing.TB, k key, opts ...nats.Option) *conn {
	t.Helper()
	c := &conn{errs: make(chan error, 100)}
	c.Conn = mustConnect(t, b.srv, append([]nats.Option{
		k.option(), nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(0, 0), nats.MaxReconnects(-1), nats.IgnoreAuthErrorAbort(),
		nats.CustomInboxPrefix(v1.InboxPrefix(k.public)),
		nats.DisconnectErrHandler(func(*nats.Conn, error) { c.gone.Add(1) }),
		nats.ErrorHandler(func(_ *nats.Conn, _ *nats.Subscription, err error) {
			select {
			case c.errs <- err:
			default:
			}
		}),
	}, opts...)...)
	return c
}

func (c *conn) mustSubscribe(t testing.TB, subject, queue string) *nats.Subscription {
	t.Helper()
	sub, err := c.QueueSubscribeSync(subject, queue)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.FlushTimeout(patience); err != nil {
		t.Fatal(err)
	}
	return sub
}

// mustRaw is a user's connection for protocol lines.
func (b *bus) mustRaw(t testing.TB, k key) *rawClient {
	t.Helper()
	c := dialRaw(t, b.srv)
	if !c.connect(map[string]any{"nkey": k.public, "sig": k.raw(t, c.nonce), "headers": true, "no_responders": true, "protocol": 1}) {
		t.Fatal("refused")
	}
	return c
}

// spy hears all that is said in the clients' account, however much that is.
type spy struct {
	nc    *nats.Conn
	heard chan []string
}

// endOfStory is said by the spy itself.
const endOfStory = "end.of.story"

func (b *bus) mustSpy(t testing.TB) *spy {
	t.Helper()
	s := &spy{mustConnect(t, b.srv, nats.Nkey(b.keys.Login(AccountClients))), make(chan []string, 1)}
	var subjects []string
	all, err := s.nc.Subscribe(">", func(m *nats.Msg) {
		if m.Subject != endOfStory {
			subjects = append(subjects, m.Subject)
			return
		}
		s.heard <- subjects
		subjects = nil
	})
	if err == nil {
		err = all.SetPendingLimits(-1, -1)
	}
	if err == nil {
		err = s.nc.Flush()
	}
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// expectHeard returns the subjects of what the spy has heard since it was asked last.
func (s *spy) expectHeard(t testing.TB) []string {
	t.Helper()
	if err := s.nc.Publish(endOfStory, nil); err != nil {
		t.Fatal(err)
	}
	select {
	case subjects := <-s.heard:
		return subjects
	case <-time.After(patience):
		t.Fatalf("the spy hears no end within %v", patience)
		return nil
	}
}

func withinGone(t testing.TB, c *conn, want int64) {
	t.Helper()
	natstest.Within(t, patience, "the connection is dropped", func() bool { return c.gone.Load() == want })
}
