// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// shut starts a server that admits nobody while it is shut, as it does not know for sure who may enter.
func (b *bus) shut(t *testing.T, shut *atomic.Bool) {
	t.Helper()
	b.auth = mustAuth(t, Config{Keys: b.keys, IsAuthorized: func(key string) bool { return !shut.Load() && b.has(key) }, IsListed: b.has,
		IsReady: func() bool { return !shut.Load() }, Grants: b.grants})
	b.srv = mustServer(t, b.auth, nil)
}

func expectSentAway(t *testing.T, b *bus, k key) {
	t.Helper()
	nc, err := nats.Connect(b.srv.ClientURL(), k.option())
	if err == nil {
		nc.Close()
		t.Error("admitted, want the connection to end")
	} else if !natstest.HungUp(err) {
		t.Errorf("error %v, want the connection to end without a word", err)
	}
}

// TestNobodyGivesUpOnANodeThatDoesNotKnow: a client that nobody here wrote, with the options that it has by itself, is sent away by a node that
// admits nobody for a while, and enters when it does. Of a node that knows, it hears that its key is refused.
func TestNobodyGivesUpOnANodeThatDoesNotKnow(t *testing.T) {
	b := &bus{allowlist: newAllowlist(), keys: mustKeys(t)}
	var shut atomic.Bool
	b.shut(t, &shut)
	k := b.mustUser(t)
	nc := mustConnect(t, b.srv, k.option(), nats.MaxReconnects(-1), nats.ReconnectWait(time.Millisecond), nats.ReconnectJitter(0, 0))
	shut.Store(true)
	b.auth.DropUsers()
	natstest.Within(t, patience, "the client is sent away", func() bool { return b.auth.Counts()[refusedNotReady.String()] >= 5 })
	expectCount(t, b.auth, refusedUnknown, 0)
	shut.Store(false)
	natstest.Within(t, patience, "the client is back", nc.IsConnected)
	b.remove(k.hex)
	b.auth.Refresh(k.hex)
	natstest.Within(t, patience, "the client that was removed gives up", nc.IsClosed)
}

// TestANodeThatComesToKnowRefusesNobodyForThat: what was judged before the node knew is no refusal, though it knows when it answers.
func TestANodeThatComesToKnowRefusesNobodyForThat(t *testing.T) {
	b := &bus{allowlist: newAllowlist(), keys: mustKeys(t)}
	var ready atomic.Bool
	judge := func(key string) bool {
		known := ready.Load() && b.has(key)
		ready.Store(true)
		return known
	}
	b.auth = mustAuth(t, Config{Keys: b.keys, IsAuthorized: judge, IsListed: b.has, IsReady: ready.Load, Grants: b.grants})
	b.srv = mustServer(t, b.auth, nil)
	k := b.mustUser(t)
	expectSentAway(t, b, k)
	expectCount(t, b.auth, refusedUnknown, 0)
	b.mustConn(t, k)
}

// TestRevokeWhileNobodyIsAdmitted: a node that admits nobody, since it may not know everything, goes by what it hears all the same. Who is
// removed goes, and who gains or loses a room stays.
func TestRevokeWhileNobodyIsAdmitted(t *testing.T) {
	b := &bus{allowlist: newAllowlist(), keys: mustKeys(t)}
	var shut atomic.Bool
	b.shut(t, &shut)
	stays, goes := b.mustUser(t), b.mustUser(t)
	kept, dropped := b.mustConn(t, stays), b.mustConn(t, goes)
	shut.Store(true)
	expectSentAway(t, b, stays)
	b.refresh(stays, "RED", v1.RoleReader)
	kept.mustSubscribe(t, v1.RoomSubjects("RED"), "")
	b.remove(goes.hex)
	b.auth.Refresh(goes.hex)
	withinGone(t, dropped, 1)
	if err := kept.FlushTimeout(patience); err != nil || kept.gone.Load() != 0 {
		t.Errorf("a user who gained a room was dropped: %v", err)
	}
}
