// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// leader returns the node that leads the class's stream, and the others.
func (b *bus) leader() (leader *natstest.Node, others []*natstest.Node) {
	b.t.Helper()
	b.within("a leader", func() bool {
		leader, others = nil, nil
		for _, n := range b.nodes {
			if n.Unwrap().JetStreamIsStreamLeader(embeddednats.AccountHistory, v1.HistoryStream(b.class.Name)) {
				leader = n
			} else {
				others = append(others, n)
			}
		}
		return leader != nil
	})
	return leader, others
}

// Whoever answers, a reader that names its own last append sees it.
func TestClusterAtLeast(t *testing.T) {
	b := newBus(t, 3, smallClass(), nil)
	leader, others := b.leader()
	writer := b.client(alice, leader)
	var readers []*client
	for _, n := range others {
		readers = append(readers, b.client(bob, n))
	}
	for i := range 200 {
		a := writer.append(red, fmt.Sprint(i))
		if a.Error != nil {
			t.Fatal(a.Error)
		}
		for _, r := range []v1.HistoryRequest{{From: a.Sequence, AtLeast: a.Sequence}, {Last: 1, AtLeast: a.Sequence}} {
			messages, end := readers[i%2].history(red, r)
			if end.Error != nil || len(messages) != 1 || string(messages[0].Data) != fmt.Sprint(i) {
				t.Fatalf("after %d: %d messages, %+v", i, len(messages), end)
			}
		}
	}
}

// follower reads log.<room> and fills what it missed from the history, as a client does.
type follower struct {
	t    *testing.T
	c    *client
	seen []string
	last uint64
	gaps int
}

func number(t testing.TB, m *nats.Msg, header string) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(m.Header.Get(header), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func (f *follower) take(m *nats.Msg) {
	f.t.Helper()
	sequence := number(f.t, m, v1.HeaderLogSequence)
	if sequence <= f.last {
		return
	}
	if number(f.t, m, v1.HeaderLogPrevious) > f.last {
		f.gaps++
		f.fill(sequence)
		return
	}
	f.seen, f.last = append(f.seen, string(m.Data)), sequence
}

// fill reads up to a sequence that is known to be there.
func (f *follower) fill(upTo uint64) {
	f.t.Helper()
	natstest.Within(f.t, natstest.Patience, fmt.Sprint("history up to ", upTo), func() bool {
		messages, end := f.c.history(red, v1.HistoryRequest{From: f.last + 1, AtLeast: upTo})
		for i, n := range sequences(f.t, messages) {
			f.seen, f.last = append(f.seen, string(messages[i].Data)), n
		}
		return end.Error == nil && f.last >= upTo
	})
}

// The log tells each message with the one before it, so that what was not told shows, and the history has it: nothing is missed when
// the leader is killed in the middle of appends, and each is kept once.
func TestClusterFollowThroughTheDeathOfTheLeader(t *testing.T) {
	const total = 600
	b := newBus(t, 3, smallClass(), nil)
	leader, others := b.leader()
	follows := b.client(bob, others...)
	logs, err := follows.SubscribeSync(v1.LogSubject(red))
	if err != nil {
		t.Fatal(err)
	}
	if err := follows.Flush(); err != nil {
		t.Fatal(err)
	}
	w, u := b.client(alice, others...), b.client(alice, others...)
	var writers sync.WaitGroup
	var last uint64
	half := make(chan struct{})
	writers.Go(func() {
		for i := range total {
			if i == total/2 {
				close(half)
			}
			last = w.mustAppend(red, fmt.Sprint(i))
			u.mustAppend(blue, fmt.Sprint("other ", i))
		}
	})
	<-half
	leader.Stop()
	f := &follower{t: t, c: follows}
	for stop := false; !stop; {
		m, err := logs.NextMsg(time.Second)
		switch {
		case err == nil:
			f.take(m)
			stop = len(f.seen) >= total
		default:
			if done := make(chan struct{}); true {
				go func() { writers.Wait(); close(done) }()
				select {
				case <-done:
					f.fill(last)
					stop = true
				case <-time.After(time.Second):
				}
			}
		}
	}
	writers.Wait()
	t.Logf("%d gaps were filled", f.gaps)
	for i, got := range f.seen {
		if got != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, got)
		}
	}
	if len(f.seen) != total {
		t.Fatalf("%d messages, want %d", len(f.seen), total)
	}
}

