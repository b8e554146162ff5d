// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"fmt"
	"slices"
	"strings"
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

// heldReads are reads whose readers tell what they begin with, and read until they are told to end.
type heldReads struct {
	*reads
	t     *testing.T
	begun chan read
	end   map[string]chan struct{} // by user, of whom there is one for each letter
	asked int64
}

func newHeldReads(t *testing.T, limit, readers int) *heldReads {
	r := &heldReads{t: t, begun: make(chan read), end: map[string]chan struct{}{}}
	for user := 'a'; user <= 'z'; user++ {
		r.end[string(user)] = make(chan struct{})
	}
	r.reads = newReads(limit, readers, func(q read) { r.begun <- q; <-r.end[q.user] })
	return r
}

// ask pushes a request of each user, one a second.
func (r *heldReads) ask(class, users string) {
	r.t.Helper()
	for _, user := range users {
		r.asked++
		if !r.push(of(string(user), class, time.Unix(r.asked, 0))) {
			r.t.Errorf("the request of %c is refused", user)
		}
	}
}

// expect waits until those of the users have begun, and nobody else before.
func (r *heldReads) expect(users string) {
	r.t.Helper()
	for range users {
		select {
		case q := <-r.begun:
			if !strings.Contains(users, q.user) {
				r.t.Errorf("%s is read, want one of %s", q.user, users)
			}
		case <-time.After(natstest.Patience):
			r.t.Fatalf("none of %s is read", users)
		}
	}
}

// Requests for one class don't take all readers, or all places, and neither do those for several.
func TestReadsAreBounded(t *testing.T) {
	r := newHeldReads(t, 2, 3)
	for _, user := range "abc" { // the class's own reader, and two that are shared
		r.ask("x", string(user))
		r.expect(string(user))
	}
	r.ask("x", "de")
	if r.push(of("f", "x", time.Time{})) {
		t.Error("a third request of the class waits")
	}
	r.ask("y", "g")
	r.expect("g") // its own
	r.ask("y", "hj")
	r.ask("z", "i")
	r.expect("i")
	close(r.end["g"])
	r.expect("h")
	close(r.end["a"])
	r.expect("d") // which has waited longer than j
	close(r.end["i"])
	close(r.end["h"])
	r.expect("j")
	close(r.end["j"])
	close(r.end["b"])
	r.expect("e")
	for _, user := range "cde" {
		close(r.end[string(user)])
	}
	r.close()
	if len(r.lanes) != 0 || r.beside != 0 {
		t.Errorf("what is done counts: %v, %d", r.lanes, r.beside)
	}
}

func TestReadsCountAsTheirUsers(t *testing.T) {
	r := newHeldReads(t, 2, 1)
	a, b := of("a", "x", time.Unix(1, 0)), of("b", "x", time.Unix(2, 0))
	b.budget = a.budget
	if !r.push(a) || !r.push(b) || a.budget.inFlight.Load() != 2 {
		t.Errorf("%d are in flight, want 2", a.budget.inFlight.Load())
	}
	r.expect("a")
	close(r.end["a"])
	r.expect("b")
	if n := a.budget.inFlight.Load(); n != 1 {
		t.Errorf("%d are in flight, want the one that is being read", n)
	}
	close(r.end["b"])
	r.close()
	if n := a.budget.inFlight.Load(); n != 0 {
		t.Errorf("%d are in flight at the end", n)
	}
}

func TestReadsExpire(t *testing.T) {
	r := newHeldReads(t, 3, 1)
	r.ask("x", "a") // at second 1, and so on
	r.expect("a")
	r.ask("x", "bcd")
	r.ask("y", "e")
	r.expect("e")
	late := r.expired(time.Unix(3, 0))
	if len(late) != 2 || late[0].user != "b" || late[1].user != "c" || r.len() != 3 {
		t.Fatalf("%v were late, %d are left", late, r.len())
	}
	if late[0].budget.inFlight.Load() != 0 {
		t.Error("a request that was late still counts")
	}
	close(r.end["e"])
	close(r.end["a"])
	r.expect("d")
	close(r.end["d"])
	r.close()
}

