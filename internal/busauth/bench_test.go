// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/nats-io/nats-server/v2/server"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// crowd are so many other users, each in a room and connected. The connections are within the process, since ten thousand need more
// descriptors than a process may have.
func (b *bus) crowd(t testing.TB, n int) {
	t.Helper()
	for range n {
		k := b.mustUser(t)
		b.let(k.hex, roomB, v1.RoleMember)
		conn, err := b.srv.InProcessConn()
		if err != nil {
			t.Fatal(err)
		}
		drained := make(chan struct{})
		t.Cleanup(func() { conn.Close(); <-drained })
		c := &rawClient{t: t, conn: conn, in: bufio.NewReader(conn)}
		line, err := c.in.ReadString('\n')
		if err != nil {
			t.Fatal(err)
		}
		_, nonce, _ := strings.Cut(line, `"nonce":"`)
		nonce, _, _ = strings.Cut(nonce, `"`)
		if !c.connect(map[string]any{"nkey": k.public, "sig": k.raw(t, nonce)}) {
			t.Fatal("refused")
		}
		// The server pings, and a pipe holds nothing.
		go func() { defer close(drained); io.Copy(io.Discard, c.in) }()
	}
	natstest.Within(t, patience, "the crowd is there", func() bool { return b.users(t) >= n })
}

func (b *bus) recordOf(t testing.TB, c *conn) server.ClientAuthentication {
	t.Helper()
	id, err := c.GetClientID()
	if err != nil {
		t.Fatal(err)
	}
	return b.srv.GetClient(id)
}

// BenchmarkUsers is what a check and a change of one user cost among others: a check of its connection, whose signature is nearly all of
// it; a room that it is let into and that is taken from it again; and a change that changes nothing.
func BenchmarkUsers(b *testing.B) {
	for _, others := range []int{100, 10_000} {
		s := mustBus(b)
		s.crowd(b, others)
		for _, rooms := range []int{1, 50} {
			me := s.mustUser(b)
			for i := range rooms {
				s.let(me.hex, fmt.Sprintf("R%025d", i), v1.RoleMember)
			}
			record := s.recordOf(b, s.mustConn(b, me))
			name := func(what string) string { return fmt.Sprintf("%s/others=%d/rooms=%d", what, others, rooms) }
			b.Run(name("check"), func(b *testing.B) {
				for b.Loop() {
					if why := s.auth.check(record); why != admitted {
						b.Fatal(why)
					}
				}
			})
			b.Run(name("same"), func(b *testing.B) {
				for b.Loop() {
					s.auth.Refresh(me.hex)
				}
			})
			b.Run(name("granted and taken"), func(b *testing.B) {
				for b.Loop() {
					s.refresh(me, roomA, v1.RoleMember)
					s.refresh(me, roomA, "")
				}
			})
		}
	}
}

// BenchmarkRoomDeleted is what it costs when all of many users lose a room at once.
func BenchmarkRoomDeleted(b *testing.B) {
	s := mustBus(b)
	const users = 1000
	s.crowd(b, users)
	var all []string
	for k := range s.set {
		all = append(all, k)
	}
	for b.Loop() {
		for _, role := range []v1.Role{v1.RoleMember, ""} {
			for _, k := range all {
				s.let(k, roomA, role)
			}
			s.auth.Refresh(all...)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/users, "µs/user")
}
