// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// stormy is the number of connections of a storm.
const stormy = 8

// storm is a user that connects, subscribes and publishes as fast as it can, on many connections, and comes back whenever one ends.
type storm struct {
	stop chan struct{}
	done sync.WaitGroup
}

func mustStorm(t testing.TB, srv *server.Server, k key) {
	t.Helper()
	s := &storm{stop: make(chan struct{})}
	for range stormy {
		s.done.Go(func() {
			for {
				select {
				case <-s.stop:
					return
				default:
					s.visit(srv.Addr().String(), k)
				}
			}
		})
	}
	t.Cleanup(func() { close(s.stop); s.done.Wait() })
}

// visit lasts until the server ends it, which it does at the end of a few batches at most: the server never has more connections than there are visits.
func (s *storm) visit(addr string, k key) {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return
	}
	in := bufio.NewReader(c)
	line, err := in.ReadString('\n')
	if err != nil {
		return
	}
	var info struct {
		Nonce string `json:"nonce"`
	}
	if json.Unmarshal([]byte(strings.TrimPrefix(line, "INFO ")), &info) != nil {
		return
	}
	sig, err := k.signature(info.Nonce)
	if err != nil {
		return
	}
	drained := make(chan struct{})
	go func() { defer close(drained); io.Copy(io.Discard, in) }()
	defer func() {
		if c.(*net.TCPConn).CloseWrite() != nil {
			c.Close()
		}
		<-drained
	}()
	b := fmt.Appendf(nil, "CONNECT {\"nkey\":%q,\"sig\":%q,\"verbose\":false}\r\n", k.public, sig)
	batch := "SUB room." + roomA + ".> 1\r\n" + strings.Repeat("PUB "+v1.RoomSubject(roomA, k.public, "x")+" 0\r\n\r\n", 50) + "UNSUB 1\r\n" +
		strings.Repeat("SUB log."+roomA+" q 2\r\nUNSUB 2\r\n", 20)
	for range 20 {
		if _, err := c.Write(append(b, batch...)); err != nil {
			return
		}
		b = b[:0]
		select {
		case <-s.stop:
			return
		default:
		}
	}
}

// holding counts the connections of users that are subscribed to room A.
func (b *bus) holding(t testing.TB) (n int) {
	t.Helper()
	z, err := b.srv.Connz(&server.ConnzOptions{Account: AccountClients, Subscriptions: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range z.Conns {
		for _, s := range c.Subs {
			if strings.Contains(s, roomA) {
				n++
				break
			}
		}
	}
	return n
}

// TestRevokeInAStorm: once Refresh has returned, nothing is left and nothing gets in, however many connections and subscriptions were on
// their way.
func TestRevokeInAStorm(t *testing.T) {
	for _, tt := range []struct {
		name           string
		revoke         func(b *bus, k key)
		left           func(b *bus) int
		next           verdict // what happens to those that come after it
		rounds, visits int
	}{
		{"user", func(b *bus, k key) { b.remove(k.hex) }, func(b *bus) int { return b.users(t) - 1 }, refusedUnknown, 10, 40},
		// Those who were dropped are back, and the storm goes on within what is left to it.
		{"room", func(b *bus, k key) { b.let(k.hex, roomA, "") }, func(b *bus) int { return b.holding(t) }, admitted, 10, 3},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := mustBus(t)
			k := b.mustUser(t)
			spy := b.mustSpy(t)
			mustStorm(t, b.srv, k)
			for range tt.rounds {
				b.add(k.hex)
				b.refresh(k, roomA, v1.RoleMember)
				natstest.Within(t, patience, "the storm is on", func() bool { return b.holding(t) > 0 && b.users(t) > 6 })
				tt.revoke(b, k)
				b.auth.Refresh(k.hex)
				spy.expectHeard(t)
				// A connection that was ending by itself may be listed for a moment.
				natstest.Within(t, patience, "nothing is left", func() bool { return tt.left(b) == 0 })
				for before := b.visits(tt.next); b.visits(tt.next) < before+uint64(tt.visits); {
					if n := tt.left(b); n != 0 {
						t.Fatalf("%d after it was nothing", n)
					}
				}
				// One message for each connection may have passed the check before.
				if late := spy.expectHeard(t); len(late) > 2*stormy {
					t.Fatalf("heard %d messages from who may not publish any more: %s", len(late), late[0])
				}
			}
		})
	}
}

func (b *bus) visits(v verdict) uint64 { return b.auth.Counts()[v.String()] }

// TestRevokeDuringTheQuestion: a user is removed after the answer that lets in a connection of its, or leaves it one, and before that has come to
// it. Refresh does not return before it has found the connection, and is not overtaken by another that knows less.
func TestRevokeDuringTheQuestion(t *testing.T) {
	for _, at := range []string{"connection", "refresh"} {
		t.Run(at, func(t *testing.T) {
			b := &bus{allowlist: newAllowlist(), keys: mustKeys(t)}
			var removed atomic.Bool
			refreshed := make(chan struct{})
			asked := func(where, hex string) bool {
				listed := b.has(hex)
				if where == at && removed.CompareAndSwap(false, true) {
					b.remove(hex)
					go func() { b.auth.Refresh(hex); close(refreshed) }()
					b.expectWaits(t, hex, refreshed)
				}
				return listed
			}
			b.auth = mustAuth(t, Config{Keys: b.keys, Grants: b.grants, IsAuthorized: func(hex string) bool { return asked("connection", hex) },
				IsListed: func(hex string) bool { return asked("refresh", hex) }})
			b.srv = mustServer(t, b.auth, func(o *server.Options) { o.JetStream = false })
			k := b.mustUser(t)
			c := dialRaw(t, b.srv)
			c.connect(map[string]any{"nkey": k.public, "sig": k.raw(t, c.nonce)})
			if at == "refresh" {
				b.auth.Refresh(k.hex)
			}
			<-refreshed
			if n := b.sessions(); n != 0 {
				t.Errorf("%d connections are known of who was removed", n)
			}
			natstest.Within(t, patience, "no connection is left", func() bool { return b.users(t) == 0 })
		})
	}
}

// expectWaits returns when a refresh has to wait for who asks about the user, or else, which is wrong, when it has ended.
func (b *bus) expectWaits(t *testing.T, hex string, refreshed <-chan struct{}) {
	t.Helper()
	for s := b.auth.bound.Load().shard(hex); s.mu.TryLock(); s.mu.Unlock() {
		select {
		case <-refreshed:
			s.mu.Unlock()
			t.Error("a refresh has ended while it was being asked what the user may do")
			return
		default:
			runtime.Gosched()
		}
	}
}
