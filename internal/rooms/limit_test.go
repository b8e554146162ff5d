// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

func TestLimits(t *testing.T) {
	class := v1.Class{Name: "c", PublisherRate: 2, RoomRate: 3}
	l, now := newLimits(), time.Unix(1000, 0)
	expect := func(user, room string, want *v1.Error) {
		t.Helper()
		if got := l.allow(class, user, room, now); got != want {
			t.Errorf("%s in %s: %v, want %v", user, room, got, want)
		}
	}
	expect("a", "r", nil)
	expect("a", "r", nil)
	expect("a", "r", errPublisherRate) // and takes nothing from the room
	expect("b", "r", nil)
	expect("b", "r", errRoomRate)
	expect("c", "s", nil)
	expect("a", "s", errPublisherRate)
	other := class
	other.Name = "d"
	if l.allow(other, "a", "t", now) != nil {
		t.Error("the rate in one class counts in another")
	}
	now = now.Add(time.Second)
	expect("a", "r", nil)
	class.PublisherRate = 0 // the class was changed
	expect("a", "r", nil)
	expect("a", "r", nil)
	expect("a", "r", errRoomRate)
	class.RoomRate = 10
	expect("a", "r", errRoomRate)
	now = now.Add(time.Second)
	for range 10 {
		expect("a", "r", nil)
	}
	expect("a", "r", errRoomRate)
	class.RoomRate = 0.1
	expect("a", "new", nil)
	expect("a", "new", errRoomRate)
}

// A user who asks for more than a node lets one user is refused, whatever it asks for, and takes nothing from others.
func TestUserRates(t *testing.T) {
	now := time.Now()
	b := newBus(t, 1, smallClass(), func(c *Config) { c.AppendRate, c.RequestRate, c.Now = 3, 2, func() time.Time { return now } })
	a, bo := b.client(alice), b.client(bob)
	a.fill(3, red)
	expectCode(t, a.append(red, "4").Error, v1.CodeRate)
	bo.fill(3, red)
	for range 2 {
		if _, end := a.history(red, v1.HistoryRequest{}); end.Error != nil {
			t.Error(end.Error)
		}
		if answer := a.rooms(""); answer.Error != nil {
			t.Error(answer.Error)
		}
	}
	_, end := a.history(red, v1.HistoryRequest{})
	expectCode(t, end.Error, v1.CodeRate)
	expectCode(t, a.rooms("").Error, v1.CodeRate)
	if messages, end := bo.history(red, v1.HistoryRequest{}); len(messages) != 6 {
		t.Errorf("%d messages, %+v", len(messages), end)
	}
}

// Long lists of rooms count as more than one request: a user has a few of them a second, as many short ones as ever, and others have theirs.
func TestLongListsOfRoomsCountAsMore(t *testing.T) {
	now := time.Now()
	b := newBus(t, 1, smallClass(), func(c *Config) { c.RequestRate, c.Now = 100, func() time.Time { return now } })
	b.putInto(alice, roomsPage)
	a, bo := b.client(alice), b.client(bob)
	for range 2 {
		if answer := a.rooms(""); answer.Error != nil || len(answer.Rooms) != roomsPage {
			t.Errorf("%d rooms, %v", len(answer.Rooms), answer.Error)
		}
	}
	expectCode(t, a.rooms("").Error, v1.CodeRate)
	for range 100 {
		if answer := bo.rooms(""); answer.Error != nil {
			t.Fatal(answer.Error)
		}
	}
	expectCode(t, bo.rooms("").Error, v1.CodeRate)
}

// One user's requests that are not answered yet leave room for those of others.
func TestRequestsInFlightOfOneUserAreBounded(t *testing.T) {
	b := newBus(t, 1, smallClass(), func(c *Config) { c.MaxAppendsOfUser, c.MaxReadsOfUser, c.AppendTimeout = 2, 2, time.Hour })
	room := b.stuck("stuck")
	c := b.client(alice)
	for range b.services[0].most[serviceAppend] {
		if err := c.PublishRequest(v1.AppendSubject(alice, room), c.NewInbox(), nil); err != nil {
			t.Fatal(err)
		}
	}
	expectCode(t, c.append(red, "x").Error, v1.CodeRate)
	b.client(bob).fill(10, red)
	b.services[0].pending.expired(time.Now().Add(2 * time.Hour))
	c.fill(10, red)
	c.ask(c.NewInbox(), room, room)
	_, end := c.history(red, v1.HistoryRequest{})
	expectCode(t, end.Error, v1.CodeRate)
	if messages, end := b.client(bob).history(red, v1.HistoryRequest{}); len(messages) != 20 {
		t.Errorf("%d messages, %+v", len(messages), end)
	}
	b.within("alice's requests to end", func() bool { return b.services[0].reads.len() == 0 })
	if messages, end := c.history(red, v1.HistoryRequest{}); len(messages) != 20 {
		t.Errorf("%d messages, %+v", len(messages), end)
	}
}

