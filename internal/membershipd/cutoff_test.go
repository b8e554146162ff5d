// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"bytes"
	"context"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/busauth"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
)

// guardAfter gives a node its own times after which it refuses and drops users while it is cut off, and a clock, time.Now if nil.
func (p *plan) guardAfter(t *testing.T, refuse, drop time.Duration, now func() time.Time) {
	t.Helper()
	keys, err := busauth.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	if p.members, err = newMembers(busauth.Config{Keys: keys, Logger: p.log}, membership.Config{RefuseAfter: refuse, Now: now}, drop); err != nil {
		t.Fatal(err)
	}
	p.server.Auth, p.server.Connect = p.members.auth, connectOptions(keys)
}

// breakable returns what closes the node's own connections to an account, also those that it makes later, until it is called for
// another.
func (p *plan) breakable() func(account string) {
	var mu sync.Mutex
	broken, own := "", map[string][]*nats.Conn{}
	connect := p.server.Connect
	p.server.Connect = func(account string) []nats.Option {
		return append(connect(account), nats.ConnectHandler(func(nc *nats.Conn) {
			mu.Lock()
			defer mu.Unlock()
			if own[account] = append(own[account], nc); account == broken {
				nc.Close()
			}
		}))
	}
	return func(account string) {
		mu.Lock()
		defer mu.Unlock()
		for broken = account; len(own[account]) > 0; own[account] = own[account][1:] {
			own[account][0].Close()
		}
	}
}

// TestServicesBeginAnew: the connection of a node's services is closed for good. The log says why they begin anew.
func TestServicesBeginAnew(t *testing.T) {
	var broken func(account string)
	var log bytes.Buffer
	n := mustRun(t, planFor(t, "n0", t.TempDir(), func(p *plan) {
		p.log = slog.New(slog.NewTextHandler(&log, nil))
		p.guardAfter(t, time.Minute, time.Minute, nil)
		broken = p.breakable()
	}))
	mustBecome(t, "/readyz", 200, n)
	ann := mustUser(t, mustStore(t, n), "ann")
	conn := ann.mustConnect(t, n)
	served := func() bool { _, err := conn.Request(v1.RoomsSubject(ann.key), nil, limit/30); return err == nil }
	natstest.Within(t, limit, "a list of rooms", served)
	broken(embeddednats.AccountClients)
	broken("")
	natstest.Within(t, limit, "a list of rooms", served)
	n.stop(t)
	if s := log.String(); !strings.Contains(s, "the services of rooms have ended") || strings.Contains(s, "error=<nil>") {
		t.Errorf("the log does not say why services have begun anew:\n%s", s)
	}
}

// TestAChangeIsNotEverywhereWithoutANode: who is told that a change is made must not be told so while a node that serves users has not heard of it.
func TestAChangeIsNotEverywhereWithoutANode(t *testing.T) {
	var broken func(account string)
	nodes := mustBootstrap(t, []string{"n0", "n1", "n2"}, func(i int, p *plan) {
		if i == 2 {
			broken = p.breakable()
		}
	})
	mustBecome(t, "/readyz", 200, nodes...)
	beats, err := nodes[0].mustConnect(t, embeddednats.AccountMembership).SubscribeSync("$KV." + v1.BucketUsers + "." + v1.HeartbeatKey)
	if err != nil {
		t.Fatal(err)
	}
	natstest.Within(t, limit, "a heartbeat that says that it is of n2", func() bool {
		m, err := beats.NextMsg(limit)
		return err == nil && string(m.Data) == "n2"
	})
	everywhere := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), limit/90)
		defer cancel()
		return nodes[0].plan.members.directory.Everywhere(ctx)
	}
	natstest.Within(t, limit, "all nodes to know what n0 knows", func() bool { return everywhere() == nil })
	broken(embeddednats.AccountMembership)
	natstest.Within(t, limit, "n2 to be missed", func() bool {
		err := everywhere()
		return err != nil && strings.Contains(err.Error(), "n2")
	})
	broken("")
	natstest.Within(t, limit, "all nodes to know what n0 knows", func() bool { return everywhere() == nil })
}

// TestUsersAreDroppedByANodeThatCannotWatch: the connection of a node over which it watches membership is closed for good, as often as it
// is made. What the node knows grows old all the same.
func TestUsersAreDroppedByANodeThatCannotWatch(t *testing.T) {
	var broken func(account string)
	n := mustRun(t, planFor(t, "n0", t.TempDir(), func(p *plan) {
		p.guardAfter(t, 5*time.Second, 10*time.Second, nil)
		broken = p.breakable()
	}))
	mustBecome(t, "/readyz", 200, n)
	ann := mustUser(t, mustStore(t, n), "ann")
	conn := ann.mustConnect(t, n)
	broken(embeddednats.AccountMembership)
	natstest.Within(t, limit, "/readyz to say that membership is not watched", func() bool {
		code, a := n.get("/readyz")
		return code == 503 && strings.Contains(a.Reason, "not being watched")
	})
	natstest.Within(t, limit, "ann to be dropped", conn.IsClosed)
}

