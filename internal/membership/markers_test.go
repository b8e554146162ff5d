// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// clock is one that is put forward.
type clock struct{ ahead atomic.Int64 }

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

func (c *clock) forward(d time.Duration) { c.ahead.Add(int64(d)) }

// mustFill makes users until half of their bucket is full, and removes every other. It returns the hexes of who stays and who is gone.
func mustFill(t testing.TB, s *Store) (there, gone []string) {
	t.Helper()
	for i := 0; !filled(must(t)(s.info(t.Context(), v1.BucketUsers)).(*jetstream.StreamInfo), pressedParts); i++ {
		key, hex := mustUser(t, s, fmt.Sprint("user-", i))
		if i%2 == 0 {
			there = append(there, hex)
			continue
		}
		gone = append(gone, hex)
		must(t)(nil, s.RemoveUser(t.Context(), key, 0))
	}
	return there, gone
}

func purgeMarkers(t testing.TB, s *Store, d *Directory) int {
	t.Helper()
	return must(t)(s.PurgeMarkers(t.Context(), d)).(int)
}

func TestMarkersArePurged(t *testing.T) {
	_, js := mustOne64(t)
	s := mustStore(t, js, StoreConfig{})
	var c clock
	conf := quick
	conf.Now = c.now
	w := newWatched(conf).mustRun(t, js).withinReady(t)
	there, gone := mustFill(t, s)
	w.within(t, "all seen", func() bool { return w.State().Users == len(there) && len(w.known(v1.BucketUsers, true)) == 2*len(gone) })
	if n := purgeMarkers(t, s, w.Directory); n != 0 {
		t.Errorf("%d markers were purged that are not old", n)
	}
	c.forward(markerAge + time.Minute)
	w.within(t, "a proof", func() bool { return w.Age() < time.Second })
	w.told.take()
	if n := purgeMarkers(t, s, w.Directory); n != 2*len(gone) { // each user has a name
		t.Errorf("%d markers were purged, of %d", n, 2*len(gone))
	}
	before := w.Age()
	w.within(t, "a proof after the purge", func() bool { return w.Age() < before && len(w.known(v1.BucketUsers, true)) == 0 })
	if keys := must(t)(s.keys(t.Context(), v1.BucketUsers, ">")).([]string); len(keys) != 2*len(there)+1 {
		t.Errorf("%d keys are left, with the heartbeat, want %d", len(keys), 2*len(there)+1)
	}
	for _, hex := range there {
		if !w.IsAuthorized(hex) {
			t.Fatalf("%s went with the markers of others", hex)
		}
	}
	if told := w.told.take(); len(told) > 0 || w.log.Said("WARN", errPurged.Error()) || !w.log.Said("INFO", errPurged.Error()) {
		t.Errorf("told %v", told)
	}
	if n := purgeMarkers(t, s, w.Directory); n != 0 {
		t.Errorf("%d markers were purged in a bucket that has space", n)
	}
	mustUser(t, s, "user-1")
}

func mustOne64(t testing.TB) (*natstest.Node, jetstream.JetStream) {
	t.Helper()
	node := natstest.MustFound(t, natstest.Options{})
	return node, mustBuckets(t, node, 1, 64<<10)
}

// known are the keys of a bucket that the directory knows of, gone or there.
func (d *Directory) known(bucket string, gone bool) (keys []string) {
	d.mu.RLock()
	defer d.mu.RUnlock()
	for _, b := range d.buckets {
		for key, k := range b.keys {
			if b.name == bucket && k.gone.IsZero() != gone && key != v1.HeartbeatKey {
				keys = append(keys, key)
			}
		}
	}
	return keys
}

// purging is a JetStream on which something happens right before a purge.
type purging struct {
	jetstream.JetStream
	do func()
}

type purgingStream struct {
	jetstream.Stream
	do func()
}

func (p purging) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	s, err := p.JetStream.Stream(ctx, name)
	return purgingStream{s, p.do}, err
}

func (p purgingStream) Purge(ctx context.Context, opts ...jetstream.StreamPurgeOpt) error {
	p.do()
	return p.Stream.Purge(ctx, opts...)
}

