// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
)

// flood appends so many messages of a size, many at a time, and counts the answers by their codes, those that were kept under "".
func (u testUser) flood(t *testing.T, nc *nats.Conn, room string, messages, size int) map[string]int {
	t.Helper()
	const most = 32
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = sub.Unsubscribe() }()
	codes := map[string]int{}
	for sent, answered := 0, 0; answered < messages; {
		if sent < messages && sent-answered < most {
			body := fmt.Sprintf("%d %s", sent, strings.Repeat("x", size))
			if err := nc.PublishRequest(v1.AppendSubject(u.key, room), inbox, []byte(body[:size])); err != nil {
				t.Fatal(err)
			}
			sent++
			continue
		}
		m, err := sub.NextMsg(limit)
		var a v1.AppendAnswer
		if err == nil && m.Header.Get("Status") == "" {
			err = json.Unmarshal(m.Data, &a)
		} else if err == nil {
			a.Error = &v1.Error{Code: v1.CodeUnavailable}
		}
		if err != nil {
			t.Fatalf("after %d answers: %v", answered, err)
		}
		answered++
		if a.Error == nil {
			a.Error = &v1.Error{}
		}
		codes[a.Error.Code]++
	}
	return codes
}

// history reads the bodies of a room's newest messages.
func (u testUser) history(t *testing.T, nc *nats.Conn, room string, last int) (bodies []string) {
	t.Helper()
	inbox := nc.NewInbox()
	sub, err := nc.SubscribeSync(inbox)
	if err == nil {
		err = nc.PublishRequest(v1.HistorySubject(u.key, room), inbox, fmt.Appendf(nil, `{"last":%d}`, last))
	}
	if err != nil {
		t.Fatal(err)
	}
	for {
		m, err := sub.NextMsg(limit)
		if err != nil {
			t.Fatal(err)
		}
		last := m.Header.Get(v1.HeaderEnd)
		if last == "" {
			bodies = append(bodies, string(m.Data))
			continue
		}
		var end v1.HistoryAnswer
		if err := json.Unmarshal([]byte(last), &end); err != nil || end.Error != nil {
			t.Fatalf("history of %s: %q, %v", room, last, err)
		}
		return bodies
	}
}

const large = 60 << 10 // bytes of a message

// mustSmallBus is a bus whose store has little more than what it reserves for membership.
func mustSmallBus(t *testing.T, change func(*plan)) *bus {
	t.Helper()
	return mustBus(t, func(_ int, p *plan) {
		p.server.Limits.StoreBytes = 56 << 20
		if change != nil {
			change(p)
		}
	})
}

