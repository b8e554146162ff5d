// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"runtime/debug"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// mustBounded starts a server to which a user may have so many connections.
func mustBounded(t *testing.T, most int) *bus {
	t.Helper()
	b := &bus{allowlist: newAllowlist(), keys: mustKeys(t)}
	b.auth = mustAuth(t, Config{Keys: b.keys, IsAuthorized: b.has, Grants: b.grants, UserConnections: most})
	b.srv = mustServer(t, b.auth, nil)
	return b
}

// TestNobodyTakesAllConnections: who has as many as it may is sent away, on one more and not on those that it has, and enters when one of them
// has ended; others enter meanwhile.
func TestNobodyTakesAllConnections(t *testing.T) {
	b := mustBounded(t, 3)
	many, other := b.mustUser(t), b.mustUser(t)
	conns := []*conn{b.mustConn(t, many), b.mustConn(t, many), b.mustConn(t, many)}
	expectSentAway(t, b, many)
	expectCount(t, b.auth, refusedMany, 1)
	b.mustConn(t, other)
	waits := mustConnect(t, b.srv, many.option(), nats.RetryOnFailedConnect(true), nats.MaxReconnects(-1), nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(0, 0))
	natstest.Within(t, patience, "one that waits is sent away", func() bool { return b.auth.Counts()[refusedMany.String()] >= 5 })
	conns[1].Close()
	natstest.Within(t, patience, "one that waited enters", waits.IsConnected)
	expectSentAway(t, b, many)
	// A change of rights, on all connections, alters no count.
	b.refresh(many, roomA, v1.RoleMember)
	expectSentAway(t, b, many)
	if conns[0].gone.Load()+conns[2].gone.Load() != 0 {
		t.Error("a connection that was there has been ended")
	}
	b.remove(many.hex)
	b.auth.Refresh(many.hex)
	withinGone(t, conns[0], 1)
	b.add(many.hex)
	natstest.Within(t, patience, "back, with no more than before", conns[0].IsConnected)
}

// TestConnectionsThatEndedDoNotCount, though their memory is not collected yet: a user may come and go for ever.
func TestConnectionsThatEndedDoNotCount(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	b := mustBounded(t, 2)
	user := b.mustUser(t)
	b.mustConn(t, user)
	for range 50 {
		natstest.Within(t, patience, "another connection", func() bool {
			nc, err := nats.Connect(b.srv.ClientURL(), user.option())
			if err == nil {
				nc.Close()
			}
			return err == nil
		})
	}
}

// TestOneConnectionCountsOnce, however often it logs in.
func TestOneConnectionCountsOnce(t *testing.T) {
	b := mustBounded(t, 2)
	user := b.mustUser(t)
	c := b.mustRaw(t, user)
	for range 5 {
		if !c.connect(map[string]any{"nkey": user.public, "sig": user.raw(t, c.nonce)}) {
			t.Fatal("refused")
		}
	}
	b.mustConn(t, user)
	expectSentAway(t, b, user)
}
