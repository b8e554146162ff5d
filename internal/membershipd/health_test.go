// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// clock is a time that tests move.
type clock struct{ at time.Time }

func (c *clock) now() time.Time { return c.at }

// watched is a health that was told of a server, with its buckets open.
func watched() (*health, *clock) {
	c := &clock{epoch}
	h := newHealth(c.now)
	h.started()
	h.setShut("")
	return h, c
}

// feed gives the same picture, ever half a second later.
func feed(h *health, c *clock, p picture, still []stuckReplica, looks int) {
	for range looks {
		c.at = c.at.Add(500 * time.Millisecond)
		p.At = c.at
		h.look(p, still, nil)
	}
}

func expect(t *testing.T, what string, check func() (bool, string), want bool, reason string) {
	t.Helper()
	if ok, why := check(); ok != want || !strings.Contains(why, reason) {
		t.Errorf("%s: %v %q, want %v with %q", what, ok, why, want, reason)
	}
}

func TestReadyOnlyOnceInSyncThenLatched(t *testing.T) {
	h, c := watched()
	expect(t, "after the start", h.readyz, false, "just been started")
	feed(h, c, follower(0, 5, 9), nil, 10)
	expect(t, "while behind", h.readyz, false, "not in sync with its leader a")
	sick := follower(0, 9, 9)
	sick.Healthy, sick.Unhealthy = false, "stream catching up"
	feed(h, c, sick, nil, 10)
	expect(t, "while its own HEALTHZ says no", h.readyz, false, "catching up")
	feed(h, c, follower(0, 9, 9), nil, holdLooks-1)
	expect(t, "before it has held", h.readyz, false, "looks of 3")
	feed(h, c, follower(0, 9, 9), nil, 1)
	expect(t, "in sync", h.readyz, true, "")
	feed(h, c, sick, nil, 10)
	expect(t, "latched", h.readyz, true, "")
	expect(t, "health is not latched", h.healthz, false, "catching up")
	h.reset("NATS is stopped")
	h.started()
	expect(t, "the next start", h.readyz, false, "")
}

func TestReadyNeedsBuckets(t *testing.T) {
	c := &clock{epoch}
	h := newHealth(c.now)
	h.started()
	feed(h, c, follower(0, 9, 9), nil, 10)
	expect(t, "without buckets", h.readyz, false, "buckets")
	expect(t, "health", h.healthz, true, "")
	h.setShut("")
	feed(h, c, follower(0, 9, 9), nil, 10)
	expect(t, "with them", h.readyz, true, "")
	h.setShut("cut off: of bucket x")
	expect(t, "cut off", h.readyz, false, "cut off")
	h.setShut("")
	expect(t, "reached again", h.readyz, true, "")
}

// TestStrangersAreTold: a node with other timers or of another cluster is no reason not to serve, but all is not well.
func TestStrangersAreTold(t *testing.T) {
	h, c := watched()
	p := follower(0, 9, 9)
	p.Strange, p.Cluster = map[string]string{}, "c1"
	p.addGroups([]byte(`{"server":{"name":"d","tags":["unibus-cluster:c2"]},"data":{}}`))
	feed(h, c, p, nil, 10)
	expect(t, "two clusters", h.healthz, false, "d, which routes lead to, is of the cluster with id c2")
	expect(t, "two clusters", h.readyz, true, "")
	p.Strange = map[string]string{}
	p.addGroups([]byte(`{"server":{"name":"d","tags":["unibus-cluster:c1"]},"data":{}}`))
	feed(h, c, p, nil, 1)
	expect(t, "one cluster", h.healthz, true, "")
	p.addGroups([]byte(`{"server":{"name":"d","tags":["unibus-timers:3s/5s/1s"]},"data":{"SYS":{"_meta_":{"id":"x"}}}}`))
	p.addGroups([]byte(`{"server":{"name":"looks-around","tags":["unibus-timers:3s/6s/1s"]},"data":{}}`))
	feed(h, c, p, nil, 10)
	expect(t, "mixed timers", h.healthz, false, "d goes by raft timers 3s/5s/1s")
	expect(t, "mixed timers", h.readyz, true, "")
	feed(h, c, follower(0, 9, 9), nil, 1)
	expect(t, "the same again", h.healthz, true, "")
}

