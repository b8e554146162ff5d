// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/membership"
)

// bus is three nodes, and who is on them.
type bus struct {
	nodes []*testNode
	store *membership.Store
}

// mustBus starts three nodes with the history class "kept"; change may be nil.
func mustBus(t *testing.T, change func(i int, p *plan)) *bus {
	t.Helper()
	b := &bus{nodes: mustBootstrap(t, []string{"n0", "n1", "n2"}, change)}
	mustBecome(t, "/readyz", 200, b.nodes...)
	b.store = mustStore(t, b.nodes[0])
	b.mustClass(t, func(c *v1.Class) { c.Name, c.MaxBytes, c.PublisherRate, c.RoomRate = "kept", 8<<20, 0, 0 })
	return b
}

func (b *bus) mustClass(t *testing.T, change func(*v1.Class)) v1.Class {
	t.Helper()
	c := membership.DefaultClass("")
	change(&c)
	if _, err := b.store.PutClass(t.Context(), c, 0); err != nil {
		t.Fatal(err)
	}
	return c
}

// mustRoom makes a room of a class, none if that is empty, with members.
func (b *bus) mustRoom(t *testing.T, name, class string, users ...testUser) v1.Room {
	t.Helper()
	r, err := b.store.CreateRoom(t.Context(), name, class)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range users {
		b.mustPut(t, r.Value, u, v1.RoleMember)
	}
	return r.Value
}

func (b *bus) mustPut(t *testing.T, room v1.Room, u testUser, role v1.Role) {
	t.Helper()
	if _, err := b.store.PutMember(t.Context(), room.Name, u.key, role, 0); err != nil {
		t.Fatal(err)
	}
}

// line is a user's connection that speaks the protocol by hand: a library would mend much of what an attacker sends.
type line struct {
	t           *testing.T
	user        testUser
	conn        net.Conn
	in          *bufio.Reader
	info, nonce string
	got         []string // subjects and payloads of what came
}

func (u testUser) mustDial(t *testing.T, n *testNode) *line {
	t.Helper()
	at, err := url.Parse(n.formation.Server().ClientURL())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", at.Host)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(2 * limit)); err != nil {
		t.Fatal(err)
	}
	l := &line{t: t, user: u, conn: conn, in: bufio.NewReader(conn)}
	if l.info, err = l.in.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	var info struct {
		Nonce string `json:"nonce"`
	}
	if err := json.Unmarshal([]byte(strings.TrimPrefix(l.info, "INFO ")), &info); err != nil {
		t.Fatalf("%q: %v", l.info, err)
	}
	l.nonce = info.Nonce
	return l
}

// login is false when the node refuses.
func (l *line) login() bool {
	l.t.Helper()
	sig, err := l.user.pair.Sign([]byte(l.nonce))
	if err != nil {
		l.t.Fatal(err)
	}
	errs, open := l.do(fmt.Sprintf(`CONNECT {"nkey":%q,"sig":%q,"headers":true,"no_responders":true,"protocol":1}`+"\r\n",
		l.user.key, base64.RawURLEncoding.EncodeToString(sig)))
	return open && len(errs) == 0
}

// do sends protocol lines, and returns the errors that the node answers to them, and false when it has ended the connection.
func (l *line) do(lines string) (errs []string, open bool) {
	l.t.Helper()
	if _, err := io.WriteString(l.conn, lines+"PING\r\n"); err != nil {
		return nil, false
	}
	for {
		text, err := l.in.ReadString('\n')
		if err != nil {
			return errs, false
		}
		switch fields := strings.Fields(text); {
		case strings.HasPrefix(text, "PONG"):
			return errs, true
		case strings.HasPrefix(text, "-ERR"):
			errs = append(errs, strings.TrimSpace(text))
		case strings.HasPrefix(text, "MSG "), strings.HasPrefix(text, "HMSG "):
			size, err := strconv.Atoi(fields[len(fields)-1])
			if err != nil {
				l.t.Fatalf("%q: %v", text, err)
			}
			body := make([]byte, size+len("\r\n"))
			if _, err := io.ReadFull(l.in, body); err != nil {
				return errs, false
			}
			l.got = append(l.got, fields[1]+" "+strings.TrimSpace(string(body)))
		}
	}
}

// ears are the node's own connection to all accounts, which hear everything; in the clients' account all counts, in others what has the
// mark of an attack.
type ears struct {
	mu    sync.Mutex
	heard []string
	conns map[string]*nats.Conn
	ends  chan struct{}
}

// loot marks what an attacker sends.
const loot = "attack"

func (b *bus) mustHear(t *testing.T, at int) *ears {
	t.Helper()
	e := &ears{conns: map[string]*nats.Conn{}, ends: make(chan struct{}, 16)}
	for _, account := range []string{embeddednats.AccountClients, embeddednats.AccountHistory, embeddednats.AccountMembership, embeddednats.AccountSystem} {
		nc := b.nodes[at].mustConnect(t, account)
		sub, err := nc.Subscribe(">", func(m *nats.Msg) {
			if m.Subject == "end.of.story" {
				e.ends <- struct{}{}
				return
			}
			if account == embeddednats.AccountClients || strings.Contains(string(m.Data)+fmt.Sprint(m.Header), loot) {
				e.mu.Lock()
				e.heard = append(e.heard, account+" "+m.Subject)
				e.mu.Unlock()
			}
		})
		if err == nil {
			err = sub.SetPendingLimits(-1, -1)
		}
		if err != nil || nc.FlushTimeout(limit) != nil {
			t.Fatal(err, nc.LastError())
		}
	}
	// It says the end where attacks come from, so that it comes after them.
	for _, account := range []string{embeddednats.AccountClients, embeddednats.AccountHistory, embeddednats.AccountMembership, embeddednats.AccountSystem} {
		e.conns[account] = b.nodes[0].mustConnect(t, account)
	}
	return e
}

// take returns what was heard since the last time.
func (e *ears) take(t *testing.T) []string {
	t.Helper()
	for account, nc := range e.conns {
		ended := false
		for end := time.Now().Add(limit); !ended; { // the first may come before the other node has told what it listens to
			if err := nc.Publish("end.of.story", nil); err != nil || time.Now().After(end) {
				t.Fatalf("the end is not heard in %s: %v", account, err)
			}
			select {
			case <-e.ends:
				ended = true
			case <-time.After(time.Second):
			}
		}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	heard := e.heard
	e.heard = nil
	return heard
}
