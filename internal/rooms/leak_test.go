// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// ears hears all that anybody is sent in the clients' account, besides requests to the services.
func (b *bus) ears() func() []string {
	b.t.Helper()
	nc := b.nodes[0].MustConnect(b.t, embeddednats.AccountClients)
	sub, err := nc.SubscribeSync(">")
	if err != nil {
		b.t.Fatal(err)
	}
	if err := nc.Flush(); err != nil {
		b.t.Fatal(err)
	}
	return func() (heard []string) {
		for {
			m, err := sub.NextMsg(100 * time.Millisecond)
			if err != nil {
				return heard
			}
			if !strings.HasPrefix(m.Subject, "unibus.") {
				heard = append(heard, m.Subject)
			}
		}
	}
}

// L1, L2, L3: whatever reply subject a caller names, an answer comes into its own inbox or not at all.
func TestLeakReplySubjects(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	c := b.client(alice)
	c.append(red, "secret of red")
	heard := b.ears()
	requests := map[string]string{v1.AppendSubject(alice, red): "secret of red", v1.HistorySubject(alice, red): "{}", v1.RoomsSubject(alice): ""}
	n := 0
	for subject, body := range requests {
		for _, reply := range []string{
			"", v1.RoomSubject(blue, alice, "x"), v1.RoomSubject(red, alice, "x"), v1.ReplyPrefix(blue, eve) + ".1", v1.LogSubject(blue),
			v1.InboxPrefix(eve) + ".1", v1.InboxPrefix(alice), v1.InboxPrefix(alice) + ".", v1.InboxPrefix(alice) + ".*", v1.InboxPrefix(alice) + ".>",
			v1.InboxPrefix(alice) + ".a..b", v1.InboxPrefix(alice) + "B.1", "_INBOX.x", v1.AppendSubject(alice, blue), "$JS.API.INFO",
			v1.InboxPrefix(alice) + "." + strings.Repeat("x", 300),
		} {
			if err := c.PublishRequest(subject, reply, []byte(body)); err != nil && reply != "" {
				t.Fatal(err)
			} else if err != nil {
				continue
			}
			if err := c.Flush(); err != nil {
				t.Fatal(err)
			}
			n++
		}
	}
	count := func() (n uint64) {
		for _, service := range b.services[0].Counts().Requests {
			n += service[OutcomeDropped]
		}
		return n
	}
	// An answer to history comes later than the request is counted.
	b.client(bob).history(red, v1.HistoryRequest{})
	for _, s := range heard() {
		if !strings.HasPrefix(s, v1.InboxPrefix(bob)+".") {
			t.Errorf("something was sent to %s", s)
		}
	}
	// Some never reach a node: the server itself refuses them.
	if got := count(); got == 0 || got > uint64(n) {
		t.Errorf("%d of %d requests were dropped", got, n)
	}
	if messages, _ := c.history(red, v1.HistoryRequest{}); len(messages) != 1 {
		t.Errorf("%d messages are kept, want 1: a dropped request must do nothing", len(messages))
	}
}

// L4: an id takes nothing from another user or another room, however it is made.
func TestLeakMessageIDs(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	a, e := b.client(alice), b.client(eve)
	attacks := []string{"id", red + alice + "id", alice + "id", alice + ".id", red + "." + alice + ".id", eve + "id"}
	for _, id := range attacks {
		if r := e.append(blue, "attack", v1.HeaderMessageID, id); r.Error != nil || r.Duplicate {
			t.Errorf("id %s: %+v", id, r)
		}
	}
	for _, id := range attacks {
		if r := a.append(red, "victim "+id, v1.HeaderMessageID, id); r.Error != nil || r.Duplicate {
			t.Errorf("Alice's id %s is taken: %+v", id, r)
		}
		if r := a.append(blue, "victim "+id, v1.HeaderMessageID, id); r.Error != nil || r.Duplicate {
			t.Errorf("Alice's id %s is taken in the same room: %+v", id, r)
		}
	}
}

