// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// site is a cluster with a directory on each node.
type site struct {
	cfgs  []embeddednats.ServerConfig
	mesh  *natstest.Mesh
	nodes []*natstest.Node
	js    []jetstream.JetStream
}

func mustSite(t testing.TB, size int64) *site {
	t.Helper()
	x := &site{cfgs: natstest.MustConfigs(t, 3, natstest.Options{})}
	x.mesh = natstest.MustMesh(t, x.cfgs)
	x.nodes = natstest.MustStartAll(t, x.cfgs)
	mustBuckets(t, x.nodes[0], 3, size)
	for _, n := range x.nodes {
		x.js = append(x.js, mustJetStream(t, n.MustConnect(t, embeddednats.AccountMembership)))
	}
	x.nodes[0].WithinSync(t)
	return x
}

// leader is the number of the node that leads a bucket.
func (x *site) leader(t testing.TB, bucket string) int {
	t.Helper()
	info := must(t)(mustStore(t, x.js[0], StoreConfig{}).info(t.Context(), bucket)).(*jetstream.StreamInfo)
	for i, n := range x.nodes {
		if n.Name() == info.Cluster.Leader {
			return i
		}
	}
	t.Fatalf("bucket %s is led by %q", bucket, info.Cluster.Leader)
	return 0
}

func TestANodeThatIsCutOffStopsAdmitting(t *testing.T) {
	t.Run("a leader", func(t *testing.T) {
		x := mustSite(t, 4<<20)
		cutOff(t, x, x.leader(t, v1.BucketUsers))
	})
	t.Run("a follower", func(t *testing.T) {
		x := mustSite(t, 4<<20)
		cut := (x.leader(t, v1.BucketUsers) + 1) % 3
		cutOff(t, x, cut)
	})
}

func cutOff(t *testing.T, x *site, cut int) {
	follows := cut != x.leader(t, v1.BucketUsers)
	there := (cut + 1) % 3
	s := mustStore(t, x.js[there], StoreConfig{})
	key, hex := mustUser(t, s, "ann")
	_, bob := mustUser(t, s, "bob")
	c := quick
	c.RefuseAfter = 3 * time.Second
	var all []*watched
	for i := range x.nodes {
		all = append(all, newWatched(c).mustRun(t, x.js[i]).withinReady(t))
	}
	x.mesh.Cut(cut)
	off := all[cut]
	off.within(t, "the node refuses", func() bool { return !off.IsAuthorized(bob) })
	if follows { // its replica could answer, and be wrong
		_, err := mustStore(t, x.js[cut], StoreConfig{}).GetUser(t.Context(), key)
		expectErr(t, "a read where no leader is", err, ErrUnavailable)
	}
	if s := off.State(); s.Ready || s.Age <= c.RefuseAfter {
		t.Errorf("%+v", s)
	}
	natstest.Within(t, natstest.Patience, "a removal", func() bool { return s.RemoveUser(t.Context(), key, 0) == nil })
	for i, w := range all {
		if i != cut {
			w.within(t, "the others go on", func() bool { return w.IsAuthorized(bob) && !w.IsAuthorized(hex) })
		}
	}
	x.mesh.Heal(cut)
	off.within(t, "the node is back", func() bool {
		if off.IsAuthorized(hex) {
			t.Fatal("a node that comes back admits who was removed")
		}
		return off.IsAuthorized(bob)
	})
	t.Logf("knowledge was %v old at last", off.Age())
}

// A node whose replica lags may get a part of the keys, without an error; it must know.
func TestALaggingReplicaIsNotReadyBeforeItHasAll(t *testing.T) {
	x := mustSite(t, 4<<20)
	last := (x.leader(t, v1.BucketUsers) + 1) % 3
	x.nodes[last].Stop()
	s := mustStore(t, x.js[(last+1)%3], StoreConfig{})
	const users = 1000
	for i := range users {
		key, hex := mustKey(t)
		natstest.Within(t, natstest.Patience, "a user", func() bool {
			_, err := s.put(t.Context(), v1.BucketUsers, v1.UserKey(hex), v1.User{Name: fmt.Sprint("u", i), Key: key}, 0)
			return err == nil || errors.Is(err, ErrConflict) // an attempt before has come through
		})
	}
	node := natstest.MustStart(t, embeddednats.Resume, x.cfgs[last])
	w := newWatched(quick).mustRun(t, mustJetStream(t, node.MustConnect(t, embeddednats.AccountMembership)))
	w.within(t, "ready", func() bool {
		s := w.State()
		if s.Ready && s.Users != users {
			t.Fatalf("ready with %d users of %d", s.Users, users)
		}
		return s.Ready
	})
}

// The server refuses even a removal in a replicated bucket that is full, and a heartbeat too.
func TestABucketThatTakesNoMoreStillRevokes(t *testing.T) {
	x := mustSite(t, 64<<10)
	s := mustStore(t, x.js[0], StoreConfig{})
	w := newWatched(quick).mustRun(t, x.js[1]).withinReady(t)
	mustAdmin(t, s, "another")
	var key, hex string
	for i := 0; ; i++ {
		k, h := mustKey(t)
		_, err := s.CreateUser(t.Context(), v1.User{Name: fmt.Sprint("user-", i), Key: k})
		if err != nil {
			expectErr(t, "a full bucket", err, ErrLimit)
			break
		}
		key, hex = k, h
	}
	must(t)(s.SetAdmin(t.Context(), key, true, 0))
	w.within(t, "the user", func() bool { return w.IsAuthorized(hex) })
	must(t)(nil, s.RemoveUser(t.Context(), key, 0))
	w.within(t, "the user gone", func() bool { return !w.IsAuthorized(hex) })
	age := w.Age()
	w.within(t, "another proof", func() bool { return w.Age() < age || w.Age() < quick.Heartbeat })
}
