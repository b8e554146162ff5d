// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
)

// spy subscribes to all of the subjects on one connection, and returns what came on those that it could.
func (c *client) spy(queue string, subjects ...string) func() []string {
	c.t.Helper()
	heard := make(chan *nats.Msg, 1000)
	for _, s := range subjects {
		if _, err := c.ChanQueueSubscribe(s, queue, heard); err != nil {
			c.t.Fatal(err)
		}
	}
	if err := c.Flush(); err != nil {
		c.t.Fatal(err)
	}
	return func() (all []string) {
		_ = c.Flush() // what was sent to it before has come then
		for len(heard) > 0 {
			all = append(all, (<-heard).Subject)
		}
		return all
	}
}

// attackers are connected in every relation to red: a member, a reader, one who was removed and has what its connection had, and one
// who never was in it. None of them is in blue, but the one who was removed from red. Alice is in both.
func (b *bus) attackers() map[string]*client {
	b.t.Helper()
	b.dir.change(func() { b.dir.roles[eve][red] = v1.RoleMember })
	all := map[string]*client{member: b.client(bob), "a reader": b.client(rita), "just removed": b.client(eve), "no one": b.client(userKey("NOONE"))}
	b.dir.change(func() { delete(b.dir.roles[eve], red) })
	return all
}

// member is who among the attackers may append to red.
const member = "a member"

// Requests that are mapped to a node are nobody's but the user's that they name, and nodes' and users' inboxes in either account are
// nobody's but theirs: for who is in the room in any role, was just removed from it, or never was. Alice is at work meanwhile.
func TestLeakNodeSubjects(t *testing.T) {
	b := newBus(t, 1, smallClass(), func(c *Config) { c.Alone = nil }) // so that requests are mapped
	a, node, attackers := b.client(alice), b.nodes[0].Unwrap().ID(), b.attackers()
	var spies []func() []string
	var names []string
	for name, c := range attackers {
		for _, queue := range []string{"", v1.ServiceQueue} {
			names = append(names, name)
			spies = append(spies, c.spy(queue, v1.LocalSubjects(v1.AppendSubjects, node), v1.LocalSubjects(v1.HistorySubjects, node),
				v1.LocalSubjects(v1.AppendSubject(alice, red), node), v1.LocalSubjects(v1.AppendSubject(c.user, red), node), v1.LocalSubjects(v1.AppendSubject(alice, red), "*"),
				"unibus.>", "unibus."+alice+".>", "_NODE.>", "_NODE.*", "_INBOX.>", "_INBOX.*.*", v1.InboxPrefix(alice)+".>", "h.>", "$JS.>"))
		}
	}
	waits := v1.InboxPrefix(alice) + ".waits"
	forged, err := a.SubscribeSync(waits)
	if err != nil {
		t.Fatal(err)
	}
	a.append(red, "kept")
	a.append(blue, "kept")
	for _, c := range attackers {
		for _, subject := range []string{v1.AppendSubject(alice, red), v1.AppendSubject(alice, blue), v1.HistorySubject(alice, blue)} {
			for _, reply := range []string{c.NewInbox(), waits} {
				if err := c.PublishRequest(v1.LocalSubjects(subject, node), reply, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, subject := range []string{waits, "_NODE.x", b.services[0].acks + "1", v1.HistoryKept(b.class.Name, red), "$JS.API.STREAM.PURGE." + v1.HistoryStream(b.class.Name)} {
			if err := c.Publish(subject, []byte(`{"stream":"x","seq":99}`)); err != nil {
				t.Fatal(err)
			}
		}
		if err := c.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	for _, room := range []string{red, blue} {
		if got, end := a.history(room, v1.HistoryRequest{}); end.Error != nil || !slices.Equal(bodies(got), []string{"kept"}) {
			t.Errorf("%s has %q, %+v", room, bodies(got), end)
		}
	}
	if n := b.services[0].Counts().Requests["append"][OutcomeOK]; n != 2 {
		t.Errorf("%d appends were taken, want Alice's two", n)
	}
	if m, err := forged.NextMsg(50 * time.Millisecond); err == nil {
		t.Errorf("Alice was answered %q, for what another asked", m.Data)
	}
	for i, heard := range spies {
		if got := heard(); len(got) > 0 {
			t.Errorf("%s heard %q", names[i], got)
		}
	}
}

// What the streams' account sends to the clients' is users' answers and logs only, and nothing at all goes the other way, whoever sends it.
func TestLeakBetweenAccounts(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	heard := b.ears()
	a := b.client(alice)
	var answers []v1.AppendAnswer
	for range 2 * probeEvery { // most are answered by the stream, some by the service
		answers = append(answers, a.append(red, "x"))
	}
	if messages, end := a.history(red, v1.HistoryRequest{Last: 10, AtLeast: answers[len(answers)-1].Sequence}); len(messages) != 10 {
		t.Errorf("%d messages, %+v", len(messages), end)
	}
	for _, s := range heard() {
		if !strings.HasPrefix(s, v1.InboxPrefix(alice)+".") && s != v1.LogSubject(red) {
			t.Errorf("%s came out of the streams' account", s)
		}
	}
	inside := b.nodes[0].MustConnect(t, embeddednats.AccountHistory)
	sub, err := inside.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	if err := inside.Flush(); err != nil {
		t.Fatal(err)
	}
	nc := b.nodes[0].MustConnect(t, embeddednats.AccountClients) // without the bounds of a user
	for _, subject := range []string{v1.LogSubject(red), v1.InboxPrefix(alice) + ".x", b.services[0].acks + "1", "_NODE.x", v1.HistoryKept(b.class.Name, red),
		"$JS.API.INFO", "$JS.ACK." + v1.HistoryStream(b.class.Name) + ".c.1.1.1.1.0"} {
		if err := nc.Publish(subject, []byte("forged")); err != nil {
			t.Fatal(err)
		}
	}
	if err := nc.Flush(); err != nil {
		t.Fatal(err)
	}
	for {
		m, err := sub.NextMsg(100 * time.Millisecond)
		if err != nil {
			break
		}
		if string(m.Data) == "forged" {
			t.Errorf("%s came into the streams' account", m.Subject)
		}
	}
}

// Appends to two classes in turn don't hide each other: that the stream of one answers says nothing of the other's. So each of them is known to
// wait, and who asks is told what became of it.
func TestTwoClassesInTurnAreCounted(t *testing.T) {
	b := newBus(t, 1, smallClass(), func(c *Config) { c.MaxAppendsOfUser, c.AppendTimeout = 4, time.Hour })
	room := b.stuck("stuck")
	c := b.client(alice)
	c.append(red, "x")
	b.services[0].pending.note("stuck", true) // as if it had answered until now
	turns, most := 2*probeEvery, b.services[0].most[serviceAppend]
	for i := range turns {
		if err := c.PublishRequest(v1.AppendSubject(alice, room), c.NewInbox(), nil); err != nil {
			t.Fatal(err)
		}
		if a := c.append(red, "x"); i+1 < most && a.Error != nil {
			t.Error(a.Error)
		} else if i+1 >= most {
			expectCode(t, a.Error, v1.CodeRate)
		}
	}
	late := b.services[0].pending.expired(time.Now().Add(2 * time.Hour))
	if n := b.services[0].Counts().Requests["append"]; len(late) != most || n[v1.CodeRate] != uint64(2*(turns-most)+1) {
		t.Errorf("%d are known to wait, and %d were refused", len(late), n[v1.CodeRate])
	}
}