// stuck is a room of a class of that name whose stream hears, and does not answer. Every user of the tests reads it.
func (b *bus) stuck(name string) string {
	b.t.Helper()
	room, class := roomID(strings.ToUpper(name)), smallClass()
	class.Name = name
	b.dir.change(func() {
		b.dir.classes[class.Name] = class
		b.dir.rooms[room] = v1.Room{Name: name, ID: room, Class: class.Name}
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

// However many classes can't be read, those don't keep waiting who read another.
func TestStuckClassesLeaveAReader(t *testing.T) {
	begin := time.Now() // where time stands still, nobody has waited too long
	b := newBus(t, 1, smallClass(), func(c *Config) { c.Now = func() time.Time { return begin } })
	s, release := b.services[0], make(chan struct{})
	defer close(release)
	s.reads.mu.Lock()
	s.reads.read = func(q read) {
		if q.class != b.class.Name {
			<-release // for as long as it takes
		}
		s.answerHistory(q)
	}
	s.reads.mu.Unlock()
	b.client(alice).fill(1, red)
	users := []string{bob, eve, rita}
	for i, user := range users {
		room, c := b.stuck(fmt.Sprint("stuck", string(rune('a'+i)))), b.client(user)
		c.ask(c.NewInbox(), slices.Repeat([]string{room}, s.cfg.Readers)...)
	}
	b.within("stuck classes to have as many readers as they may", func() bool {
		s.reads.mu.Lock()
		defer s.reads.mu.Unlock()
		return len(s.reads.lanes) == len(users) && s.reads.beside == s.reads.shared
	})
	if messages, end := b.client(alice).page(red, v1.HistoryRequest{}); end.Error != nil || len(messages) != 1 {
		t.Errorf("%d messages, %+v", len(messages), end)
	}
}

// lateOr is a time, and an hour from now once it is late.
func lateOr(late *atomic.Bool, now time.Time) time.Time {
	if late.Load() {
		return time.Now().Add(time.Hour)
	}
	return now
}

// Who has waited for as long as anybody would is told so, and holds no reader.
func TestARequestThatWaitedTooLongIsRefused(t *testing.T) {
	var late atomic.Bool
	b := newBus(t, 1, smallClass(), func(c *Config) {
		c.Readers = 1
		c.Now = func() time.Time { return lateOr(&late, time.Now()) }
	})
	room := b.stuck("stuck")
	c := b.client(bob)
	c.ask(c.NewInbox(), room)
	sub := c.ask(c.NewInbox(), room, room)
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
	r := newHeldReads(t, 2, 1)
	r.ask("x", "ab")
	r.expect("a")
	closed := make(chan struct{})
	go func() { r.close(); close(closed) }()
	natstest.Within(t, natstest.Patience, "a request that is refused", func() bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.closed
	})
	if r.push(of("c", "x", time.Time{})) {
		t.Error("a request was taken that nobody may wait for")
	}
	close(r.end["a"])
	r.expect("b") // what was taken before is read
	select {
	case <-closed:
		t.Error("closed while a request is being read")
	default:
	}
	close(r.end["b"])
	<-closed
}

// A service that takes no more requests may take them again at once: no handler of before may still be at work.
func TestLeavingWaitsForTheHandler(t *testing.T) {
	nc := natstest.MustFound(t, natstest.Options{}).MustConnect(t, embeddednats.AccountClients)
	s := &Service{cfg: Config{Clients: nc, Pages: nc, AppendTimeout: time.Millisecond, Logger: natstest.Logger()}, pending: newPending(1), reads: newReads(1, 1, nil)}
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
	s, err := New(b.services[0].cfg)
	if err != nil {
		t.Fatal(err)
	}
	begun := make(chan read)
	release := make(chan struct{})
	s.reads.read = func(q read) { <-release; begun <- q }
	m := &nats.Msg{Subject: v1.HistorySubject(alice, red), Reply: v1.InboxPrefix(alice) + ".1", Data: []byte("{}")}
	s.queueHistory(m)
	copy(m.Data, "xx")
	close(release)
	if q := <-begun; string(q.body) != "{}" {
		t.Error("the whole message is held")
	}
	s.reads.close()
	m.Data = make([]byte, mostBody+1)
	s.queueHistory(m)
	if n := s.Counts().Requests["history"][v1.CodeMalformed]; n != 1 || s.reads.len() != 0 {
		t.Errorf("%d requests that were too long were refused, and %d wait", n, s.reads.len())
	}
}