// L5: no header of JetStream's gets through, in whatever spelling; the answer tells nothing of the stream.
func TestLeakHeaders(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	b.client(eve).append(blue, "x")
	c := b.client(alice)
	for _, name := range []string{"Nats-Expected-Stream", "Nats-Expected-Last-Sequence", "Nats-Expected-Last-Subject-Sequence",
		"Nats-Expected-Last-Subject-Sequence-Subject", "Nats-Expected-Last-Msg-Id", "Nats-Rollup", "Nats-TTL", "Nats-Schedule", "Nats-Schedule-Target",
		"Nats-Batch-Id", "Nats-Batch-Sequence", "Nats-Batch-Commit", "Nats-Incr", "Nats-Required-Api-Level", "Nats-Trace-Only", "Nats-Sequence",
		"Nats-Last-Sequence", "Nats-Stream", "Nats-Subject", "Nats-Marker-Reason", "Status", "Description", "Accept-Encoding", "Reply-To", v1.HeaderSequence, v1.HeaderTime, v1.HeaderID} {
		for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			expectCode(t, c.append(red, "x", spelling, "1").Error, v1.CodeHeader)
		}
	}
	if messages, _ := c.history(red, v1.HistoryRequest{}); len(messages) != 0 {
		t.Errorf("%d messages were kept", len(messages))
	}
}

