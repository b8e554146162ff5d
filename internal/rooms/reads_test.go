// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// of is a request of a user for a class.
func of(user, class string, at time.Time) read {
	return read{caller: caller{user: user, budget: new(budget), at: at}, class: class}
}

// Requests for one class don't take all places, or all readers.
func TestReadsAreBounded(t *testing.T) {
	r := newReads(4, 3)
	for i, step := range []struct {
		user, class string
		want        bool
	}{
		{"a", "x", true}, {"b", "x", true}, {"c", "x", true}, {"d", "x", false}, // three of one class
		{"e", "y", true}, {"f", "z", false}, // four in all
	} {
		if got := r.push(of(step.user, step.class, time.Time{})); got != step.want {
			t.Errorf("step %d: %v, want %v", i, got, step.want)
		}
	}
	var taken []read
	for range 3 { // two of one class are read at a time, though a third of it waits before the other class's
		q, _ := r.next()
		taken = append(taken, q)
	}
	if got := taken[2]; got.class != "y" {
		t.Errorf("a third reader has a request for class %s", got.class)
	}
	r.done(taken[0])
	if q, _ := r.next(); q.user != "c" {
		t.Errorf("%s is read, want the one that waited", q.user)
	}
	if r.len() != 3 || taken[0].budget.inFlight.Load() != 0 || taken[1].budget.inFlight.Load() != 1 {
		t.Error("what is done counts, or what is being read does not")
	}
}

func TestReadsExpire(t *testing.T) {
	r, now := newReads(4, 2), time.Unix(1000, 0)
	for i, user := range []string{"a", "b", "c"} {
		r.push(of(user, "x", now.Add(time.Duration(i)*time.Second)))
	}
	late := r.expired(now.Add(time.Second))
	if len(late) != 2 || late[0].user != "a" || late[1].user != "b" || r.len() != 1 {
		t.Fatalf("%v were late, %d are left", late, r.len())
	}
	if late[0].budget.inFlight.Load() != 0 {
		t.Error("a request that was late still counts")
	}
	if q, _ := r.next(); q.user != "c" {
		t.Errorf("%s is read, want c", q.user)
	}
}

// stuck is a room of a class whose stream hears, and does not answer. Every user of the tests reads it.
func (b *bus) stuck() string {
	b.t.Helper()
	room, class := roomID("STUCK"), smallClass()
	class.Name = "stuck"
	b.dir.change(func() {
		b.dir.classes[class.Name] = class
		b.dir.rooms[room] = v1.Room{Name: "stuck", ID: room, Class: class.Name}
		for _, user := range []string{alice, bob, eve, rita} {
			b.dir.roles[user][room] = v1.RoleMember
		}
	})
	for _, subject := range []string{"$JS.API.DIRECT.GET." + v1.HistoryStream(class.Name), v1.HistoryKept(class.Name, room)} {
		if _, err := b.js.Conn().SubscribeSync(subject); err != nil {
			b.t.Fatal(err)
		}
	}
	if err := b.js.Conn().Flush(); err != nil {
		b.t.Fatal(err)
	}
	return room
}

// ask asks for pages, whose ends come to one subscription with what else it is asked.
func (c *client) ask(inbox string, rooms ...string) *nats.Subscription {
	c.t.Helper()
	sub, err := c.SubscribeSync(inbox)
	if err != nil {
		c.t.Fatal(err)
	}
	for _, room := range rooms {
		if err := c.PublishRequest(v1.HistorySubject(c.user, room), inbox, nil); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := c.Flush(); err != nil {
		c.t.Fatal(err)
	}
	return sub
}

// A class that can't be read does not keep those waiting who read another.
func TestAStuckClassLeavesAReader(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	room := b.stuck()
	b.client(alice).fill(1, red)
	c := b.client(bob)
	sub := c.ask(c.NewInbox(), room, room, room, room, room, room)
	b.within("requests that wait", func() bool { return b.services[0].reads.len() == 6 })
	if messages, end := c.history(red, v1.HistoryRequest{}); end.Error != nil || len(messages) != 1 {
		t.Errorf("%d messages, %+v", len(messages), end)
	}
	if n, _, err := sub.Pending(); err != nil || n > 0 {
		t.Errorf("%d requests for the class that is stuck had to end before, %v", n, err)
	}
}

// Who has waited for as long as anybody would is told so, and holds no reader.
func TestARequestThatWaitedTooLongIsRefused(t *testing.T) {
	var late atomic.Bool
	b := newBus(t, 1, smallClass(), func(c *Config) {
		c.Readers = 1
		c.Now = func() time.Time {
			if late.Load() {
				return time.Now().Add(time.Hour)
			}
			return time.Now()
		}
	})
	room := b.stuck()
	c := b.client(bob)
	c.ask(c.NewInbox(), room)
	sub := c.ask(c.NewInbox(), room, red)
	b.within("requests that wait", func() bool { return b.services[0].reads.len() == 3 })
	late.Store(true)
	for range 2 {
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if e := errorOf(t, m); e == nil || *e != *errBusy {
			t.Errorf("error is %v, want %v", e, errBusy)
		}
	}
}

// A node that stops with more to do than it has time for still hears requests: none may end the process.
func TestARequestThatComesAfterTheEndIsRefused(t *testing.T) {
	r := newReads(2, 1)
	if !r.push(of("a", "x", time.Time{})) {
		t.Error("the first request was refused")
	}
	r.close()
	if r.push(of("b", "x", time.Time{})) {
		t.Error("a request was taken that nobody reads")
	}
	if q, ok := r.next(); !ok || q.user != "a" {
		t.Errorf("the readers get %v %v, want the first request", q, ok)
	}
	if q, ok := r.next(); ok {
		t.Errorf("the readers get %v after all", q)
	}
}

// A service that takes no more requests may take them again at once: no handler of before may still be at work.
func TestLeavingWaitsForTheHandler(t *testing.T) {
	nc := natstest.MustFound(t, natstest.Options{}).MustConnect(t, embeddednats.AccountClients)
	s := &Service{cfg: Config{Clients: nc, Pages: nc, AppendTimeout: time.Millisecond, Logger: natstest.Logger()}, pending: newPending(1), reads: newReads(1, 1)}
	at, release := make(chan struct{}), make(chan struct{})
	sub, err := nc.Subscribe("request", func(*nats.Msg) { close(at); <-release })
	if err == nil {
		err = nc.Publish("request", nil)
	}
	if err != nil {
		t.Fatal(err)
	}
	<-at
	left := make(chan struct{})
	go func() { s.leave([]*subscription{{Subscription: sub}}); close(left) }()
	select {
	case <-left:
		t.Error("left while a request was worked at")
	case <-time.After(time.Second):
	}
	close(release)
	<-left
}

// A request that waits holds a request's few bytes, not the message that it came in, and one that is too long does not wait.
func TestWhatWaitsIsShort(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	s, err := New(b.services[0].cfg) // nobody reads
	if err != nil {
		t.Fatal(err)
	}
	m := &nats.Msg{Subject: v1.HistorySubject(alice, red), Reply: v1.InboxPrefix(alice) + ".1", Data: []byte("{}")}
	s.queueHistory(m)
	copy(m.Data, "xx")
	if q, _ := s.reads.next(); string(q.body) != "{}" {
		t.Error("the whole message is held")
	}
	m.Data = make([]byte, mostBody+1)
	s.queueHistory(m)
	if n := s.Counts().Requests["history"][v1.CodeMalformed]; n != 1 || s.reads.len() != 1 {
		t.Errorf("%d requests that were too long were refused, and %d wait", n, s.reads.len()-1)
	}
}
