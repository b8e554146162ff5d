// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"flag"
	"fmt"
	"net/url"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

var (
	cutRounds = flag.Int("cut.rounds", 1, "how often the partition test cuts and heals")
	cutStock  = flag.Bool("cut.stock", false, "whether the partition test leaves nats-server's raft timers alone")
	cutLength = flag.Duration("cut.length", 20*time.Second, "how long the partition test's cuts last at most")
)

const cutStream = "cut"

// cutCluster is three nodes whose routes pass through links.
type cutCluster struct {
	nodes []*testNode
	links map[[2]int]*wire
}

// mustCutCluster starts them; change may be nil.
func mustCutCluster(t *testing.T, change func(i int, p *plan)) *cutCluster {
	t.Helper()
	c := &cutCluster{links: map[[2]int]*wire{}}
	c.nodes = mustBootstrap(t, []string{"n0", "n1", "n2"}, func(i int, p *plan) {
		p.server.Cluster.Advertise = "127.0.0.1:1" // what members tell each other must not get around the links
		if *cutStock {
			p.server.Timers = embeddednats.RaftTimers{}
		}
		if change != nil {
			change(i, p)
		}
		direct := p.server.Cluster.Routes
		p.server.Cluster.Routes = []*url.URL{direct[i]}
		for j, u := range direct {
			if i == j {
				continue
			}
			k := mustWire(t, u.Host)
			c.links[[2]int{i, j}] = k
			p.server.Cluster.Routes = append(p.server.Cluster.Routes, k.url())
		}
	})
	mustBecome(t, "/readyz", 200, c.nodes...)
	js := mustJetStream(t, c.nodes[0].mustConnect(t, embeddednats.AccountHistory))
	mustStream(t, js, jetstream.StreamConfig{Name: cutStream, Replicas: 3, MaxBytes: 64 << 20})
	natstest.Within(t, limit, "replicas", func() bool {
		return !slices.ContainsFunc(c.nodes, func(n *testNode) bool { _, l, h := n.replicaState(); return l == "" || !h })
	})
	return c
}

// isolate cuts every wire of one node, and returns what heals them.
func (c *cutCluster) isolate(t *testing.T, victim int, mode cutMode) (heal func()) {
	t.Helper()
	var cut []*wire
	for ends, k := range c.links {
		if ends[0] == victim || ends[1] == victim {
			k.cut(mode)
			cut = append(cut, k)
		}
	}
	return sync.OnceFunc(func() {
		for _, k := range cut {
			k.heal(t, mode)
		}
	})
}

// replicaState is what a node holds of the test's stream.
func (n *testNode) replicaState() (s server.StreamState, leader string, healthy bool) {
	srv := n.formation.Server()
	if srv == nil {
		return s, "", false
	}
	j, err := srv.Unwrap().Jsz(&server.JSzOptions{Accounts: true, Streams: true})
	if err != nil {
		return s, "", false
	}
	for _, a := range j.AccountDetails {
		for _, d := range a.Streams {
			if a.Name == embeddednats.AccountHistory && d.Name == cutStream && d.Cluster != nil {
				s, leader = d.State, d.Cluster.Leader
			}
		}
	}
	return s, leader, srv.Unwrap().Healthz(nil).StatusCode == 200
}

// leader returns the index of the node that the test's stream is led by, as another node sees it.
func (c *cutCluster) leader(t *testing.T, ask int) int {
	t.Helper()
	at := -1
	natstest.Within(t, limit, "the stream has a leader", func() bool {
		_, name, _ := c.nodes[ask].replicaState()
		at = slices.IndexFunc(c.nodes, func(n *testNode) bool { return n.name == name })
		return at >= 0
	})
	return at
}

// truth says when a node has had all that the leader had at the look before, and was healthy, three times in a row.
type truth struct {
	want uint64
	held int
}

func (w *truth) look(leader, victim *testNode) bool {
	own, _, healthy := victim.replicaState()
	if healthy && w.want > 0 && own.LastSeq >= w.want {
		w.held++
	} else {
		w.held = 0
	}
	s, _, _ := leader.replicaState()
	w.want = s.LastSeq
	return w.held >= 3
}

// A cut-off stream leader with writes of its own is in sync again soon after the cut has healed, however often that happens, and
// never calls itself healthy in between.
func TestHealedPartitionIsInSyncAgain(t *testing.T) {
	c := mustCutCluster(t, nil)
	for round := range *cutRounds {
		// What a cut leaves behind depends on whether the old leader has begun to campaign: it gives up after 10 to 20 s.
		c.round(t, round, *cutLength-time.Duration(round%3)*3*time.Second)
	}
}

