// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// What the fuzz test judges by. These are rules of their own, so that a mistake in those of the services shows.
var (
	requestForm = regexp.MustCompile(`^unibus\.(U[A-Z2-7]{55})\.(?:(rooms)|(append|history)\.([A-Z2-7]{26})(?:\.[^.]*)?)$`)
	inboxForm   = regexp.MustCompile(`^_INBOX\.(U[A-Z2-7]{55})(?:\.[^. \t\r\n]+)+$`)
)

// asked is a request as the rules see it; service is empty for one that nobody may answer.
type asked struct{ user, service, room, reply string }

func askedBy(subject, reply string) (a asked) {
	request, inbox := requestForm.FindStringSubmatch(subject), inboxForm.FindStringSubmatch(reply)
	if request == nil || inbox == nil || inbox[1] != request[1] || len(reply) > 256 || !server.IsValidLiteralSubject(reply) {
		return a
	}
	return asked{user: request[1], service: request[2] + request[3], room: request[4], reply: reply}
}

// allowed is true for what Bob asks of red, the only room that he is in, and nobody else in any.
func (a asked) allowed() bool { return a.user == bob && a.room == red }

// fuzzed is a service that nobody but the test asks, and what it sends.
type fuzzed struct {
	*Service
	clients *nats.Conn
	answers chan *nats.Msg
}

func mustFuzzed(f *testing.F) *fuzzed {
	f.Helper()
	b := newBus(f, 1, smallClass(), nil)
	b.dir.change(func() { b.dir.roles = map[string]map[string]v1.Role{bob: {red: v1.RoleMember}} })
	// The services belong to one goroutine each, so this is a second set of them on the same connections, which nobody else uses.
	cfg, now := b.services[0].cfg, time.Now()
	cfg.Now = func() time.Time { now = now.Add(time.Second); return now } // nobody asks too often
	s, err := New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	z := &fuzzed{s, b.nodes[0].MustConnect(f, embeddednats.AccountClients), make(chan *nats.Msg, 10_000)}
	if _, err := z.clients.ChanSubscribe(">", z.answers); err != nil {
		f.Fatal(err)
	}
	if _, err := s.cfg.History.Subscribe(s.acks+"*", s.acknowledged); err != nil || z.clients.Flush() != nil {
		f.Fatal(err, z.clients.LastError())
	}
	return z
}

// hand gives a request to its service, or to all of them if it is none, and returns how many have dropped it.
func (z *fuzzed) hand(m *nats.Msg, service string) (dropped uint64) {
	before := z.Counts().Requests
	if service == "" || service == "append" {
		z.append(m)
	}
	if service == "" || service == "rooms" {
		z.rooms(m)
	}
	if service == "" || service == "history" {
		if z.queueHistory(m); z.reads.len() > 0 {
			q, _ := z.reads.next()
			z.answerHistory(q)
			z.reads.done(q)
		}
	}
	for name, now := range z.Counts().Requests {
		dropped += now[OutcomeDropped] - before[name][OutcomeDropped]
	}
	return dropped
}

// next returns what was sent and is no log, nil if nothing comes: at once if wait is 0.
func (z *fuzzed) next(t *testing.T, wait time.Duration) *nats.Msg {
	t.Helper()
	for end := time.Now().Add(wait); len(z.answers) > 0 || wait > 0; {
		select {
		case m := <-z.answers:
			if !strings.HasPrefix(m.Subject, "log.") {
				return m
			}
			expectLog(t, m)
		case <-time.After(time.Until(end)):
			return nil
		}
	}
	return nil
}

// expectLog: what a stream took is of red, by Bob, and has no headers but those of it and its sender.
func expectLog(t *testing.T, m *nats.Msg) {
	t.Helper()
	if m.Subject != v1.LogSubject(red) || m.Header.Get(v1.HeaderSender) != bob {
		t.Fatalf("%s took %q with headers %v", m.Subject, m.Data, m.Header)
	}
	expectHeaders(t, m, "Nats-Msg-Id", "Nats-Stream", "Nats-Subject", "Nats-Sequence", "Nats-Last-Sequence", "Nats-Time-Stamp", v1.HeaderSender, v1.HeaderID)
}

// expectHeaders allows those that a sender may set besides the ones named.
func expectHeaders(t *testing.T, m *nats.Msg, names ...string) {
	t.Helper()
	known := "|" + strings.Join(append(names, "Content-Type", "Content-Encoding", "Traceparent", "Tracestate"), "|") + "|"
	for name := range m.Header {
		if !strings.HasPrefix(name, "App-") && !strings.Contains(known, "|"+name+"|") {
			t.Fatalf("%s has header %q: %v", m.Subject, name, m.Header)
		}
	}
}