// TestFullBusStillRevokes fills a class that rolls and one that refuses, which together take all of the store that classes may have.
func TestFullBusStillRevokes(t *testing.T) {
	b := mustSmallBus(t, nil)
	space, err := spaceOf(b.nodes[0].formation.Server())
	if err != nil {
		t.Fatal(err)
	}
	left := space.limit - max(space.limit/8, 16<<20) - space.other - (8 << 20)
	for name, full := range map[string]v1.FullPolicy{"rolls": v1.FullRolls, "refuses": v1.FullRefuses} {
		c := b.mustClass(t, func(c *v1.Class) { c.Name, c.Full, c.MaxBytes, c.PublisherRate, c.RoomRate = name, full, left/2, 0, 0 })
		classes, err := b.store.ListClasses(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var values []v1.Class
		for _, r := range classes {
			values = append(values, r.Value)
		}
		if err := membership.Fits(values, space.other, space.limit, c); err != nil {
			t.Fatal(err)
		}
		c.Name, c.MaxBytes = "another", 8<<20
		if membership.Fits(values, space.other, space.limit, c) == nil && len(values) == 3 {
			t.Errorf("another class fits: the store is not taken")
		}
	}
	ann := mustUser(t, b.store, "ann")
	nc := ann.mustConnect(t, b.nodes[1])
	most := int(left/2)/large + 20
	rooms := map[string]v1.Room{}
	for _, name := range []string{"rolls", "refuses", "kept"} {
		r := b.mustRoom(t, "of-"+name, name, ann)
		rooms[name] = r
		ann.append(t, nc, r.ID, "the first of "+name)
		codes := ann.flood(t, nc, r.ID, most, large)
		if refuses := name == "refuses"; codes[""] == 0 || (codes[v1.CodeFull] > 0) != refuses || codes[v1.CodeFull]+codes[""] != most {
			t.Errorf("class %s when it was filled: %v", name, codes)
		}
		t.Logf("%s: %v", name, codes)
	}

	bob := mustUser(t, b.store, "bob")
	b.mustPut(t, rooms["refuses"], bob, v1.RoleMember)
	loops := bob.mustReconnect(t, b.nodes...)
	for _, n := range b.nodes {
		bobConn := bob.mustConnect(t, n)
		natstest.Within(t, limit, "the class to be full for bob as well", func() bool {
			return bob.ask(t, n, v1.AppendSubject(bob.key, rooms["refuses"].ID), strings.Repeat("x", large)) == v1.CodeFull
		})
		defer func() { natstest.Within(t, limit, "bob to be out", bobConn.IsClosed) }()
	}
	if err := b.store.RemoveMember(t.Context(), rooms["refuses"].Name, bob.key, 0); err != nil {
		t.Fatal(err)
	}
	b.expectForbidden(t, bob, rooms["refuses"], v1.AppendSubject(bob.key, rooms["refuses"].ID))
	if err := b.store.RemoveUser(t.Context(), bob.key, 0); err != nil {
		t.Fatal(err)
	}
	for _, l := range loops {
		natstest.Within(t, limit, "bob to be refused by "+l.node.name, func() bool { return l.out.Load() > 0 })
		l.expectOut(t)
	}
	// What goes makes room.
	other := b.mustRoom(t, "other", "refuses", ann)
	if _, err := b.store.MarkDeleting(t.Context(), rooms["refuses"].Name, 0); err != nil {
		t.Fatal(err)
	}
	natstest.Within(t, limit, "room for a large message", func() bool { return ann.flood(t, nc, other.ID, 1, large)[""] == 1 })
	mustBecome(t, "/readyz", 200, b.nodes...)
}

// TestBoundsOfRooms: a room takes its share of a rolling class and no more, and appends come no faster than the class says.
func TestBoundsOfRooms(t *testing.T) {
	b := mustBus(t, nil)
	ann, bob := mustUser(t, b.store, "ann"), mustUser(t, b.store, "bob")
	t.Run("share", func(t *testing.T) {
		c := b.mustClass(t, func(c *v1.Class) {
			c.Name, c.MaxBytes, c.MaxMessagesPerRoom, c.PublisherRate, c.RoomRate = "shared", 8<<20, 100, 0, 0
		})
		quiet, loud := b.mustRoom(t, "quiet", "shared", ann), b.mustRoom(t, "loud", "shared", bob)
		annConn, bobConn := ann.mustConnect(t, b.nodes[0]), bob.mustConnect(t, b.nodes[1])
		ann.append(t, annConn, quiet.ID, "first")
		own := int(float64(c.MaxBytes)*(1-c.Share()))/(large+1024) - 1
		if codes := ann.flood(t, annConn, quiet.ID, own, large); codes[""] != own {
			t.Fatalf("%v, want %d kept", codes, own)
		}
		bob.append(t, bobConn, loud.ID, "first")
		if codes := bob.flood(t, bobConn, loud.ID, 300, large); codes[""] != 300 {
			t.Errorf("%v, want 300 kept", codes)
		}
		if got := ann.history(t, annConn, quiet.ID, 1000); len(got) != own+1 || got[0] != "first" {
			t.Errorf("of %d messages of the quiet room %d are left after the other's flood", own+1, len(got))
		}
		js := mustJetStream(t, b.nodes[0].mustConnect(t, embeddednats.AccountHistory))
		kept := v1.HistoryKept("shared", loud.ID)
		stream, err := js.Stream(t.Context(), v1.HistoryStream("shared"))
		if err != nil {
			t.Fatal(err)
		}
		info, err := stream.Info(t.Context(), jetstream.WithSubjectFilter(kept))
		if err != nil || info.State.Subjects[kept] != uint64(c.MaxMessagesPerRoom) {
			t.Errorf("%d messages of the loud room are left, %v, want %d", info.State.Subjects[kept], err, c.MaxMessagesPerRoom)
		}
	})
	t.Run("rates", func(t *testing.T) {
		c := b.mustClass(t, func(c *v1.Class) { c.Name, c.MaxBytes, c.PublisherRate, c.RoomRate = "slow", 8<<20, 20, 30 })
		slow := b.mustRoom(t, "slow", "slow", ann, bob)
		for _, n := range b.nodes {
			annConn, bobConn := ann.mustConnect(t, n), bob.mustConnect(t, n)
			natstest.Within(t, limit, "the class to be served", func() bool { return ann.flood(t, annConn, slow.ID, 1, 10)[""] == 1 })
			began := time.Now()
			one, two := ann.flood(t, annConn, slow.ID, 500, 10), bob.flood(t, bobConn, slow.ID, 500, 10)
			// On each node, any of which may answer: what there was at the beginning, and what has come in since.
			took := time.Since(began).Seconds()
			whole := float64(len(b.nodes)) * (1 + took)
			for who, codes := range map[string]map[string]int{"ann": one, "bob": two} {
				if most := c.PublisherRate * whole; float64(codes[""]) > most+3 || codes[v1.CodeRate] == 0 {
					t.Errorf("%s at %s: %v in %.1f s, want %.0f kept at most", who, n.name, codes, took, most)
				}
			}
			if most := c.RoomRate * whole; float64(one[""]+two[""]) > most+3 {
				t.Errorf("both at %s: %v and %v in %.1f s, want %.0f kept at most", n.name, one, two, took, most)
			}
		}
	})
}
