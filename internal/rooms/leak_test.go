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

// L1, L2, L3: whatever reply subject a caller names, whatever it is in the room, an answer comes into its own inbox or not at all.
func TestLeakReplySubjects(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	witness := userKey("WITNESS") // who is named by nobody
	b.dir.change(func() { b.dir.roles[witness] = map[string]v1.Role{red: v1.RoleReader} })
	a, w, attackers := b.client(alice), b.client(witness), b.attackers()
	a.append(red, "secret of red")
	heard := b.ears()
	for name, c := range attackers {
		dropped, n := b.dropped(), c.askAll(
			"", v1.RoomSubject(blue, c.user, "x"), v1.RoomSubject(red, c.user, "x"), v1.ReplyPrefix(blue, eve)+".1", v1.LogSubject(blue),
			v1.InboxPrefix(alice)+".1", v1.InboxPrefix(c.user), v1.InboxPrefix(c.user)+".", v1.InboxPrefix(c.user)+".*", v1.InboxPrefix(c.user)+".>",
			v1.InboxPrefix(c.user)+".a..b", v1.InboxPrefix(c.user)+"B.1", "_INBOX.x", v1.AppendSubject(c.user, blue), "$JS.API.INFO",
			v1.InboxPrefix(c.user)+"."+strings.Repeat("x", 300))
		// These come after all of those at each service, so that those are counted.
		w.append(red, "refused")
		w.rooms("")
		w.history(red, v1.HistoryRequest{})
		for _, s := range heard() {
			if !strings.HasPrefix(s, v1.InboxPrefix(witness)+".") {
				t.Errorf("%s had something sent to %s", name, s)
			}
		}
		// Some never reach a node: the server itself refuses them.
		if got := b.dropped() - dropped; got == 0 || got > uint64(n) {
			t.Errorf("%d of %d requests of %s were dropped", got, n, name)
		}
	}
	if messages, _ := a.history(red, v1.HistoryRequest{}); len(messages) != 1 {
		t.Errorf("%d messages are kept, want 1: a dropped request must do nothing", len(messages))
	}
}

// askAll asks all services in red's name with every reply subject, and returns how many requests were sent.
func (c *client) askAll(replies ...string) (n int) {
	c.t.Helper()
	requests := map[string]string{v1.AppendSubject(c.user, red): "secret of red", v1.HistorySubject(c.user, red): "{}", v1.RoomsSubject(c.user): ""}
	for subject, body := range requests {
		for _, reply := range replies {
			if err := c.PublishRequest(subject, reply, []byte(body)); err != nil && reply != "" {
				c.t.Fatal(err)
			} else if err != nil {
				continue
			}
			if err := c.Flush(); err != nil {
				c.t.Fatal(err)
			}
			n++
		}
	}
	return n
}

func (b *bus) dropped() (n uint64) {
	for _, service := range b.services[0].Counts().Requests {
		n += service[OutcomeDropped]
	}
	return n
}

// L4: an id takes nothing from another user or another room, however it is made, and whoever makes it.
func TestLeakMessageIDs(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	a, attackers := b.client(alice), b.attackers()
	ids := []string{"id", red + alice + "id", alice + "id", alice + ".id", red + "." + alice + ".id"}
	for _, c := range attackers {
		ids = append(ids, c.user+"id")
	}
	for name, c := range attackers {
		for _, id := range ids {
			for room, may := range map[string]bool{red: name == member, blue: c.user == eve} {
				if r := c.append(room, "attack", v1.HeaderMessageID, id); !may {
					expectCode(t, r.Error, v1.CodeForbidden)
				} else if r.Error != nil || r.Duplicate {
					t.Errorf("id %s of %s: %+v", id, name, r)
				}
			}
		}
	}
	for _, id := range ids {
		for _, room := range []string{red, blue} {
			if r := a.append(room, "victim "+id, v1.HeaderMessageID, id); r.Error != nil || r.Duplicate {
				t.Errorf("Alice's id %s is taken in %s: %+v", id, room, r)
			}
		}
	}
}

// L5: no header of JetStream's gets through, in whatever spelling; the answer tells nothing of the stream, and nothing at all to who may
// not append.
func TestLeakHeaders(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	a, attackers := b.client(alice), b.attackers()
	a.append(blue, "x")
	for name, c := range attackers {
		code, told := v1.CodeHeader, v1.AppendAnswer{}
		if name != member {
			code, told = v1.CodeForbidden, c.append(red, "x")
		}
		for _, header := range []string{"Nats-Expected-Stream", "Nats-Expected-Last-Sequence", "Nats-Expected-Last-Subject-Sequence",
			"Nats-Expected-Last-Subject-Sequence-Subject", "Nats-Expected-Last-Msg-Id", "Nats-Rollup", "Nats-TTL", "Nats-Schedule", "Nats-Schedule-Target", "Nats-Schedule-TTL",
			"Nats-Batch-Id", "Nats-Batch-Sequence", "Nats-Batch-Commit", "Nats-Incr", "Nats-Required-Api-Level", "Nats-Trace-Only", "Nats-Sequence",
			"Nats-Last-Sequence", "Nats-Stream", "Nats-Subject", "Nats-Marker-Reason", "Status", "Description", "Accept-Encoding", "Reply-To",
			v1.HeaderSender, v1.HeaderEnd, v1.HeaderSequence, v1.HeaderTime, v1.HeaderID} {
			for _, spelling := range []string{header, strings.ToLower(header), strings.ToUpper(header)} {
				r := c.append(red, "x", spelling, "1")
				expectCode(t, r.Error, code)
				if diff := cmp.Diff(told, r); name != member && diff != "" {
					t.Errorf("%s tells %s, -without it +with it:\n%s", spelling, name, diff)
				}
			}
		}
	}
	if messages, _ := a.history(red, v1.HistoryRequest{}); len(messages) != 0 {
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