// What is purged is a marker and nothing else, whatever is written meanwhile.
func TestAPurgeTakesAMarkerOnly(t *testing.T) {
	_, js := mustOne64(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	var c clock
	conf := quick
	conf.Now = c.now
	w := newWatched(conf).mustRun(t, js).withinReady(t)
	there, _ := mustFill(t, s)

	key, hex := mustUser(t, s, "back")
	must(t)(nil, s.RemoveUser(ctx, key, 0))
	half, halfHex := mustUser(t, s, "half") // the removal ends in the middle
	room := mustRoom(t, s, "lab")
	must(t)(s.PutMember(ctx, "lab", half, v1.RoleMember, 0))
	must(t)(s.revoke(ctx, half, halfHex, 0))
	w.within(t, "all seen", func() bool {
		keys := strings.Join(w.known(v1.BucketUsers, true), " ") + " "
		return strings.Contains(keys, v1.UserKey(hex)) && strings.Contains(keys, v1.UserKey(halfHex)) &&
			w.CountRoomsOf(halfHex) == 1
	})
	c.forward(markerAge + time.Minute)
	again := func() { must(t)(s.CreateUser(ctx, v1.User{Name: "back", Key: key})) }
	old := must(t)(s.get(ctx, v1.BucketUsers, v1.UserKey(hex))).(entry)
	must(t)(mustStore(t, purging{js, again}, StoreConfig{}).purge(ctx, w.Directory, v1.BucketUsers, marker{v1.UserKey(hex), old.revision}))
	trap := v1.UserKey("*") // as a filter it is all users
	ack := must(t)(js.PublishMsg(ctx, &nats.Msg{Subject: subjectOf(v1.BucketUsers, trap), Header: nats.Header{headerOperation: {"DEL"}}})).(*jetstream.PubAck)
	if ok := must(t)(s.purge(ctx, w.Directory, v1.BucketUsers, marker{trap, ack.Sequence})).(bool); ok {
		t.Error("a key that is a filter was purged")
	}
	if n := purgeMarkers(t, s, w.Directory); n == 0 {
		t.Error("nothing was purged")
	}
	must(t)(s.GetUser(ctx, key))
	for _, hex := range there {
		if e := must(t)(s.get(ctx, v1.BucketUsers, v1.UserKey(hex))).(entry); !e.live {
			t.Fatalf("%s was purged", hex)
		}
	}
	if e := must(t)(s.get(ctx, v1.BucketMembers, v1.MemberKey(room.ID, halfHex))).(entry); e.live {
		t.Error("nothing tells any more that the user's removal was not finished, and it is still in the room")
	}
	if e := must(t)(s.get(ctx, v1.BucketUsers, v1.UserNameKey("half"))).(entry); e.live {
		t.Error("the name of a user that is gone was not freed")
	}
}

// TestANodeThatMissesAMarkerForgetsTheUser: the node is away while a user is removed and the marker purged, and comes back with its
// replica as it was.
func TestANodeThatMissesAMarkerForgetsTheUser(t *testing.T) {
	x := mustSite(t, 64<<10)
	away := (x.leader(t, v1.BucketUsers) + 1) % 3
	here := (away + 1) % 3
	s := mustStore(t, x.js[here], StoreConfig{})
	var c clock
	conf := quick
	conf.Now = c.now
	w := newWatched(conf).mustRun(t, x.js[here]).withinReady(t)
	mustFill(t, s)
	key, hex := mustUser(t, s, "ann")
	_, bob := mustUser(t, s, "bob")
	kept := newWatched(quick).mustRun(t, x.js[away]).withinReady(t)
	if !kept.IsAuthorized(hex) {
		t.Fatal("the user is not known")
	}
	x.nodes[away].Stop()
	natstest.Within(t, natstest.Patience, "the end of the run", func() bool { return kept.stopped() })
	_ = kept.stop() // its connection is closed
	kept.told.take()
	natstest.Within(t, natstest.Patience, "a removal", func() bool { return s.RemoveUser(t.Context(), key, 0) == nil })
	w.within(t, "the removal", func() bool { return !w.IsListed(hex) && w.Ready() })
	c.forward(markerAge + time.Minute)
	natstest.Within(t, natstest.Patience, "the purge", func() bool {
		_, err := s.PurgeMarkers(t.Context(), w.Directory)
		e, readErr := s.get(t.Context(), v1.BucketUsers, v1.UserKey(hex))
		return err == nil && readErr == nil && e.revision == 0
	})
	node := natstest.MustStart(t, embeddednats.Resume, x.cfgs[away])
	js := mustJetStream(t, node.MustConnect(t, embeddednats.AccountMembership))
	kept.mustRun(t, js)
	fresh := newWatched(quick).mustRun(t, js)
	for _, d := range []*watched{kept, fresh} {
		d.within(t, "ready", func() bool {
			if d.IsAuthorized(hex) {
				t.Fatal("a user is admitted whose removal was purged while the node was away")
			}
			return d.IsAuthorized(bob)
		})
	}
	kept.within(t, "ann told", func() bool { return strings.Contains(strings.Join(kept.told.take(), " "), hex) })
}

// On a replica that lags a watch shows a user whose removal is purged: no marker ever follows.
func TestAWatchThatBeginsOnAReplicaThatLagsIsNotBelieved(t *testing.T) {
	x := newTable(t)
	b := x.buckets[0]
	key, hex := mustKey(t)
	ctx, lost := context.WithCancelCause(t.Context())
	w := &watch{b: b, number: b.watch, lost: lost, from: 20}
	hear := func(n, sequence int, key, value string) {
		w.hear(&nats.Msg{Sub: &nats.Subscription{}, Subject: subjectOf(v1.BucketUsers, key), Data: []byte(value),
			Reply: fmt.Sprintf("$JS.ACK.S.C.1.%d.%d.1.0", sequence, n)})
	}
	hear(1, 7, v1.UserKey(hex), `{"name":"u","key":"`+key+`"}`)
	hear(2, 19, v1.HeartbeatKey, "n1")
	if !errors.Is(context.Cause(ctx), errBehind) {
		t.Errorf("the watch goes on: %v", context.Cause(ctx))
	}
	p := &proof{last: 21, subjects: 2, done: make(chan error, 1)}
	b.pending = p
	hear(3, 21, v1.HeartbeatKey, "n1")
	if b.last == 21 || len(p.done) > 0 {
		t.Error("a watch that was given up is believed all the same")
	}
}

// A watch without a proof is not believed again after so long a time that markers may have been purged.
func TestAWatchWithoutAProofEnds(t *testing.T) {
	_, js := mustOne(t)
	info := *must(t)(mustStore(t, js, StoreConfig{}).info(t.Context(), v1.BucketUsers)).(*jetstream.StreamInfo)
	old := &stale{JetStream: js}
	w := newWatched(quick)
	w.life = 2 * time.Second
	w.mustRun(t, old).withinReady(t)
	if w.log.Said(errUnproven.Error()) {
		t.Error("a watch with proofs was ended")
	}
	old.mu.Lock()
	old.info = &info
	old.mu.Unlock()
	w.within(t, "the end of the watch", func() bool { return w.log.Said(errUnproven.Error()) })
}

// What a directory knows is as old as what was told to the end: who is told disconnects users.
func TestAProofCountsOnceAllIsTold(t *testing.T) {
	for _, what := range []string{"the proof comes with the record", "the proof comes after it"} {
		t.Run(what, func(t *testing.T) {
			telling, end := make(chan struct{}), make(chan struct{})
			x := newTable(t)
			x.c.Changed = func([]string) { telling <- struct{}{}; <-end }
			b := x.buckets[0]
			key, hex := mustKey(t)
			x.seq = 6
			p := &proof{sent: instant{steady: time.Hour}, last: 7, subjects: 1, done: make(chan error, 1)}
			var wg sync.WaitGroup
			with := strings.Contains(what, "with")
			if with {
				b.pending = p
			}
			wg.Go(func() { x.user(key, hex) })
			<-telling
			if !with {
				wg.Go(func() {
					b.do(func(n *news) {
						b.pending = p
						b.judge(n)
					})
				})
			}
			if natstest.Until(100*time.Millisecond, func() bool { return len(p.done) > 0 || x.proven(b) == p.sent }) {
				t.Error("proven before all was told")
			}
			close(end)
			wg.Wait()
			if err := <-p.done; err != nil || x.proven(b) != p.sent {
				t.Errorf("not proven afterwards: %v", err)
			}
		})
	}
}

func (x *table) proven(b *bucket) instant {
	x.mu.RLock()
	defer x.mu.RUnlock()
	return b.proven
}

// asking is a log that asks the directory at every line.
type asking struct {
	slog.Handler
	d *Directory
}

func (a *asking) Handle(context.Context, slog.Record) error {
	a.d.Ready()
	return nil
}

func TestNothingIsLoggedUnderTheLock(t *testing.T) {
	x := newTable(t)
	x.Directory.log = slog.New(&asking{slog.DiscardHandler, x.Directory})
	done := make(chan struct{})
	go func() {
		x.tell(v1.BucketUsers, "group.x", "{}")
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(natstest.Patience):
		t.Fatal("the log waits for the lock, and the lock for the log")
	}
}
