// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

func TestAppendKeepsWithStampedHeaders(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	c := b.client(alice)
	a := c.append(red, "hello", v1.HeaderMessageID, "one", "content-type", "text/plain", "Traceparent", "00-x", "app-Color", "red", "App-Two", "a", "App-Two", "b")
	if a.Error != nil || a.Sequence != 1 || a.Duplicate {
		t.Fatalf("answer %+v", a)
	}
	c.append(red, "without headers")
	messages, end := c.history(red, v1.HistoryRequest{})
	if end.Error != nil || len(messages) != 2 || end.More || end.Next != 3 {
		t.Fatalf("%d messages, end %+v", len(messages), end)
	}
	for _, m := range messages {
		if at, err := time.Parse(time.RFC3339Nano, m.Header.Get(v1.HeaderTime)); err != nil || time.Since(at) > time.Hour {
			t.Errorf("time %v, %v", at, err)
		}
		delete(m.Header, v1.HeaderTime)
	}
	// Nothing of JetStream's own comes with it.
	want := nats.Header{v1.HeaderSender: {alice}, v1.HeaderID: {"one"}, v1.HeaderSequence: {"1"}, "Content-Type": {"text/plain"},
		"Traceparent": {"00-x"}, "App-Color": {"red"}, "App-Two": {"a", "b"}}
	if diff := cmp.Diff(want, messages[0].Header); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(nats.Header{v1.HeaderSender: {alice}, v1.HeaderSequence: {"2"}}, messages[1].Header); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"hello", "without headers"}, bodies(messages)); diff != "" {
		t.Error(diff)
	}
}

func TestAppendRefuses(t *testing.T) {
	class := smallClass()
	class.MaxMessageBytes = 1000
	b := newBus(t, 1, class, nil)
	b.dir.change(func() {
		b.dir.rooms[roomID("GONE")] = v1.Room{Name: "gone", ID: roomID("GONE"), Class: class.Name, Deleting: true}
		b.dir.rooms[roomID("LATER")] = v1.Room{Name: "later", ID: roomID("LATER"), Class: "later"}
		b.dir.roles[alice][roomID("GONE")], b.dir.roles[alice][roomID("LATER")] = v1.RoleAdmin, v1.RoleAdmin
	})
	for _, tc := range []struct {
		name, user, room, data string
		headers                []string
		code                   string
	}{
		{"reader", rita, red, "x", nil, v1.CodeForbidden},
		{"no one", eve, red, "x", nil, v1.CodeForbidden},
		{"no room", eve, roomID("NONE"), "x", nil, v1.CodeForbidden},
		{"a room that is being deleted", alice, roomID("GONE"), "x", nil, v1.CodeForbidden},
		{"not kept", alice, mute, "x", nil, v1.CodeNotKept},
		{"class not known yet", alice, roomID("LATER"), "x", nil, v1.CodeUnavailable},
		{"too large", alice, red, strings.Repeat("x", 1000), nil, v1.CodeTooLarge},
		{"too large by headers", alice, red, "", []string{"App-X", strings.Repeat("x", 1000)}, v1.CodeTooLarge},
		{"expected sequence", alice, red, "x", []string{"Nats-Expected-Last-Subject-Sequence", "1"}, v1.CodeHeader},
		{"rollup", alice, red, "x", []string{"Nats-Rollup", "sub"}, v1.CodeHeader},
		{"the sender's name", alice, red, "x", []string{v1.HeaderSender, bob}, v1.CodeHeader},
		{"the sender's name, spelt otherwise", alice, red, "x", []string{"unibus-sender", bob}, v1.CodeHeader},
		{"end of history", alice, red, "x", []string{v1.HeaderEnd, "1"}, v1.CodeHeader},
		{"status", alice, red, "x", []string{"Status", "204"}, v1.CodeHeader},
		{"prefix only", alice, red, "x", []string{"App-", "1"}, v1.CodeHeader},
		{"two ids", alice, red, "x", []string{v1.HeaderMessageID, "1", v1.HeaderMessageID, "2"}, v1.CodeHeader},
		{"an id in two spellings", alice, red, "x", []string{v1.HeaderMessageID, "1", "nats-msg-id", "2"}, v1.CodeHeader},
		{"long id", alice, red, "x", []string{v1.HeaderMessageID, strings.Repeat("1", v1.MaxMessageID+1)}, v1.CodeHeader},
	} {
		t.Run(tc.name, func(t *testing.T) {
			a := b.client(tc.user).append(tc.room, tc.data, tc.headers...)
			expectCode(t, a.Error, tc.code)
			if tc.code == v1.CodeTooLarge && !strings.Contains(a.Error.Message, "1000") {
				t.Errorf("%q does not tell the bound", a.Error.Message)
			}
			if len(tc.headers) > 0 && tc.code == v1.CodeHeader && !strings.Contains(a.Error.Message, tc.headers[0]) {
				t.Errorf("%q does not name %s", a.Error.Message, tc.headers[0])
			}
		})
	}
	if messages, _ := b.client(alice).history(red, v1.HistoryRequest{}); len(messages) != 0 {
		t.Errorf("%d messages were kept", len(messages))
	}
}

