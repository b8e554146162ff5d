// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// connections counts those of a user on a node.
func (u testUser) connections(t *testing.T, n *testNode) int {
	t.Helper()
	z, err := n.formation.Server().Unwrap().Connz(&natsserver.ConnzOptions{Username: true, User: u.key})
	if err != nil {
		t.Fatal(err)
	}
	return z.NumConns
}

// TestDisturbance: what one user does to itself or to a node's services, and a node to itself, takes nothing from the others.
func TestDisturbance(t *testing.T) {
	b := mustBus(t, func(_ int, p *plan) { p.server.Limits.MaxPending = 8 << 20 })
	ann, eve := mustUser(t, b.store, "ann"), mustUser(t, b.store, "eve")
	room := b.mustRoom(t, "talk", "kept", ann, eve)
	quiet := b.mustRoom(t, "quiet", "kept", ann, eve)
	for _, c := range []struct {
		name    string
		disturb func(b *bus, t *testing.T, room v1.Room, ann, eve testUser)
	}{
		{"a client that does not read", (*bus).slowConsumer},
		{"a flood of appends", (*bus).floodOfAppends},
	} {
		t.Run(c.name, func(t *testing.T) {
			expectUndisturbed := b.mustWitness(t, quiet, b.nodes...)
			defer b.dismiss(t)
			c.disturb(b, t, room, ann, eve)
			expectUndisturbed(t)
		})
	}
	t.Run("a restart within the process", func(t *testing.T) { b.restartUnderUsers(t, b.mustRoom(t, "steady", "kept", ann, eve), ann, eve) })
}

// slowConsumer listens in a room in which much is said, and stops reading. Ann listens there as well, and hears everything.
func (b *bus) slowConsumer(t *testing.T, room v1.Room, ann, eve testUser) {
	n := b.nodes[1]
	var heard, gone atomic.Int64
	annConn := ann.mustConnect(t, n, nats.DisconnectErrHandler(func(*nats.Conn, error) { gone.Add(1) }))
	mustSubscribe(t, annConn, v1.RoomSubjects(room.ID), func(*nats.Msg) { heard.Add(1) })
	slow := eve.mustDial(t, n)
	if !slow.login() {
		t.Fatal("eve is not let in")
	}
	if errs, open := slow.do("SUB " + v1.RoomSubjects(room.ID) + " 1\r\n"); len(errs) > 0 || !open {
		t.Fatal(errs)
	}
	if eve.connections(t, n) != 1 {
		t.Fatal("eve is not listed")
	}
	said := int64(0)
	body := make([]byte, large)
	sender := ann.mustConnect(t, n) // where they listen: routes have their own patience
	for end := time.Now().Add(limit); eve.connections(t, n) > 0; said++ {
		if time.Now().After(end) {
			t.Fatalf("a client that has read nothing of %d messages is still connected", said)
		}
		if err := sender.Publish(v1.RoomSubject(room.ID, ann.key, "x"), body); err != nil {
			t.Fatal(err)
		}
		// No faster than who reads.
		natstest.Within(t, limit, "ann to hear what was said", func() bool { return heard.Load() > said-8 })
	}
	natstest.Within(t, limit, "ann to hear all", func() bool { return heard.Load() == said })
	if gone.Load() > 0 {
		t.Error("ann, who reads, was disconnected")
	}
	t.Logf("cut off after %d messages", said)
}

