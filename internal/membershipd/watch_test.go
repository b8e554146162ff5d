// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// What the pure rules are fed with: the groups of all accounts, the words of all members, and a leader for each.
func TestPictureOfThreeNodes(t *testing.T) {
	nodes := mustBootstrap(t, []string{"n0", "n1", "n2"}, nil)
	mustBecome(t, "/readyz", 200, nodes...)
	js := mustJetStream(t, nodes[0].mustConnect(t, embeddednats.AccountHistory))
	mustStream(t, js, jetstream.StreamConfig{Name: "three", Replicas: 3, MaxBytes: 1 << 20})
	mustStream(t, js, jetstream.StreamConfig{Name: "one", Replicas: 1, MaxBytes: 1 << 20})
	if _, err := js.Publish(t.Context(), "three.x", nil); err != nil {
		t.Fatal(err)
	}
	mustConsume(t, js, "three")
	solo := 0
	for _, n := range nodes {
		w, err := newWatcher(n.formation.Server(), time.Now)
		if err != nil {
			t.Fatal(err)
		}
		defer w.close()
		var p picture
		natstest.Within(t, limit, "a picture in which everything is in sync", func() bool {
			if p, err = w.look(t.Context()); err != nil {
				t.Fatal(err)
			}
			if len(p.groups()) < 7 { // meta, the buckets, the one of the cluster's id, the stream, its consumer
				return false
			}
			for _, g := range p.groups() {
				if lag, ok := p.lag(g); !ok || lag > 0 {
					return false
				}
			}
			return len(p.Others) == 2
		})
		if len(p.Members) != 3 || len(p.Routes) != 2 || p.MetaLeader == "" || !p.Healthy || p.Removed {
			t.Errorf("%s sees %+v", n.name, p)
		}
		var names []string
		for _, g := range p.groups() {
			names = append(names, p.name(g))
			if own := p.Own[g]; own.Size != 3 || own.Quorum != 2 || len(own.Peers) != 2 {
				t.Errorf("%s sees %s as %+v", n.name, p.name(g), own)
			}
			if g != metaGroup && p.name(g) == "stream HISTORY > three" && p.OwnLast[g] != 1 {
				t.Errorf("%s has %d messages of the stream, want 1", n.name, p.OwnLast[g])
			}
		}
		for _, want := range []string{"the meta group", "stream HISTORY > three", "stream MEMBERSHIP > KV_" + v1.BucketUsers} {
			if !slices.Contains(names, want) {
				t.Errorf("%s sees %q and not %s", n.name, names, want)
			}
		}
		solo += len(p.Solo)
		if why := mayRestart(p, nil); (why == "") != (len(p.Solo) == 0) {
			t.Errorf("%s may not be restarted: %q, with %q only there", n.name, why, p.Solo)
		}
	}
	if solo != 1 {
		t.Errorf("%d nodes have the only replica of a stream, want 1", solo)
	}
}

// mustConsume makes a consumer with replicas, and has it acknowledge a message.
func mustConsume(t *testing.T, js jetstream.JetStream, stream string) {
	t.Helper()
	c, err := js.CreateConsumer(t.Context(), stream, jetstream.ConsumerConfig{Durable: "reader", Replicas: 3, AckPolicy: jetstream.AckExplicitPolicy})
	if err != nil {
		t.Fatal(err)
	}
	m, err := c.Next(jetstream.FetchMaxWait(limit))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.DoubleAck(t.Context()); err != nil {
		t.Fatal(err)
	}
}