// The bound is told by the service, to the byte: the stream would say it in its own words.
func TestAppendKnowsTheSize(t *testing.T) {
	class := smallClass()
	class.MaxMessageBytes = 400
	alices := newBus(t, 1, class, nil).client(alice)
	bare := int(class.MaxMessageBytes) - len("NATS/1.0\r\n\r\n") - len("Unibus-Sender: \r\n") - v1.UserKeySize
	for name, c := range map[string]struct {
		headers []string
		data    int // bytes that there is room for
	}{
		"no header":                     {nil, bare},
		"an id":                         {[]string{v1.HeaderMessageID, "1"}, bare - len("Unibus-Id: 1000\r\nNats-Msg-Id: 0123456789012345678901\r\n")},
		"two values, and two spellings": {[]string{"App-X", "1", "App-X", "23", "app-X", "4"}, bare - len("App-X: 1\r\nApp-X: 23\r\nApp-X: 4\r\n")},
	} {
		for n := range c.data + 2 {
			if name == "an id" {
				c.headers[1] = strconv.Itoa(1000 + n)
			}
			a := alices.append(red, strings.Repeat("x", n), c.headers...)
			switch {
			case n <= c.data && a.Error != nil:
				t.Fatalf("%s, %d bytes of data: %v", name, n, a.Error)
			case n > c.data:
				if expectCode(t, a.Error, v1.CodeTooLarge); !strings.Contains(a.Error.Message, "has 401 bytes") {
					t.Errorf("%s, %d bytes of data: %q", name, n, a.Error.Message)
				}
			}
		}
	}
}

// The same id is kept once, of the same user in the same room.
func TestAppendKeepsAnIDOnce(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	a, bo := b.client(alice), b.client(bob)
	first := a.append(red, "first", v1.HeaderMessageID, "id")
	again := a.append(red, "again", v1.HeaderMessageID, "id")
	if !again.Duplicate || again.Sequence != first.Sequence || again.Error != nil {
		t.Errorf("repeated: %+v, want a duplicate of %d", again, first.Sequence)
	}
	for _, other := range []v1.AppendAnswer{bo.append(red, "Bob's", v1.HeaderMessageID, "id"), a.append(blue, "in blue", v1.HeaderMessageID, "id"),
		a.append(red, "no id"), a.append(red, "no id")} {
		if other.Duplicate || other.Error != nil {
			t.Errorf("%+v, want it kept", other)
		}
	}
	b.within("six appends to be counted", func() bool { return b.services[0].Counts().Requests["append"][OutcomeOK] == 6 })
}