// floodOfAppends has one user ask all nodes for far more than its class allows, while another appends one after the other.
func (b *bus) floodOfAppends(t *testing.T, _ v1.Room, ann, eve testUser) {
	b.mustClass(t, func(c *v1.Class) { c.Name, c.MaxBytes = "limited", 8<<20 })
	room := b.mustRoom(t, "flooded", "limited", ann, eve)
	var wg sync.WaitGroup
	defer wg.Wait()
	done := make(chan struct{})
	defer close(done)
	var sent, kept atomic.Int64
	for _, n := range b.nodes {
		nc := eve.mustConnect(t, n)
		eve.append(t, nc, room.ID, "eve at "+n.name)
		answers := make(chan *nats.Msg, 1024)
		inbox, err := nc.ChanSubscribe(nc.NewInbox(), answers)
		if err != nil {
			t.Fatal(err)
		}
		wg.Go(func() {
			for waiting := 0; ; waiting++ {
				if waiting >= 256 {
					select {
					case <-done:
						return
					case m := <-answers:
						if waiting -= 2; !strings.Contains(string(m.Data), "error") {
							kept.Add(1)
						}
						continue
					}
				}
				if nc.PublishRequest(v1.AppendSubject(eve.key, room.ID), inbox.Subject, []byte("flood")) != nil {
					return
				}
				sent.Add(1)
			}
		})
	}
	nc := ann.mustConnect(t, b.nodes[0])
	last := uint64(0)
	for i := range 50 {
		sequence := ann.append(t, nc, room.ID, fmt.Sprint("through the flood ", i))
		if sequence <= last {
			t.Errorf("sequence %d after %d", sequence, last)
		}
		last = sequence
	}
	t.Logf("among %d of the flood, of which %d were kept", sent.Load(), kept.Load())
	if sent.Load() < 3*kept.Load() {
		t.Error("that was no flood")
	}
}

// restartUnderUsers restarts NATS within a node, as self-repair does, under a user who appends and one who listens there.
func (b *bus) restartUnderUsers(t *testing.T, room v1.Room, ann, eve testUser) {
	n := b.nodes[2]
	back := func(gone *atomic.Int64) []nats.Option {
		return []nats.Option{nats.MaxReconnects(-1), nats.ReconnectWait(20 * time.Millisecond), nats.IgnoreAuthErrorAbort(), func(o *nats.Options) error { o.AllowReconnect = true; return nil },
			nats.ReconnectHandler(func(*nats.Conn) { gone.Add(1) })}
	}
	var annBack, eveBack, heard atomic.Int64
	annConn, eveConn := ann.mustConnect(t, n, back(&annBack)...), eve.mustConnect(t, n, back(&eveBack)...)
	mustSubscribe(t, eveConn, v1.RoomSubjects(room.ID), func(*nats.Msg) { heard.Add(1) })
	var kept []uint64
	for i := range 20 {
		kept = append(kept, ann.append(t, annConn, room.ID, fmt.Sprint("before the restart ", i)))
	}
	restarted := make(chan error, 1)
	go func() { restarted <- n.node.restart(t.Context(), "the test wants it", false) }()
	for i := range 20 { // those of them that meet no server are repeated with their ids
		kept = append(kept, ann.append(t, annConn, room.ID, fmt.Sprint("around the restart ", i)))
	}
	if err := <-restarted; err != nil {
		t.Fatal(err)
	}
	mustBecome(t, "/readyz", 200, b.nodes...)
	for i := range 20 {
		kept = append(kept, ann.append(t, annConn, room.ID, fmt.Sprint("after the restart ", i)))
	}
	natstest.Within(t, limit, "both to be back", func() bool { return annBack.Load() > 0 && eveBack.Load() > 0 })
	natstest.Within(t, limit, "eve to hear in the room again", func() bool {
		if err := annConn.Publish(v1.RoomSubject(room.ID, ann.key, "x"), nil); err != nil {
			t.Fatal(err)
		}
		return heard.Load() > 0
	})
	bodies := ann.history(t, annConn, room.ID, len(kept))
	for i, text := range bodies {
		if want := fmt.Sprintf("%s the restart %d", []string{"before", "around", "after"}[i/20], i%20); text != want {
			t.Errorf("message %d of what was kept is %q, want %q", i, text, want)
		}
	}
	if len(bodies) != len(kept) {
		t.Errorf("%d messages are kept of %d that were acknowledged", len(bodies), len(kept))
	}
}