// A gap that is made: messages that nobody told.
func TestFollowFillsAGap(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	c := b.client(alice)
	logs, err := c.SubscribeSync(v1.LogSubject(red))
	if err != nil {
		t.Fatal(err)
	}
	f := &follower{t: t, c: c}
	for i := range 30 {
		for _, room := range []string{red, blue} {
			if a := c.append(room, fmt.Sprint(i)); a.Error != nil {
				t.Fatal(a.Error)
			}
		}
		m, err := logs.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if i%10 != 3 && i%10 != 4 { // these are lost on the way
			f.take(m)
		}
	}
	if f.gaps != 3 || len(f.seen) != 30 {
		t.Errorf("%d gaps, %d messages", f.gaps, len(f.seen))
	}
	for i, got := range f.seen {
		if got != fmt.Sprint(i) {
			t.Fatalf("message %d is %q", i, got)
		}
	}
}

// Requests that a node has taken are answered before it leaves; later ones go to the others.
func TestClusterDrain(t *testing.T) {
	b := newBus(t, 3, smallClass(), nil)
	c := b.client(alice)
	const total = 2000
	answers := make(chan *nats.Msg, total)
	inbox := c.NewInbox()
	if _, err := c.ChanSubscribe(inbox, answers); err != nil {
		t.Fatal(err)
	}
	for i := range total {
		if i == total/2 {
			b.stops[0]()
		}
		if err := c.PublishRequest(v1.AppendSubject(alice, red), inbox, []byte(fmt.Sprint(i))); err != nil {
			t.Fatal(err)
		}
	}
	for i := range total {
		select {
		case m := <-answers:
			if e := errorOf(t, m); e != nil {
				t.Fatalf("answer %d: %v", i, e)
			}
		case <-time.After(natstest.Patience):
			t.Fatalf("%d answers, want %d", i, total)
		}
	}
	if n := b.services[0].Counts().InFlight; n != 0 {
		t.Errorf("%d are in flight after the end", n)
	}
}

// A node serves its own clients: the others' nodes are not on the way. When it does not, others do.
func TestClientsAreServedByTheirNode(t *testing.T) {
	b := newBus(t, 3, smallClass(), nil)
	c := b.client(alice, b.nodes[1])
	const appends = 3 * probeEvery
	for i := range appends {
		if i%2 == 0 {
			c.mustAppend(red, "x")
			continue
		}
		c.mustAppend(blue, "x")
	}
	if _, end := c.history(red, v1.HistoryRequest{}); end.Error != nil {
		t.Error(end.Error)
	}
	taken := func() (n [3]uint64) {
		for i, s := range b.services {
			counts := s.Counts().Requests
			n[i] = counts["append"][OutcomeOK] + counts["history"][OutcomeOK]
		}
		return n
	}
	// A node counts what it has taken after it has sent it on, and the stream may have answered by then.
	b.within("all to be taken by the second", func() bool { return taken() == [3]uint64{1: appends + 1} })
	b.stops[1]()
	for range 10 {
		c.mustAppend(red, "x")
	}
	b.within("ten more to be taken by the first and the third", func() bool { n := taken(); return n[0]+n[2] == 10 })
}

// Whoever does not know whether its message is kept repeats it, elsewhere after a death: it is kept once.
func TestClusterRepeatsAfterADeath(t *testing.T) {
	b := newBus(t, 3, smallClass(), nil)
	leader, others := b.leader()
	c := b.client(alice, leader)
	var kept []uint64
	for i := range 50 {
		kept = append(kept, c.mustAppend(red, fmt.Sprint(i)))
	}
	leader.Stop()
	c = b.client(alice, others...)
	for i, sequence := range kept {
		if got := c.mustAppend(red, fmt.Sprint(i)); got != sequence {
			t.Fatalf("message %d was kept at %d, and again at %d", i, sequence, got)
		}
	}
	if messages, end := c.history(red, v1.HistoryRequest{AtLeast: kept[len(kept)-1]}); len(messages) != len(kept) {
		t.Errorf("%d messages, want %d: %+v", len(messages), len(kept), end)
	}
}