func TestAppendInFlightAreBounded(t *testing.T) {
	b := newBus(t, 1, smallClass(), func(c *Config) { c.MaxAppends, c.AppendTimeout = 1, time.Hour })
	s := b.services[0]
	number, ok := s.pending.add(waiting{reply: "nobody", class: b.class.Name, deadline: time.Now().Add(time.Hour), by: new(budget), appends: 1})
	if !ok {
		t.Fatal("none may be in flight")
	}
	c := b.client(alice)
	expectCode(t, c.append(red, "x").Error, v1.CodeUnavailable)
	if n := s.Counts().InFlight; n != 1 {
		t.Errorf("%d in flight, want 1", n)
	}
	s.pending.take(number)
	if a := c.append(red, "x"); a.Error != nil {
		t.Error(a.Error)
	}
}

// A class whose stream does not answer takes what all classes share, and no more.
func TestAStuckClassTakesNoOthersAppends(t *testing.T) {
	b := newBus(t, 1, smallClass(), func(c *Config) { c.MaxAppends, c.AppendTimeout = ownPart, time.Hour })
	defer b.services[0].pending.expired(time.Now().Add(2 * time.Hour)) // or it would wait for them as it stops
	room := b.stuck("stuck")
	c := b.client(bob)
	for range 2 * ownPart {
		if err := c.PublishRequest(v1.AppendSubject(bob, room), c.NewInbox(), nil); err != nil {
			t.Fatal(err)
		}
	}
	b.within("all shared places to be taken", func() bool { return b.services[0].Counts().InFlight >= ownPart })
	expectCode(t, b.client(eve).append(room, "x").Error, v1.CodeUnavailable)
	for range 2 {
		if a := b.client(alice).append(red, "x"); a.Error != nil {
			t.Error(a.Error)
		}
	}
}

// A stream that is not there, or does not answer, is told to who sent a probe as what it is: the caller can't know whether the message
// is kept.
func TestAppendWithoutAStream(t *testing.T) {
	b := newBus(t, 1, smallClass(), func(c *Config) { c.AppendTimeout = 200 * time.Millisecond })
	c := b.client(alice)
	if err := Remove(t.Context(), b.js, b.class.Name); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		expectCode(t, c.append(red, "x").Error, v1.CodeUnavailable)
	}
	// Somebody listens, but does not answer.
	if _, err := b.js.Conn().SubscribeSync(v1.HistoryKept(b.class.Name, "*")); err != nil {
		t.Fatal(err)
	}
	b.js.Conn().Flush()
	a := c.append(red, "x")
	expectCode(t, a.Error, v1.CodeUnavailable)
	if a.Error != nil && !strings.Contains(a.Error.Message, "may or may not") {
		t.Errorf("%q does not say that nobody knows", a.Error.Message)
	}
}

// At the end a node takes nothing more, and waits for what it has taken.
func TestDrainWaitsForAcknowledgements(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	c := b.client(alice)
	if err := Remove(t.Context(), b.js, b.class.Name); err != nil {
		t.Fatal(err)
	}
	// The test is the stream.
	stream, err := b.js.Conn().SubscribeSync(v1.HistoryKept(b.class.Name, "*"))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := c.SubscribeSync(v1.InboxPrefix(alice) + ".1")
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(b.js.Conn().Flush(), c.PublishRequest(v1.AppendSubject(alice, red), answer.Subject, []byte("x"))); err != nil {
		t.Fatal(err)
	}
	m, err := stream.NextMsg(10 * time.Second)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { b.stops[0](); close(ended) }()
	b.within("no more requests", func() bool { return !b.served(b.nodes[0]) })
	if natstest.Until(500*time.Millisecond, func() bool {
		select {
		case <-ended:
			return true
		default:
			return false
		}
	}) {
		t.Error("the services ended before the append was acknowledged")
	}
	if err := m.Respond([]byte(`{"stream":"HISTORY_small","seq":7}`)); err != nil {
		t.Fatal(err)
	}
	if m, err = answer.NextMsg(10 * time.Second); err != nil || string(m.Data) != `{"stream":"HISTORY_small","seq":7}` {
		t.Errorf("answer %v, %v", m, err)
	}
	<-ended
}
