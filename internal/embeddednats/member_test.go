// SPDX-License-Identifier: Apache-2.0

package embeddednats_test

import (
	"context"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

func TestResumeAlone(t *testing.T) {
	n := natstest.MustFound(t, natstest.Options{})
	mustPublish(t, n.MustStream(t, "S", 1), "S.a")
	if err := n.Shutdown(context.Background()); err != nil {
		t.Fatal(err)
	}
	begin := time.Now()
	n = natstest.MustStart(t, embeddednats.Resume, n.Config)
	natstest.Within(t, natstest.Patience, "a usable meta group", func() bool { ok, _ := n.MetaHealthy(); return ok })
	expectMessages(t, n, "S", 1)
	t.Logf("read %v after the start", time.Since(begin))
}

// If this fails, nats-server has learnt to resume alone, and the companion can go.
func TestALoneNodeWithoutACompanionNeverLeads(t *testing.T) {
	n := natstest.MustFound(t, natstest.Options{})
	n.Stop()
	n = natstest.MustStart(t, embeddednats.Start, n.Config)
	if natstest.Until(6*time.Second, n.Unwrap().JetStreamIsLeader) {
		t.Fatal("a lone node leads without a companion")
	}
}

// The founder is not restarted and not told: the joiners' routes are all that grows.
func TestGrowFromOneToThree(t *testing.T) {
	cfgs := natstest.MustConfigs(t, 3, natstest.Options{Secret: "s3cret"})
	founder := natstest.MustStart(t, embeddednats.Found, cfgs[0])
	js := founder.MustStream(t, "S", 1)
	for range 100 {
		mustPublish(t, js, "S.a")
	}
	founder.Stop()
	founder = natstest.MustStart(t, embeddednats.Resume, cfgs[0]) // and a companion does no harm
	natstest.Within(t, natstest.Patience, "the founder resumed", func() bool { ok, _ := founder.MetaHealthy(); return ok })
	nodes := []*natstest.Node{founder}
	for _, cfg := range cfgs[1:] {
		nodes = append(nodes, natstest.MustStart(t, embeddednats.Join, cfg))
	}
	natstest.WithinMeta(t, founder, 3)
	nodes[2].MustStream(t, "S", 3)
	founder.WithinSync(t)
	for _, n := range nodes {
		if _, size, _, ok := n.Meta(); !ok || size != 3 || messages(t, n, "S") != 100 {
			t.Errorf("%s: a meta group of %d, and %d messages", n.Name(), size, messages(t, n, "S"))
		}
	}
}

func TestShutdownHandsOverEveryLeadership(t *testing.T) {
	nodes := natstest.MustCluster(t, 3, natstest.Options{})
	ctx := context.Background()
	js := nodes[0].MustStream(t, "S", 3)
	natstest.Within(t, natstest.Patience, "a consumer", func() bool {
		ctx, cancel := context.WithTimeout(ctx, 500*time.Millisecond)
		defer cancel()
		_, err := js.CreateOrUpdateConsumer(ctx, "S", jetstream.ConsumerConfig{Durable: "C"})
		return err == nil
	})
	for round := range nodes {
		nodes[round].WithinSync(t)
		n := nodes[round]
		// Make it lead all that there is.
		natstest.Within(t, natstest.Patience, n.Name()+" leads everything", func() bool {
			led := 0
			for _, o := range nodes {
				if o != n && o.StepDown(ctx) != nil {
					return false
				}
			}
			if n.Unwrap().JetStreamIsStreamLeader(embeddednats.AccountHistory, "S") {
				led++
			}
			if n.Unwrap().JetStreamIsConsumerLeader(embeddednats.AccountHistory, "S", "C") {
				led++
			}
			return led > 0
		})
		witness := nodes[(round+1)%3]
		if err := n.StepDown(ctx); err != nil {
			t.Fatalf("hand over: %v", err)
		}
		if !n.Unwrap().Running() {
			t.Fatal("handing over has stopped the server")
		}
		leader := streamLeader(t, witness, "S")
		if leader == n.Name() {
			t.Fatalf("%s still leads after it handed over", leader)
		}
		if err := n.Shutdown(ctx); err != nil {
			t.Fatalf("shut down: %v", err)
		}
		mustPublish(t, witness.MustJetStream(t), "S.a")
		nodes[round] = natstest.MustStart(t, embeddednats.Resume, n.Config)
	}
}

// streamLeader asks until there is one.
func streamLeader(t *testing.T, n *natstest.Node, stream string) (leader string) {
	t.Helper()
	js := n.MustJetStream(t)
	natstest.Within(t, natstest.Patience, "a leader of "+stream, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		if s, err := js.Stream(ctx, stream); err == nil && s.CachedInfo().Cluster != nil {
			leader = s.CachedInfo().Cluster.Leader
		}
		return leader != ""
	})
	return leader
}

// mustPublish publishes in short attempts: one is lost while there is no leader.
func mustPublish(t *testing.T, js jetstream.JetStream, subject string) {
	t.Helper()
	natstest.Within(t, natstest.Patience, "an acknowledged publish", func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		_, err := js.Publish(ctx, subject, []byte("kept"))
		return err == nil
	})
}

func expectMessages(t *testing.T, n *natstest.Node, stream string, want uint64) {
	t.Helper()
	js := n.MustJetStream(t)
	var have uint64
	natstest.Within(t, natstest.Patience, "an answer about "+stream, func() bool {
		ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
		defer cancel()
		s, err := js.Stream(ctx, stream)
		if err == nil {
			have = s.CachedInfo().State.Msgs
		}
		return err == nil
	})
	if have != want {
		t.Fatalf("stream %s has %d messages, want %d", stream, have, want)
	}
}
