// SPDX-License-Identifier: Apache-2.0

package embeddednats_test

import (
	"context"
	"errors"
	"strconv"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"

	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// A stream's leader that was cut off comes back with entries that nobody acknowledged and without what
// was written meanwhile. It must say that it is not in sync until it is, and be so soon.
func TestAHealedPartitionIsInSyncSoon(t *testing.T) {
	for _, unacknowledged := range []int{0, 20, 300} {
		t.Run(strconv.Itoa(unacknowledged), func(t *testing.T) { cutAndHeal(t, unacknowledged) })
	}
}

func cutAndHeal(t *testing.T, unacknowledged int) {
	ctx := context.Background()
	cfgs := natstest.MustConfigs(t, 3, natstest.Options{})
	mesh := natstest.MustMesh(t, cfgs)
	nodes := natstest.MustStartAll(t, cfgs)
	js := nodes[0].MustStream(t, "S", 3)
	for range 50 {
		mustPublish(t, js, "S.a")
	}
	nodes[0].WithinSync(t)
	leader, cut := streamLeader(t, nodes[0], "S"), 0
	for i, n := range nodes {
		if n.Name() == leader {
			cut = i
		}
	}
	old, there := nodes[cut], nodes[(cut+1)%3]
	stale := old.MustConnect(t, embeddednats.AccountHistory)
	mesh.Cut(cut)
	for range unacknowledged { // what the new leader has not, and the old one must give up
		if err := errors.Join(stale.Publish("S.lost", nil), stale.Flush()); err != nil { // one entry each
			t.Fatal(err)
		}
	}
	js = there.MustJetStream(t)
	natstest.Within(t, natstest.Patience, "another leader", func() bool { return streamLeader(t, there, "S") != leader })
	for range 500 {
		mustPublish(t, js, "S.b")
	}
	if ok, _ := there.SafeToRestart(ctx); ok {
		t.Error("safe to restart, with a member cut off")
	}
	natstest.Within(t, natstest.Patience, "the cut off node says so", func() bool { ok, _ := old.SafeToRestart(ctx); return !ok })
	mesh.Heal(cut)
	begin, last := time.Now(), ""
	natstest.Within(t, natstest.Patience, "in sync", func() bool {
		ok, reason := old.SafeToRestart(ctx)
		if reason != last {
			last = reason
			t.Logf("%v after the heal: %s", time.Since(begin).Round(time.Millisecond), reason)
		}
		if have := messages(t, old, "S"); ok && have != 550 {
			t.Fatalf("in sync, it says, with %d messages of 550, %v after the heal", have, time.Since(begin))
		}
		return ok
	})
	t.Logf("in sync %v after the heal", time.Since(begin))
}

// messages is what the node itself has of the stream.
func messages(t *testing.T, n *natstest.Node, stream string) uint64 {
	t.Helper()
	i, err := n.Unwrap().Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range i.AccountDetails {
		for _, s := range a.Streams {
			if s.Name == stream {
				return s.State.Msgs
			}
		}
	}
	return 0
}
