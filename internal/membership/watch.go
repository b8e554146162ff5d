// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

const (
	// shortestIdle is the shortest idle heartbeat of a consumer that the server grants.
	shortestIdle = 100 * time.Millisecond
	// pause is the time before a watch is made again, or a proof tried again.
	pause = 200 * time.Millisecond
)

// bucket is what the directory knows of one bucket, and of the watch that tells it. Its fields are guarded by the directory's lock.
type bucket struct {
	d    *Directory
	name string

	telling sync.Mutex // a record that was seen, and what is to be done about it, come before the next; taken before the lock

	keys    map[string]*known
	floor   uint64    // up to here all keys that there are have been seen: one that is not known was removed without a trace
	created time.Time // of the stream: sequences of another one mean nothing
	watch   int       // number of the watch
	last    uint64    // highest sequence that this watch has shown
	told    uint64    // up to here Changed was told what this watch has shown
	born    []uint64  // the sequences, rising, with which this watch has shown a subject for the first time
	whole   bool      // this watch was proven to have shown all

	pending *proof
	proven  instant // the sending time of the newest heartbeat that was proven
	loaded  bool    // proven since Run began
	reason  string  // of the last failure
}

// known is the newest revision of a key that was seen, in whatever watch, and the last watch that has shown the key.
type known struct {
	revision uint64
	watch    int
	gone     time.Time // when a removal was seen that is the newest revision
}

// news is what is to be done outside of the lock about what was seen.
type news struct {
	changed changes
	bad     map[string]error // records that are ignored from now on, by key
	proven  *proof
}

// run watches until the context ends or the connection is closed.
func (b *bucket) run(ctx context.Context, js jetstream.JetStream) {
	for ctx.Err() == nil && !js.Conn().IsClosed() {
		err := b.follow(ctx, js)
		if ctx.Err() != nil {
			return
		}
		b.blame(err)
		wait(ctx, pause)
	}
}

// blame remembers why there is no proof, and says it if it is news.
func (b *bucket) blame(err error) {
	b.d.mu.Lock()
	said := err.Error() == b.reason
	b.reason = err.Error()
	b.d.mu.Unlock()
	switch {
	case said:
	case errors.Is(err, errPurged), errors.Is(err, errBehind): // nothing is wrong
		b.d.log.Info("membership is read anew", "bucket", b.name, "reason", err)
	default:
		b.d.log.Warn("membership is not seen for sure; trying again", "bucket", b.name, "error", err)
	}
}

// follow makes a watch and lives with it, until it is lost or not to be believed.
//
// The consumer is a plain one that pushes, and each of its messages is numbered: a gap is noticed with the next message, and all else,
// such as a consumer that is lost, by the next proof. It is believed only if the replica that it is on has, at its start, a heartbeat that
// was acknowledged before: on one that lags, a key may be shown whose removal was purged since, so that no marker ever follows.
func (b *bucket) follow(ctx context.Context, js jetstream.JetStream) error {
	ctx, cancel := context.WithCancelCause(ctx)
	life := time.AfterFunc(b.d.life, func() { cancel(errUnproven) })
	defer life.Stop()
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	nc := js.Conn()
	making, done := context.WithTimeout(ctx, b.d.c.Patience)
	defer done()
	from, err := b.beat(making, js)
	if err != nil {
		return err
	}
	w := &watch{b: b, number: b.begin(), nc: nc, lost: cancel, from: from}
	sub, err := nc.Subscribe(nc.NewInbox(), w.hear)
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	defer func() { _ = sub.Unsubscribe() }() // it fails on a closed connection only
	if err := sub.SetPendingLimits(-1, -1); err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	_, err = js.CreatePushConsumer(making, streamOf(b.name), jetstream.ConsumerConfig{
		DeliverSubject: sub.Subject, DeliverPolicy: jetstream.DeliverLastPerSubjectPolicy, FilterSubject: subjectOf(b.name, ">"),
		AckPolicy: jetstream.AckNonePolicy, MaxDeliver: 1, MemoryStorage: true, Replicas: 1, FlowControl: true,
		IdleHeartbeat: max(b.d.c.Patience/4, shortestIdle),
	})
	if err != nil {
		return fmt.Errorf("make a consumer: %w", err)
	}
	wg.Go(func() { cancel(b.prove(ctx, js, life)) })
	<-ctx.Done()
	return context.Cause(ctx)
}

// wait waits, and says whether the context still goes on.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// begin forgets the last watch, not what it has shown.
func (b *bucket) begin() int {
	b.d.mu.Lock()
	defer b.d.mu.Unlock()
	b.watch++
	b.last, b.told, b.born, b.whole, b.pending = 0, 0, nil, false, nil
	return b.watch
}

// watch is a consumer at work. hear is called by one goroutine.
type watch struct {
	b      *bucket
	number int
	nc     *nats.Conn
	lost   context.CancelCauseFunc
	got    uint64 // messages
	from   uint64 // what its first heartbeat must have come to
	beaten bool   // it was shown
}