// expectAnswer reads the whole answer: nobody but Bob is told of anything but an error, and he of red only.
func (z *fuzzed) expectAnswer(t *testing.T, a asked) {
	t.Helper()
	for messages := 0; ; messages++ {
		m := z.next(t, natstest.Patience)
		if m == nil {
			t.Fatalf("%+v is not answered", a)
		}
		if m.Subject != a.reply {
			t.Fatalf("%+v is answered at %s", a, m.Subject)
		}
		var err error
		var refused *v1.Error
		end := m.Header.Get(v1.HeaderEnd)
		switch {
		case a.service == "append":
			var answer v1.AppendAnswer
			err = json.Unmarshal(m.Data, &answer)
			refused = answer.Error
		case a.service == "rooms":
			var answer v1.RoomsAnswer
			err = json.Unmarshal(m.Data, &answer)
			for _, r := range answer.Rooms {
				if a.user != bob || r.ID != red {
					t.Fatalf("%+v is told of %+v", a, r)
				}
			}
			refused = answer.Error
		case end == "":
			if !a.allowed() || m.Header.Get(v1.HeaderSender) != bob {
				t.Fatalf("%+v reads %q with headers %v", a, m.Data, m.Header)
			}
			expectHeaders(t, m, v1.HeaderSender, v1.HeaderID, v1.HeaderSequence, v1.HeaderTime)
			continue
		default:
			var answer v1.HistoryAnswer
			err = json.Unmarshal([]byte(end), &answer)
			if refused = answer.Error; answer.Messages != messages || len(m.Data) > 0 {
				t.Fatalf("%+v reads %d messages, and the end says %+v %q", a, messages, answer, m.Data)
			}
		}
		if err != nil {
			t.Fatalf("%+v: answer %q %q: %v", a, end, m.Data, err)
		}
		if a.service != "rooms" && !a.allowed() && refused == nil {
			t.Fatalf("%+v is not refused: %q %q", a, end, m.Data)
		}
		return
	}
}

// FuzzService hands requests of every form to the services. Whatever comes, nobody is answered but in his own inbox, and nobody but Bob
// with anything but an error; what he may not append is not kept, and what is kept is stamped.
func FuzzService(f *testing.F) {
	inbox, eves := v1.InboxPrefix(bob)+".1", v1.InboxPrefix(eve)+".1"
	for _, headers := range []string{"", "NATS/1.0\r\nApp-X: 1\r\n\r\n", "NATS/1.0\r\nNats-Msg-Id: id\r\n\r\n", "NATS/1.0\r\nnats-rollup: all\r\n\r\n", "NATS/1.0 503\r\n\r\n",
		"NATS/1.0\r\nUnibus-Sender: x\r\n\r\n", "NATS/1.0\r\nApp-X: a\rNats-Rollup: sub\r\n\r\n", "NATS/1.0\r\nApp-X: 1\r\napp-x: 2\r\ntraceparent: 3\r\n\r\n"} {
		f.Add(v1.AppendSubject(bob, red), inbox, headers, []byte("x"))
		f.Add(v1.AppendSubject(bob, blue), inbox, headers, []byte(""))
	}
	f.Add(v1.AppendSubject(eve, red), eves, "", []byte("x"))
	f.Add(v1.HistorySubject(bob, red), inbox, "", []byte(`{"last":3,"limit":1,"atLeast":1}`))
	f.Add(v1.HistorySubject(bob, red), v1.InboxPrefix(bob)+".a.b", "", []byte(`{"since":"2020-01-01T00:00:00Z"}`))
	f.Add(v1.HistorySubject(bob, red), eves, "", []byte(`{"from":18446744073709551615}`))
	f.Add(v1.HistorySubject(bob, blue), inbox, "", []byte("{}"))
	f.Add(v1.HistorySubject(eve, red), eves, "", []byte("{}"))
	f.Add(v1.HistorySubject(bob, red)+".append", inbox, "", []byte("{}"))
	f.Add(v1.RoomsSubject(bob), inbox, "", []byte(""))
	f.Add(v1.RoomsSubject(eve), eves, "", []byte("red"))
	for _, end := range []string{"", ".", ".*", ".>", ".a.*", ".a..b", ".a b", ".a\r\nb", "B.1", "." + strings.Repeat("x", 300)} {
		f.Add(v1.RoomsSubject(bob), v1.InboxPrefix(bob)+end, "", []byte(""))
	}
	for _, user := range []string{"X", strings.ToLower(bob), bob + "A", bob[:len(bob)-1], "*"} { // whose inbox it is, but that is nobody
		f.Add(v1.AppendSubject(user, red), v1.InboxPrefix(user)+".1", "", []byte("x"))
	}
	for _, room := range []string{"red", strings.ToLower(red), red + "A", red[1:], ">"} {
		f.Add(v1.HistorySubject(bob, room), inbox, "", []byte("{}"))
	}
	f.Add("unibus..append.", "", "NATS/1.0\r\nStatus: 503\r\n\r\n", []byte{0})
	z := mustFuzzed(f)
	f.Fuzz(func(t *testing.T, subject, reply, headers string, body []byte) {
		m := &nats.Msg{Subject: subject, Reply: reply, Data: body}
		if headers != "" {
			var err error
			if m.Header, err = nats.DecodeHeadersMsg([]byte(headers)); err != nil {
				return // TestLeakHeaderValues sends such blocks: only the library can make the message that the services see
			}
		}
		a := askedBy(subject, reply)
		dropped := z.hand(m, a.service)
		if a.service != "" {
			if dropped != 0 {
				t.Fatalf("%+v is dropped", a)
			}
			z.expectAnswer(t, a)
			return
		}
		if dropped != uint64(len(services)) {
			t.Fatalf("%q with reply %q is dropped by %d services", subject, reply, dropped)
		}
		for _, nc := range []*nats.Conn{z.cfg.Clients, z.cfg.Pages, z.clients} { // what was sent has come then
			if err := nc.Flush(); err != nil {
				t.Fatal(err)
			}
		}
		if m := z.next(t, 0); m != nil {
			t.Fatalf("%q with reply %q is answered at %s", subject, reply, m.Subject)
		}
	})
}