func TestReadyIsTakenBack(t *testing.T) {
	h, c := watched()
	feed(h, c, follower(0, 9, 9), nil, 10)
	p := follower(0, 5, 9)
	h.look(p, nil, []stuckReplica{{Group: testGroup, Leader: "a", Lag: 4, Since: epoch}})
	expect(t, "a stuck replica", h.readyz, false, "4 behind a")
	expect(t, "a stuck replica", h.livez, true, "")
	feed(h, c, follower(0, 9, 9), nil, 1)
	expect(t, "moves again", h.readyz, true, "")
	h.restarting("the store is full")
	c.at = c.at.Add(time.Hour)
	expect(t, "store", h.readyz, false, "full")
	expect(t, "store", h.healthz, false, "full")
	expect(t, "store", h.livez, true, "")
	h.setStopping("the node stops")
	expect(t, "stop", h.readyz, false, "stops")
	expect(t, "stop", h.livez, true, "")
}

// A replica that fails again and again looks well between two failures.
func TestHealthHoldsAfterTrouble(t *testing.T) {
	h, c := watched()
	feed(h, c, follower(0, 9, 9), nil, 5)
	expect(t, "well", h.healthz, true, "")
	for range 20 {
		sick := follower(0, 5, 9)
		sick.Healthy, sick.Unhealthy = false, "group node unhealthy"
		feed(h, c, sick, nil, 1)
		expect(t, "sick", h.healthz, false, "unhealthy")
		feed(h, c, follower(0, 5, 9), nil, holdLooks+1) // its own HEALTHZ says 200, the leader has more
		expect(t, "its own word alone", h.healthz, false, "")
	}
	feed(h, c, follower(0, 9, 9), nil, holdLooks-1)
	expect(t, "in sync, but not for long enough", h.healthz, false, "well in 2 looks of 3")
	feed(h, c, follower(0, 9, 9), nil, 1)
	expect(t, "in sync again", h.healthz, true, "")
}

func TestHealthTellsWhatIsWrong(t *testing.T) {
	for name, c := range map[string]struct {
		change func(p *picture)
		still  []stuckReplica
		reason string
	}{
		"no routes":        {func(p *picture) { p.Routes, p.Others = nil, nil }, nil, "cut off: 0 of 2"},
		"routes, but mute": {func(p *picture) { p.Others = nil }, nil, "cut off: 0 of 2"},
		"removed":          {func(p *picture) { p.Removed = true }, nil, "removed from the cluster"},
		"no leader":        {func(p *picture) { delete(p.Others, "a") }, nil, "stream HISTORY > s has had no leader"},
		"stands still": {func(*picture) {}, []stuckReplica{{Group: testGroup, Leader: "a", Lag: 7, Since: epoch}},
			"the replica of stream HISTORY > s is 7 behind a"},
	} {
		t.Run(name, func(t *testing.T) {
			h, clk := watched()
			feed(h, clk, follower(0, 9, 9), nil, 5)
			p := follower(0, 9, 9)
			c.change(&p)
			feed(h, clk, p, c.still, 25)
			expect(t, name, h.healthz, false, c.reason)
			expect(t, name, h.readyz, true, "") // latched
			expect(t, name, h.livez, true, "")
		})
	}
}

// A lone node has no one to ask.
func TestHealthAlone(t *testing.T) {
	h, c := watched()
	feed(h, c, picture{Self: "b", Members: []string{"b"}, MetaLeader: "b", Healthy: true,
		Own: map[string]groupWord{metaGroup: {ID: "b", Leader: "b", Leads: true, Term: 1, Applied: 4, Size: 1, Quorum: 1}}}, nil, holdLooks)
	expect(t, "alone", h.healthz, true, "")
	expect(t, "alone", h.readyz, true, "")
}

func TestLiveness(t *testing.T) {
	h, c := watched()
	c.at = c.at.Add(turnLimit + time.Second)
	expect(t, "no look for long", h.livez, false, "not answered")
	h.failed(errors.New("no answer"))
	expect(t, "a look that failed", h.livez, true, "")
	h.reset("waiting for an order")
	c.at = c.at.Add(time.Hour)
	expect(t, "no server", h.livez, true, "")
}