var (
	errBehind   = errors.New("the watch began on a replica that lagged")
	errUnproven = errors.New("the watch was without a proof for too long")
)

func (w *watch) hear(m *nats.Msg) {
	if m.Header.Get("Status") != "" { // an idle heartbeat, or a request to say how far we are
		for _, reply := range []string{m.Reply, m.Header.Get("Nats-Consumer-Stalled")} {
			if reply != "" {
				_ = w.nc.Publish(reply, nil) // if it fails, the consumer stalls, and the proofs fail
			}
		}
		return
	}
	meta, err := m.Metadata()
	if err == nil && meta.Sequence.Consumer != w.got+1 {
		err = fmt.Errorf("message %d of the watch came after %d", meta.Sequence.Consumer, w.got)
	}
	key := strings.TrimPrefix(m.Subject, subjectOf(w.b.name, ""))
	if beat := key == v1.HeartbeatKey; err == nil && beat && !w.beaten {
		if w.beaten = true; meta.Sequence.Stream < w.from {
			err = errBehind
		}
	}
	if err != nil { // nothing is heard any more: the next message comes after a gap
		w.lost(err)
		return
	}
	w.got++
	value := m.Data
	if isMarker(m.Header) {
		value = nil
	} else if value == nil {
		value = []byte{}
	}
	w.b.do(func(n *news) { w.b.see(w.number, key, meta.Sequence.Stream, value, n) })
}

// do does something under the lock, and then outside of it what that comes to. A proof counts when all that was seen before it has been
// told: whoever is told disconnects users.
func (b *bucket) do(what func(n *news)) {
	b.telling.Lock()
	defer b.telling.Unlock()
	n := news{changed: changes{}}
	b.d.mu.Lock()
	what(&n)
	watch, shown := b.watch, b.last
	b.d.mu.Unlock()
	for key, err := range n.bad {
		b.d.log.Error("a membership record is ignored, whoever it names has nothing by it; remove it", "bucket", b.name, "key", key, "error", err)
	}
	b.d.changed(n.changed)
	b.d.mu.Lock()
	if b.watch == watch {
		b.told = shown
	}
	if n.proven != nil {
		b.proven = n.proven.sent
	}
	ready := b.d.takeTold()
	b.d.mu.Unlock()
	b.d.answer(ready)
	if p := n.proven; p != nil {
		p.done <- nil
	}
}

// see takes a record of a watch; value is nil for a key that was removed. The lock is held.
func (b *bucket) see(watch int, key string, sequence uint64, value []byte, n *news) {
	if b.watch != watch {
		return // it comes late, after a newer watch was begun
	}
	k := b.keys[key]
	if k == nil {
		k = &known{revision: b.floor}
		b.keys[key] = k
	}
	if k.watch != b.watch {
		k.watch = b.watch
		b.born = append(b.born, sequence)
	}
	b.last = max(b.last, sequence)
	if name := string(value); key == v1.HeartbeatKey && name != "" {
		b.d.alive[name] = b.d.clock()
	}
	if sequence > k.revision { // a replica that lags shows again what is past
		k.revision, k.gone = sequence, time.Time{}
		if value == nil {
			k.gone = b.d.c.Now()
		}
		b.apply(key, value, n)
	}
	b.judge(n)
}

func (b *bucket) apply(key string, value []byte, n *news) {
	var revision uint64
	if k := b.keys[key]; k != nil {
		revision = k.revision
	}
	if err := b.d.index.apply(b.name, key, value, revision, n.changed); err != nil {
		if n.bad == nil {
			n.bad = map[string]error{}
		}
		n.bad[key] = err
	}
}

// shown is how many subjects the watch has shown up to a sequence.
func (b *bucket) shown(sequence uint64) int {
	n, _ := slices.BinarySearch(b.born, sequence+1)
	return n
}

// sweep removes what a whole watch has not shown.
func (b *bucket) sweep(n *news) {
	for key, k := range b.keys {
		if k.watch != b.watch {
			delete(b.keys, key)
			b.apply(key, nil, n)
		}
	}
}

// errRemade says that the stream is another one than before.
var errRemade = errors.New("the bucket was made anew, or has lost its end")

// remade forgets the revisions of a stream that is not there any more, or whose last messages a power cut has taken from all who had
// them: its sequences are given again, and a removal at one of them must not look old.
func (b *bucket) remade(created time.Time, last uint64) bool {
	b.d.mu.Lock()
	defer b.d.mu.Unlock()
	was := b.created
	if b.created = created; (was.IsZero() || was.Equal(created)) && last >= b.floor {
		return false
	}
	b.floor = 0
	for _, k := range b.keys {
		k.revision, k.gone = 0, time.Time{}
	}
	return true
}