// Headers that end a line in the middle of a value would be headers of their own in the stream.
func TestLeakHeaderValues(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	c := b.client(alice)
	inbox := c.NewInbox()
	sub, err := c.SubscribeSync(inbox)
	if err != nil {
		t.Fatal(err)
	}
	for value, ok := range map[string]bool{"a\tb": true, "ä": true, "a\x00b": false, "a\x1bb": false, "a\x7fb": false} {
		a := c.append(red, "x", "App-X", value)
		if (a.Error == nil) != ok {
			t.Errorf("value %q: %+v", value, a)
		}
	}
	// nats.go mends what it sends, so this speaks for itself: a carriage return alone ends no line for whoever reads it as Go does.
	raw := mustRaw(t, b.nodes[0].ClientURL(), alice)
	for _, block := range []string{"NATS/1.0\r\nApp-X: a\rNats-Rollup: sub\r\n\r\n", "NATS/1.0\r\nno colon\r\n\r\n", "NATS/1.0 503\r\n\r\n", "NATS/1.0\nApp-X: 1\n\n"} {
		raw.hpub(v1.AppendSubject(alice, red), inbox, block, "raw")
		m, err := sub.NextMsg(10 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		var a v1.AppendAnswer
		if err := json.Unmarshal(m.Data, &a); err != nil {
			t.Fatal(err)
		}
		if !strings.HasSuffix(block, "\n\n") {
			expectCode(t, a.Error, v1.CodeHeader)
		}
	}
	messages, _ := c.history(red, v1.HistoryRequest{})
	for _, m := range messages {
		for name := range m.Header {
			if strings.HasPrefix(name, "Nats-") {
				t.Errorf("header %s came through", name)
			}
		}
	}
}

// L6, and all else that JetStream offers: nothing of it can be reached by a client, and the services of others neither.
func TestLeakSubjects(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	b.client(alice).append(blue, "secret of blue")
	stream := v1.HistoryStream(b.class.Name)
	for _, user := range []string{bob, rita, userKey("NOONE")} {
		c := b.client(user)
		for _, subject := range []string{"$JS.API.INFO", "$JS.API.STREAM.INFO." + stream, "$JS.API.DIRECT.GET." + stream, "$JS.API.STREAM.MSG.GET." + stream,
			"$JS.API.CONSUMER.MSG.NEXT." + stream + ".x", v1.HistoryKept(b.class.Name, red), v1.HistorySubject(alice, blue), v1.AppendSubject(alice, blue),
			v1.RoomsSubject(alice), "unibus.*.history." + blue} {
			if m, err := c.Request(subject, []byte(`{"seq":1}`), 50*time.Millisecond); err == nil {
				t.Errorf("%s of %s: %q %v", subject, user, m.Data, m.Header)
			}
		}
	}
}

// A room that the caller isn't in and one that is not there can't be told apart, by whatever it asks.
func TestLeakWhatIsThere(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	b.client(alice).append(blue, "secret of blue")
	for _, user := range []string{bob, rita, userKey("NOONE")} {
		c := b.client(user)
		for _, body := range []string{"", "{}", `{"from":1}`, `{"last":5}`, "not JSON", `{"from":1,"last":1}`, `{"atLeast":99}`} {
			var ends []v1.HistoryAnswer
			for _, room := range []string{blue, mute, roomID("NONE")} {
				messages, end, err := c.tryHistory(room, []byte(body))
				if err != nil || len(messages) > 0 {
					t.Errorf("%d messages of %s, %v", len(messages), room, err)
				}
				ends = append(ends, end)
			}
			expectCode(t, ends[0].Error, v1.CodeForbidden)
			if diff := cmp.Diff(ends[0], ends[1]) + cmp.Diff(ends[0], ends[2]); diff != "" {
				t.Error(diff)
			}
		}
		for _, headers := range [][]string{nil, {"Nats-Rollup", "all"}, {v1.HeaderMessageID, ""}} {
			var answers []v1.AppendAnswer
			for _, room := range []string{blue, mute, roomID("NONE")} {
				answers = append(answers, c.append(room, strings.Repeat("x", 100_000), headers...))
			}
			expectCode(t, answers[0].Error, v1.CodeForbidden)
			if diff := cmp.Diff(answers[0], answers[1]) + cmp.Diff(answers[0], answers[2]); diff != "" {
				t.Error(diff)
			}
		}
	}
}

// The sequences of a room say nothing of another's messages but that there were some, and nobody reads them by sequence.
func TestLeakSequences(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	a, bo := b.client(alice), b.client(bob)
	bo.append(red, "red 1")
	blues := a.append(blue, "secret of blue")
	bo.append(red, "red 2")
	now := time.Now().Add(-time.Minute)
	for _, r := range []v1.HistoryRequest{{}, {From: blues.Sequence}, {From: blues.Sequence, Limit: 1}, {Last: 3}, {Last: 2}, {Since: &now}, {AtLeast: blues.Sequence}} {
		messages, end := bo.history(red, r)
		if end.Error != nil || len(messages) == 0 {
			t.Errorf("%+v: %+v", r, end)
		}
		for _, m := range messages {
			if !strings.HasPrefix(string(m.Data), "red") {
				t.Errorf("%+v: got %q", r, m.Data)
			}
		}
	}
}

// What a room's history took is told under the room's own subject only, with the sender that the node has seen.
func TestLeakLog(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	nodes := b.nodes[0].MustConnect(t, embeddednats.AccountClients)
	sub, err := nodes.SubscribeSync(v1.LogSubjects)
	if err != nil {
		t.Fatal(err)
	}
	if err := nodes.Flush(); err != nil {
		t.Fatal(err)
	}
	b.client(alice).append(blue, "in blue")
	b.client(bob).append(red, "in red", "App-X", "1")
	for _, want := range [][3]string{{blue, "in blue", alice}, {red, "in red", bob}} {
		m, err := sub.NextMsg(natstest.Patience)
		if err != nil {
			t.Fatal(err)
		}
		if m.Subject != v1.LogSubject(want[0]) || string(m.Data) != want[1] || m.Header.Get(v1.HeaderSender) != want[2] {
			t.Errorf("%s: %q of %s, want %v", m.Subject, m.Data, m.Header.Get(v1.HeaderSender), want)
		}
		if m.Header.Get(v1.HeaderLogSequence) == "" || m.Header.Get(v1.HeaderLogPrevious) != "0" {
			t.Errorf("headers of the log: %v", m.Header)
		}
	}
	var none *nats.Msg
	if none, err = sub.NextMsg(50 * time.Millisecond); err == nil {
		t.Errorf("and %s: %q", none.Subject, none.Data)
	}
}
