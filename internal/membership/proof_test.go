// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// partial is a JetStream whose first consumers of users show a part of them.
type partial struct {
	jetstream.JetStream
	mu     sync.Mutex
	change func(*jetstream.ConsumerConfig)
	times  int
}

func (p *partial) CreatePushConsumer(ctx context.Context, stream string, c jetstream.ConsumerConfig) (jetstream.PushConsumer, error) {
	p.mu.Lock()
	if p.times > 0 && stream == streamOf(v1.BucketUsers) {
		p.times--
		p.change(&c)
	}
	p.mu.Unlock()
	return p.JetStream.CreatePushConsumer(ctx, stream, c)
}

func TestAWatchThatShowsAPartIsNotBelieved(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	var keys []string
	for i := range 20 {
		key, _ := mustUser(t, s, fmt.Sprint("u", i))
		keys = append(keys, key)
	}
	info := must(t)(s.info(ctx, v1.BucketUsers)).(*jetstream.StreamInfo)
	for said, change := range map[string]func(*jetstream.ConsumerConfig){
		"keys up to sequence": func(c *jetstream.ConsumerConfig) { // a replica has no more
			c.DeliverPolicy, c.OptStartSeq = jetstream.DeliverByStartSequencePolicy, info.State.LastSeq/2
		},
		"the watch stands at": func(c *jetstream.ConsumerConfig) { c.FilterSubject = subjectOf(v1.BucketUsers, "user.*") },
	} {
		lagging := &partial{JetStream: js, change: change, times: 2}
		w := newWatched(quick).mustRun(t, lagging)
		w.within(t, "ready", func() bool {
			s := w.State()
			if s.Ready && s.Users != len(keys) {
				t.Fatalf("ready with %d users of %d", s.Users, len(keys))
			}
			return s.Ready
		})
		if lagging.times != 0 || !w.log.Said(said) {
			t.Errorf("the watches that showed a part were not noticed: %q", said)
		}
		must(t)(nil, w.stop())
	}
}

// stale is a JetStream on which another than the leader tells about a stream.
type stale struct {
	jetstream.JetStream
	mu   sync.Mutex
	info *jetstream.StreamInfo
}

type staleStream struct {
	jetstream.Stream
	info *jetstream.StreamInfo
}

func (s staleStream) CachedInfo() *jetstream.StreamInfo { return s.info }

func (s *stale) Stream(ctx context.Context, name string) (jetstream.Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	stream, err := s.JetStream.Stream(ctx, name)
	if err == nil && s.info != nil && s.info.Config.Name == name {
		stream = staleStream{stream, s.info}
	}
	return stream, err
}

func TestAnAnswerOfAnotherThanTheLeaderIsNotBelieved(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	mustUser(t, s, "ann")
	for what, change := range map[string]func(*jetstream.StreamInfo){
		"an old one":        func(*jetstream.StreamInfo) {},
		"one of leaderless": func(i *jetstream.StreamInfo) { i.State.LastSeq, i.Cluster = 1<<60, &jetstream.ClusterInfo{} },
	} {
		info := *must(t)(s.info(ctx, v1.BucketUsers)).(*jetstream.StreamInfo)
		change(&info)
		old := &stale{JetStream: js, info: &info}
		w := newWatched(quick).mustRun(t, old)
		w.within(t, what+" is noticed", func() bool { return w.log.Said("not of the leader") })
		if w.Ready() {
			t.Error("ready after " + what)
		}
		old.mu.Lock()
		old.info = nil
		old.mu.Unlock()
		w.withinReady(t)
		must(t)(nil, w.stop())
	}
}