// stopped is a clock that goes on when it is told.
type stopped struct {
	begin time.Time
	gone  atomic.Int64
}

func (c *stopped) now() time.Time { return c.begin.Add(time.Duration(c.gone.Load())) }

// withinSeen waits until a node that is cut off has looked at what it knows, which is so old.
func (c *stopped) withinSeen(t *testing.T, n *testNode, age time.Duration) {
	t.Helper()
	c.gone.Store(int64(age))
	natstest.Within(t, limit, "/readyz to say for how long the node is cut off", func() bool {
		code, a := n.get("/readyz")
		return code == 503 && strings.Contains(a.Reason, "cut off: what happened in the last "+age.String())
	})
}

// TestRevokeWhileCutOff: a node that is cut off admits nobody as soon as what it knows is too old, and drops everybody when it is older, so that
// one who is removed elsewhere meanwhile is out there as well, and does not come back when the cut heals. The others serve on.
func TestRevokeWhileCutOff(t *testing.T) {
	const victim, refuse, drop = 2, membership.DefaultRefuseAfter, 3 * membership.DefaultRefuseAfter
	clock := &stopped{begin: time.Now()}
	c := mustCutCluster(t, func(i int, p *plan) {
		if i == victim {
			p.guardAfter(t, refuse, drop, clock.now)
			p.apiLimits.Heartbeat = time.Hour // no beat looks who may follow
		}
	})
	cut, others := c.nodes[victim], c.nodes[:victim]
	b := &bus{nodes: c.nodes, store: mustStore(t, c.nodes[0])}
	b.mustClass(t, func(class *v1.Class) { class.Name, class.MaxBytes = "kept", 8<<20 })
	ann, eve := mustUser(t, b.store, "ann"), mustUser(t, b.store, "eve")
	room := b.mustRoom(t, "talk", "kept", ann, eve)
	annConn, eveConn := ann.mustConnect(t, cut), eve.mustConnect(t, cut)
	eve.append(t, eveConn, room.ID, "before the cut")
	for _, nc := range []*nats.Conn{annConn, eveConn} {
		mustSubscribe(t, nc, v1.RoomSubjects(room.ID), func(*nats.Msg) {})
	}
	follows := ann.overHTTP(t).mustFollow(cut, room.Name)
	expectUndisturbed := b.mustWitness(t, room, others...)
	loop := eve.mustReconnect(t, cut)[0]

	heal := c.isolate(t, victim, cutRefused)
	t.Cleanup(heal)
	natstest.Within(t, limit, "a removal on the majority's side", func() bool { return b.store.RemoveUser(t.Context(), eve.key, 0) == nil })
	for _, n := range others {
		natstest.Within(t, limit, "eve to be refused by "+n.name, func() bool { _, err := eve.connect(n); return err != nil && isRefusal(err) })
	}
	clock.gone.Store(int64(refuse))
	ann.mustConnect(t, cut)
	clock.gone.Store(int64(refuse + 1))
	for _, u := range []testUser{ann, eve} {
		if nc, err := u.connect(cut); err == nil {
			nc.Close()
			t.Error("a node that is cut off has admitted a user")
		}
		for subject, body := range map[string]string{v1.HistorySubject(u.key, room.ID): "{}", v1.AppendSubject(u.key, room.ID): "x", v1.RoomsSubject(u.key): ""} {
			if code := u.ask(t, cut, subject, body); code != v1.CodeUnavailable {
				t.Errorf("a node that is cut off answers %q to %s", code, subject)
			}
		}
	}
	clock.withinSeen(t, cut, drop)
	clock.withinSeen(t, cut, drop-time.Second) // so all that it does at the look before is done
	for who, nc := range map[string]*nats.Conn{"ann": annConn, "eve": eveConn} {
		if err := nc.FlushTimeout(limit); err != nil {
			t.Errorf("%s was dropped too early: %v", who, err)
		}
	}
	if follows() {
		t.Error("ann was dropped too early, where she follows by HTTP")
	}
	clock.gone.Store(int64(drop + 1))
	for who, nc := range map[string]*nats.Conn{"ann": annConn, "eve": eveConn} {
		natstest.Within(t, limit, who+" to be dropped by the node that is cut off", nc.IsClosed)
	}
	natstest.Within(t, limit, "ann to follow no more", follows)

	heal()
	mustBecome(t, "/readyz", 200, cut)
	ann.append(t, ann.mustConnect(t, cut), room.ID, "after the cut")
	loop.expectOut(t)
	b.expectForbidden(t, eve, room, v1.HistorySubject(eve.key, room.ID))
	expectUndisturbed(t)
}