func (c *cutCluster) round(t *testing.T, round int, length time.Duration) {
	t.Helper()
	mustBecome(t, "/healthz", 200, c.nodes...)
	victim := c.leader(t, round%3)
	other := (victim + 1) % 3
	victimName := c.nodes[victim].name
	var written atomicTime
	stopMajority := startWriter(t, mustJetStream(t, c.nodes[other].mustConnect(t, embeddednats.AccountHistory)), "cut.majority", &written)
	var cut atomicTime
	lost := startLosers(t, c.nodes[victim], &cut)
	wait(t, time.Second) // of writing on both sides
	mode := cutMode(round/2) % cutModes
	heal := c.isolate(t, victim, mode)
	t.Cleanup(heal) // whatever is silent must end
	cutAt := time.Now()
	cut.store(cutAt)
	natstest.Within(t, limit, "the rest elects another leader", func() bool { return c.leader(t, other) != victim })
	wait(t, length-time.Since(cutAt))
	mustBecome(t, "/healthz", 503, c.nodes[victim])
	leader := c.leader(t, other)
	t.Logf("round %d: %s is cut off (%v) for %v, %s leads", round, victimName, mode, length, c.nodes[leader].name)

	// Writes that stop with the cut are worse for who was cut off: without new entries the leader compacts nothing, and offers
	// old ones that don't fit, again and again.
	if quiet := round%2 == 0; quiet {
		stopMajority()
	}
	heal()
	healed := time.Now()
	if n := lost(); n > 0 {
		t.Errorf("%d writes were acknowledged by a node that was cut off", n)
	}
	c.expectInSync(t, round, victim, leader, healed)
	t.Logf("round %d: longest gap on the majority %v", round, stopMajority().Round(time.Millisecond))
	var held []string
	if !natstest.Until(limit, func() bool {
		held = nil
		for _, n := range c.nodes {
			s, _, _ := n.replicaState()
			held = append(held, fmt.Sprintf("%d messages, %d to %d, %d bytes", s.Msgs, s.FirstSeq, s.LastSeq, s.Bytes))
		}
		return held[0] == held[1] && held[1] == held[2]
	}) {
		t.Fatalf("round %d: the replicas hold %q", round, held)
	}
}

// expectInSync waits until the victim has everything, and expects that it does not call itself well before.
func (c *cutCluster) expectInSync(t *testing.T, round, victim, leader int, healed time.Time) {
	t.Helper()
	victimName := c.nodes[victim].name
	var w truth
	samples, lies, serverLies := 0, 0, 0
	inSync := natstest.Until(limit, func() bool {
		_, _, ownWord := c.nodes[victim].replicaState()
		code, _ := c.nodes[victim].get("/healthz")
		if w.look(c.nodes[leader], c.nodes[victim]) {
			return true
		}
		samples++
		if own, _, _ := c.nodes[victim].replicaState(); own.LastSeq+500 < w.want {
			if code == 200 {
				lies++
			}
			if ownWord {
				serverLies++
			}
		}
		return false
	})
	took := time.Since(healed)
	if !inSync {
		_, a := c.nodes[victim].get("/healthz")
		t.Fatalf("round %d: %s is not in sync %v after the cut was healed: %+v", round, victimName, took, a)
	}
	mustBecome(t, "/readyz", 200, c.nodes[victim])
	if lies > 0 {
		t.Errorf("round %d: /healthz of %s said 200 in %d looks while its replica lacked hundreds of messages", round, victimName, lies)
	}
	t.Logf("round %d: in sync %v after the heal; of %d looks before, the server called itself well in %d and the node in %d",
		round, took.Round(time.Millisecond), samples, serverLies, lies)
}

// startLosers publishes on a node that is to be cut off, over its own connection, so that its log gets entries that nobody
// else has. The returned function ends that and tells how many that began after the cut were acknowledged.
func startLosers(t *testing.T, n *testNode, cut *atomicTime) func() int {
	t.Helper()
	js := mustJetStream(t, n.mustConnect(t, embeddednats.AccountHistory))
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	acknowledged := 0
	wg.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			attempt, done := context.WithTimeout(ctx, 100*time.Millisecond)
			after := !cut.load().IsZero()
			if _, err := js.Publish(attempt, "cut.lost", fmt.Append(nil, i)); err == nil && after {
				acknowledged++
			}
			done()
		}
	})
	stop := sync.OnceValue(func() int { cancel(); wg.Wait(); return acknowledged })
	t.Cleanup(func() { stop() })
	return stop
}

// wait lets time pass: the length of a cut is what is tested, not a condition.
func wait(t *testing.T, d time.Duration) {
	t.Helper()
	select {
	case <-t.Context().Done():
	case <-time.After(d):
	}
}