func TestAGapInAWatchIsNoticed(t *testing.T) {
	x := newTable(t)
	ctx, lost := context.WithCancelCause(t.Context())
	w := &watch{b: x.buckets[0], number: x.buckets[0].watch, lost: lost}
	hear := func(n int, reply string) {
		w.hear(&nats.Msg{Sub: &nats.Subscription{}, Subject: subjectOf(v1.BucketUsers, v1.UserNameKey(fmt.Sprint("n", n))), Reply: reply})
	}
	for n := range 3 {
		hear(n, fmt.Sprintf("$JS.ACK.S.C.1.%d.%d.1.0", 10+n, 1+n))
	}
	if ctx.Err() != nil {
		t.Fatal(context.Cause(ctx))
	}
	hear(5, "$JS.ACK.S.C.1.15.5.1.0")
	if ctx.Err() == nil || x.buckets[0].last != 12 {
		t.Error("a message that is missing was not noticed")
	}
}

func TestABucketOfMegabytesIsLoaded(t *testing.T) {
	node := natstest.MustFound(t, natstest.Options{})
	js := mustBuckets(t, node, 1, 32<<20)
	_, hex := mustKey(t)
	const rooms = 20_000
	for i := range rooms {
		room := strings.NewReplacer("0", "A", "1", "B", "8", "C", "9", "D").Replace(fmt.Sprintf("%026d", i))
		_, err := js.PublishAsync(subjectOf(v1.BucketMembers, v1.MemberKey(room, hex)), []byte(`{"role":"member"}`), jetstream.WithStallWait(natstest.Patience))
		if err != nil {
			t.Fatal(err)
		}
	}
	<-js.PublishAsyncComplete()
	w := newWatched(quick).mustRun(t, js).withinReady(t)
	if s := w.State(); s.Members != rooms || s.Bad != 0 {
		t.Errorf("%+v", s)
	}
}

func TestAgeDecides(t *testing.T) {
	now := time.Unix(1e9, 0)
	for _, refuse := range []time.Duration{0, DefaultRefuseAfter} {
		x := &table{t: t, Directory: NewDirectory(Config{RefuseAfter: refuse, Now: func() time.Time { return now }})}
		key, hex := mustKey(t)
		x.user(key, hex)
		if x.IsAuthorized(hex) {
			t.Error("authorized before all was seen")
		}
		for _, b := range x.buckets {
			b.loaded, b.proven = true, x.clock()
		}
		begin := now
		now = begin.Add(DefaultRefuseAfter)
		if !x.IsAuthorized(hex) || x.Age() != DefaultRefuseAfter {
			t.Errorf("refused at an age of %v", x.Age())
		}
		now = begin.Add(DefaultRefuseAfter + 1)
		if x.IsAuthorized(hex) != (refuse == 0) || x.State().Ready != (refuse == 0) {
			t.Errorf("at an age of %v, with refusal after %v: %+v", x.Age(), refuse, x.State())
		}
		x.buckets[0].proven, x.buckets[1].proven = x.clock(), x.clock() // the oldest counts
		if x.Age() != DefaultRefuseAfter+1 || x.IsAuthorized(hex) != (refuse == 0) {
			t.Errorf("age %v", x.Age())
		}
	}
}

// A machine that has slept was cut off meanwhile, though the clock that is never set stood still; one whose other clock was set back still is.
func TestAgeGoesByTheClockThatHasGoneFurther(t *testing.T) {
	const most = DefaultRefuseAfter
	for what, gone := range map[string]instant{
		"it slept":               {time.Unix(1e9, 0).Add(most + 1), 1},
		"the clock was set back": {time.Unix(1e9, 0).Add(-time.Hour), most + 1},
		"both went on":           {time.Unix(1e9, 0).Add(most + 1), most + 1},
	} {
		x := newTable(t)
		key, hex := mustKey(t)
		x.user(key, hex)
		now := instant{wall: time.Unix(1e9, 0)}
		x.clock, x.c.RefuseAfter = func() instant { return now }, most
		for _, b := range x.buckets {
			b.proven = now
		}
		if !x.IsAuthorized(hex) || x.Age() != 0 {
			t.Errorf("%s: refused before, at an age of %v", what, x.Age())
		}
		now = gone
		if x.IsAuthorized(hex) || x.Age() != most+1 || x.State().Age != most+1 {
			t.Errorf("%s: the age is %v", what, x.Age())
		}
	}
}

