// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// quick is a directory that does in tenths of seconds what it does in seconds elsewhere.
var quick = Config{Heartbeat: 200 * time.Millisecond, Patience: time.Second}

// told remembers who was told to have changed.
type told struct {
	mu    sync.Mutex
	users []string
}

func (o *told) hear(users []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.users = append(o.users, users...)
}

// take are those who were told since the last call.
func (o *told) take() []string {
	o.mu.Lock()
	defer o.mu.Unlock()
	users := o.users
	o.users = nil
	slices.Sort(users)
	return users
}

// watched is a directory that runs.
type watched struct {
	*Directory
	told *told
	log  *natstest.Log
	stop func() error
}

func newWatched(c Config) *watched {
	w := &watched{told: &told{}, log: natstest.NewLog()}
	c.Changed, c.Logger = w.told.hear, w.log.Logger()
	w.Directory = NewDirectory(c)
	return w
}

// mustRun runs the directory until the end of the test, or until stop is called.
func (w *watched) mustRun(t testing.TB, js jetstream.JetStream) *watched {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx, js) }()
	w.stop = sync.OnceValue(func() error { cancel(); return <-ended })
	t.Cleanup(func() {
		if err := w.stop(); err != nil && !js.Conn().IsClosed() {
			t.Error(err)
		}
	})
	return w
}

func (w *watched) withinReady(t testing.TB) *watched {
	t.Helper()
	natstest.Within(t, natstest.Patience, "ready", func() bool { return w.Ready() })
	return w
}

func (w *watched) within(t testing.TB, what string, cond func() bool) {
	t.Helper()
	if !natstest.Until(natstest.Patience, cond) {
		t.Fatalf("not in time: %s; %+v", what, w.State())
	}
}

func TestTheDirectoryFollowsTheStore(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	ann, annHex := mustUser(t, s, "ann")
	w := newWatched(quick).mustRun(t, js).withinReady(t)
	if !w.IsAuthorized(annHex) {
		t.Fatal("ready, and a user is unknown")
	}
	bob, bobHex := mustUser(t, s, "bob")
	room := mustRoom(t, s, "lab")
	must(t)(s.PutMember(ctx, "lab", bob, v1.RoleMember, 0))
	inRoom := func(key string, want bool) func() bool {
		return func() bool { _, _, ok := w.Role(key, room.ID); return ok == want }
	}
	w.within(t, "bob in the room", inRoom(bob, true))
	w.told.take()

	m := must(t)(s.PutMember(ctx, "lab", ann, v1.RoleReader, 0)).(Record[v1.Member])
	w.within(t, "ann in the room", inRoom(ann, true))
	w.within(t, "ann told", func() bool { return cmp.Equal(w.told.take(), []string{annHex}) })
	must(t)(s.PutMember(ctx, "lab", ann, v1.RoleMember, m.Revision))
	w.within(t, "ann told", func() bool { return cmp.Equal(w.told.take(), []string{annHex}) })
	must(t)(nil, s.RemoveMember(ctx, "lab", ann, 0))
	w.within(t, "ann out of the room", inRoom(ann, false))
	w.within(t, "ann told", func() bool { return cmp.Equal(w.told.take(), []string{annHex}) })
	r := must(t)(s.MarkDeleting(ctx, "lab", 0)).(Record[v1.Room])
	w.within(t, "bob out of the room", inRoom(bob, false))
	w.within(t, "bob told", func() bool { return cmp.Equal(w.told.take(), []string{bobHex}) })
	must(t)(nil, s.FinishDeletion(ctx, r.Value))
	must(t)(s.SetAdmin(ctx, bob, true, 0))
	must(t)(s.PutClass(ctx, DefaultClass("c"), 0))
	w.within(t, "the class", func() bool { _, ok := w.Class("c"); return ok && len(w.Classes()) == 1 })
	w.within(t, "the room gone", func() bool { return w.State().Rooms == 0 && w.State().Members == 0 })
	if got := w.told.take(); len(got) != 0 {
		t.Errorf("told of what changes nobody's grants: %v", got)
	}
	must(t)(nil, s.RemoveUser(ctx, ann, 0))
	w.within(t, "ann gone", func() bool { return !w.IsAuthorized(annHex) })
	w.within(t, "ann told", func() bool { return cmp.Equal(w.told.take(), []string{annHex}) })
	if err := w.Run(ctx, js.Conn()); err == nil {
		t.Error("it runs twice at a time")
	}
}