// Who waits for answers before it sends more is not refused, however late a node hears of probes: the user knows of those between them, by the
// stream, and the node does not.
func TestWhoHasFewAppendsUnansweredIsNotRefused(t *testing.T) {
	now := time.Now()
	b := newBus(t, 1, smallClass(), func(c *Config) { c.Now = func() time.Time { return now } })
	c, s := b.client(alice), b.services[0]
	c.fill(1, red) // the stream answers
	if err := Remove(t.Context(), b.js, b.class.Name); err != nil {
		t.Fatal(err)
	}
	// From now on the test is the stream, and the answers to probes don't arrive.
	var probes atomic.Int64
	_, err := b.js.Conn().Subscribe(v1.HistoryKept(b.class.Name, "*"), func(m *nats.Msg) {
		if strings.HasPrefix(m.Reply, s.acks) {
			probes.Add(1)
		} else if err := m.Respond([]byte(`{"stream":"HISTORY_small","seq":7}`)); err != nil {
			t.Error(err)
		}
	})
	if err != nil || b.js.Conn().Flush() != nil {
		t.Fatal(err, b.js.Conn().LastError())
	}
	inbox := c.NewInbox()
	sub, err := c.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	send := func() {
		if err := c.PublishRequest(v1.AppendSubject(alice, red), inbox, nil); err != nil {
			t.Fatal(err)
		}
	}
	most := s.cfg.MaxAppendsOfUser / 2
	for range most {
		send()
	}
	b.within("as many probes as may be unanswered", func() bool {
		m, err := sub.NextMsg(time.Millisecond)
		for ; err == nil; m, err = sub.NextMsg(time.Millisecond) {
			if strings.Contains(string(m.Data), "error") {
				t.Fatalf("refused with %d unanswered and %d counted: %s", most, s.Counts().InFlight, m.Data)
			}
			send()
		}
		return probes.Load() == int64(most)
	})
	for range s.most[serviceAppend] - s.Counts().InFlight {
		send()
	}
	expectCode(t, c.append(red, "one too many").Error, v1.CodeRate)
	s.pending.expired(now.Add(time.Hour))
}

// Who is refused again and again gets no more answers, which would cost others more than the requests do.
func TestRefusalsOfOneUserAreBounded(t *testing.T) {
	now := time.Now()
	b := newBus(t, 1, smallClass(), func(c *Config) { c.Now = func() time.Time { return now } })
	c := b.client(eve)
	for service, subject := range map[string]string{"append": v1.AppendSubject(eve, red), "history": v1.HistorySubject(eve, red), "rooms": v1.RoomsSubject(eve)} {
		inbox := c.NewInbox()
		sub := c.ask(inbox)
		for range mostRefusals + 100 {
			if err := c.PublishRequest(subject, inbox, []byte(strings.Repeat("x", mostName+1))); err != nil {
				t.Fatal(err)
			}
		}
		b.within("requests that are not answered", func() bool { return b.services[0].Counts().Requests[service][OutcomeLost] == 100 })
		if n, _, err := sub.Pending(); n > mostRefusals || err != nil {
			t.Errorf("%d refusals were answered, %v", n, err)
		}
	}
	b.client(bob).fill(1, red)
}

// What a service has no room for is lost, counted, and bounds what a flood takes.
func TestLostRequestsAreCounted(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	at, release := make(chan struct{}, 1), make(chan struct{})
	var once sync.Once
	b.dir.change(func() { b.dir.asked = func() { once.Do(func() { at <- struct{}{}; <-release }) } })
	defer close(release)
	c := b.client(alice)
	ask := func() {
		if err := c.PublishRequest(v1.AppendSubject(alice, red), "_INBOX."+alice+".x", nil); err != nil {
			t.Fatal(err)
		}
	}
	ask()
	<-at
	for range mostWaiting + 99 { // the one at work counts as waiting
		ask()
	}
	var lost uint64
	if !natstest.Until(natstest.Patience, func() bool { lost = b.services[0].Counts().Requests["append"][OutcomeLost]; return lost == 100 }) {
		t.Errorf("%d requests were lost, want 100", lost)
	}
}

// The rates cost no memory for each message.
func TestLimitsAllocateNothing(t *testing.T) {
	l, now := newLimits(), time.Unix(1000, 0)
	l.of(limitKey{id: alice}, 1, now)
	if n := testing.AllocsPerRun(100, func() { l.of(limitKey{id: alice}, 1, now).AllowN(now, 1) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

// Who has been quiet is forgotten, who has not is not.
func TestLimitsAreForgotten(t *testing.T) {
	class := v1.Class{Name: "c", PublisherRate: 1}
	l, now := newLimits(), time.Unix(1000, 0)
	waits := l.of(limitKey{"c", "waits for an acknowledgement"}, 1, now)
	waits.inFlight.Add(1)
	for i := range 100 * leastSweep {
		now = now.Add(10 * time.Millisecond)
		if l.allow(class, fmt.Sprint("user ", i), "r", now) != nil {
			t.Fatal("a new user is refused")
		}
		if len(l.entries) > 2*leastSweep {
			t.Fatalf("%d entries", len(l.entries))
		}
		if l.take(limitKey{"c", "busy"}, 1, now) != (i%100 == 0) {
			t.Fatalf("the busy user's message at %v was treated as if it had been forgotten", now)
		}
	}
	if l.of(limitKey{"c", "waits for an acknowledgement"}, 1, now) != waits {
		t.Error("what is in flight was forgotten")
	}
}

func TestAppendRates(t *testing.T) {
	class := smallClass()
	class.PublisherRate, class.RoomRate = 2, 3
	now := time.Now()
	b := newBus(t, 1, class, func(c *Config) { c.Now = func() time.Time { return now } })
	a, bo := b.client(alice), b.client(bob)
	a.fill(2, red)
	expectCode(t, a.append(red, "3").Error, v1.CodeRate)
	bo.fill(1, red)
	expectCode(t, bo.append(red, "2").Error, v1.CodeRate)
	if messages, _ := a.history(red, v1.HistoryRequest{}); len(messages) != 3 {
		t.Errorf("%d messages, want 3", len(messages))
	}
}