// The two clocks are both those of Config.Now: what has none that is never set goes by the other.
func TestTheClocksAreThoseOfTheConfiguration(t *testing.T) {
	now := time.Now()
	d := NewDirectory(Config{Now: func() time.Time { return now }})
	now = now.Add(time.Second)
	if got := d.clock(); got.steady != time.Second || got.wall != now.Round(0) || got.wall == now {
		t.Errorf("%+v, %v", got, now)
	}
}

func TestAProofIsJudgedByWhatWasShown(t *testing.T) {
	x := newTable(t)
	b := x.buckets[0]
	b.loaded = false
	for i := range 5 {
		x.tell(v1.BucketUsers, v1.UserNameKey(fmt.Sprint("n", i)), "x") // sequences 1 to 5
	}
	x.tell(v1.BucketUsers, v1.UserNameKey("n0"), "y") // 6
	judge := func(last uint64, subjects int) error {
		p := &proof{last: last, subjects: subjects, done: make(chan error, 1)}
		b.pending = p
		b.do(b.judge)
		select {
		case err := <-p.done:
			return err
		default:
			return errors.ErrUnsupported
		}
	}
	for _, c := range []struct {
		last     uint64
		subjects int
		proven   bool
	}{{6, 6, false}, {6, 4, false}, {3, 5, false}, {3, 4, false}, {6, 5, true}, {4, 4, true}} {
		if err := judge(c.last, c.subjects); (err == nil) != c.proven || b.loaded != c.proven {
			t.Errorf("%d subjects at %d: %v, loaded %v", c.subjects, c.last, err, b.loaded)
		}
	}
	b.loaded = false
	if err := judge(7, 5); !errors.Is(err, errors.ErrUnsupported) || b.loaded {
		t.Errorf("decided before it was shown: %v", err)
	}
}

// TestABucketThatLostItsEndIsReadAnew: what is known of it has revisions that are given again.
func TestABucketThatLostItsEndIsReadAnew(t *testing.T) {
	b := NewDirectory(Config{}).buckets[0]
	created := time.Unix(1e9, 0)
	b.created, b.floor, b.keys["user.x"] = created, 9, &known{revision: 8}
	if b.remade(created, 9) || b.keys["user.x"].revision != 8 {
		t.Error("a bucket that is as it was was taken for another")
	}
	if !b.remade(created, 7) || b.keys["user.x"].revision != 0 || b.floor != 0 {
		t.Errorf("a removal at sequence 8 would look old: revision %d, floor %d", b.keys["user.x"].revision, b.floor)
	}
}

// Who is told of one bucket may hold up what is to be told of another: then that is no newer either.
func TestAProofWaitsForWhatAnotherBucketHoldsUp(t *testing.T) {
	telling, end := make(chan struct{}, 2), make(chan struct{})
	x := newTable(t)
	key, hex := mustKey(t)
	x.user(key, hex)
	x.room("lab", id("A"), false)
	x.c.Changed = func([]string) { telling <- struct{}{}; <-end }
	users := x.buckets[0]
	p := &proof{sent: instant{steady: time.Hour}, last: 4, subjects: 1, done: make(chan error, 1)}
	users.pending = p
	var wg sync.WaitGroup
	wg.Go(func() { x.member(id("A"), hex, v1.RoleMember) })
	<-telling
	wg.Go(func() { // the removal, with which the proof comes
		users.do(func(n *news) { users.see(users.watch, v1.UserKey(hex), p.last, nil, n) })
	})
	natstest.Within(t, natstest.Patience, "the removal to be known", func() bool { return !x.IsListed(hex) })
	if natstest.Until(100*time.Millisecond, func() bool { return len(telling) > 0 || len(p.done) > 0 || x.proven(users) == p.sent }) {
		t.Error("proven before the removal was told")
	}
	close(end)
	wg.Wait()
	if err := <-p.done; err != nil || x.proven(users) != p.sent {
		t.Errorf("not proven afterwards: %v", err)
	}
}