// A consumer that somebody deletes, or that goes with its node, says nothing of it.
func TestALostConsumerIsReplaced(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	w := newWatched(quick).mustRun(t, js).withinReady(t)
	for round := range 3 {
		key, hex := mustUser(t, s, fmt.Sprint("u", round))
		w.within(t, "the user", func() bool { return w.IsAuthorized(hex) })
		mustLoseConsumers(t, js, v1.BucketUsers)
		must(t)(nil, s.RemoveUser(ctx, key, 0))
		w.within(t, "the user gone", func() bool { return !w.IsAuthorized(hex) })
	}
	if !w.log.Said("WARN", v1.BucketUsers) {
		t.Error("nothing was logged")
	}
}

func mustLoseConsumers(t testing.TB, js jetstream.JetStream, bucket string) {
	t.Helper()
	stream := must(t)(js.Stream(t.Context(), streamOf(bucket))).(jetstream.Stream)
	list := stream.ConsumerNames(t.Context())
	for name := range list.Name() {
		must(t)(nil, stream.DeleteConsumer(t.Context(), name))
	}
	must(t)(nil, list.Err())
}

// What changes, or vanishes without a trace, while a node restarts its server is noticed afterwards.
func TestARestartNoticesWhatHappenedMeanwhile(t *testing.T) {
	cfg := natstest.MustConfigs(t, 1, natstest.Options{})[0]
	node := natstest.MustStart(t, embeddednats.Found, cfg)
	js := mustBuckets(t, node, 1, 4<<20)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	var keys, hexes []string
	for i := range 3 {
		key, hex := mustUser(t, s, fmt.Sprint("u", i))
		keys, hexes = append(keys, key), append(hexes, hex)
	}
	w := newWatched(quick).mustRun(t, js).withinReady(t)
	node.Stop()
	natstest.Within(t, natstest.Patience, "the end of the run", func() bool { return w.stopped() })
	if err := w.stop(); err == nil {
		t.Error("the connection is closed, and Run says nothing of it")
	}
	if w.Ready() || w.IsAuthorized(hexes[2]) {
		t.Error("ready without a server")
	}
	if p, _ := w.Grants(hexes[2]); len(p) == 0 {
		t.Error("what was known is forgotten")
	}
	w.told.take()

	node = natstest.MustStart(t, embeddednats.Resume, cfg)
	js = mustJetStream(t, node.MustConnect(t, embeddednats.AccountMembership))
	s = mustStore(t, js, StoreConfig{})
	natstest.Within(t, natstest.Patience, "a removal", func() bool { return s.RemoveUser(ctx, keys[0], 0) == nil })
	stream := must(t)(js.Stream(ctx, streamOf(v1.BucketUsers))).(jetstream.Stream)
	must(t)(nil, stream.Purge(ctx, jetstream.WithPurgeSubject(subjectOf(v1.BucketUsers, v1.UserKey(hexes[1])))))
	w.mustRun(t, js).withinReady(t)
	if w.IsAuthorized(hexes[0]) || w.IsAuthorized(hexes[1]) || !w.IsAuthorized(hexes[2]) {
		t.Errorf("authorized: %v, %v, %v", w.IsAuthorized(hexes[0]), w.IsAuthorized(hexes[1]), w.IsAuthorized(hexes[2]))
	}
	want := slices.Sorted(slices.Values(hexes[:2]))
	w.within(t, "both told", func() bool { return cmp.Equal(w.told.take(), want) })
}

func (d *Directory) stopped() bool {
	d.mu.RLock()
	defer d.mu.RUnlock()
	return d.nc == nil
}

// A bucket that is another one, restored or made anew, counts from 1 again.
func TestABucketMadeAnewIsReadAnew(t *testing.T) {
	node, js := mustOne(t)
	s := mustStore(t, js, StoreConfig{})
	_, old := mustUser(t, s, "old")
	for i := range 20 {
		mustUser(t, s, fmt.Sprint("u", i))
	}
	key, hex := mustUser(t, s, "both") // last, so that its sequence is higher than all that come anew
	w := newWatched(quick).mustRun(t, js).withinReady(t)
	must(t)(nil, js.DeleteKeyValue(t.Context(), v1.BucketUsers))
	mustBuckets(t, node, 1, 4<<20)
	_, fresh := mustUser(t, s, "fresh")
	must(t)(s.CreateUser(t.Context(), v1.User{Name: "both", Key: key}))
	must(t)(nil, s.RemoveUser(t.Context(), key, 0))
	w.within(t, "the new users", func() bool { return w.IsAuthorized(fresh) && !w.IsAuthorized(old) && !w.IsAuthorized(hex) })
	if w.State().Users != 1 {
		t.Errorf("%+v", w.State())
	}
}
