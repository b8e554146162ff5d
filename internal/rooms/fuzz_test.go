// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
)

// FuzzService hands requests of every form to the services. Whatever comes, nobody but Bob is answered, only in his inbox; what he
// may not append is not kept, and what is kept is stamped.
func FuzzService(f *testing.F) {
	f.Add(v1.AppendSubject(bob, red), v1.InboxPrefix(bob)+".1", "App-X", "1", []byte("x"))
	f.Add(v1.AppendSubject(bob, red), v1.InboxPrefix(bob)+".1", v1.HeaderMessageID, "id", []byte("x"))
	f.Add(v1.AppendSubject(bob, blue), v1.InboxPrefix(bob)+".1", "nats-rollup", "all", []byte(""))
	f.Add(v1.HistorySubject(bob, red), v1.InboxPrefix(bob)+".1", "", "", []byte(`{"last":3,"limit":1,"atLeast":1}`))
	f.Add(v1.HistorySubject(bob, red), v1.InboxPrefix(bob)+".a.b", "", "", []byte(`{"since":"2020-01-01T00:00:00Z"}`))
	f.Add(v1.HistorySubject(bob, red), v1.InboxPrefix(eve)+".1", "", "", []byte(`{"from":18446744073709551615}`))
	f.Add(v1.RoomsSubject(bob), v1.InboxPrefix(bob)+".1", "", "", []byte("red"))
	f.Add("unibus..append.", "", "Status", "503", []byte{0})
	b := newBus(f, 1, smallClass(), nil)
	b.dir.change(func() { b.dir.roles = map[string]map[string]v1.Role{bob: {red: v1.RoleMember}} })
	// The services belong to one goroutine each, so this is a second set of them on the same connections, which nobody else uses.
	cfg, now := b.services[0].cfg, time.Now()
	cfg.Now = func() time.Time { now = now.Add(time.Second); return now } // nobody asks too often
	s, err := New(cfg)
	if err != nil {
		f.Fatal(err)
	}
	clients := b.nodes[0].MustConnect(f, embeddednats.AccountClients)
	answers := make(chan *nats.Msg, 10_000)
	forward := func(m *nats.Msg) {
		if !strings.HasPrefix(m.Subject, "log.") { // what the stream took
			answers <- m
		}
	}
	if _, err := clients.Subscribe(">", forward); err != nil {
		f.Fatal(err)
	}
	if _, err := s.cfg.History.Subscribe(s.acks+"*", s.acknowledged); err != nil || clients.Flush() != nil {
		f.Fatal(err, clients.LastError())
	}
	f.Fuzz(func(t *testing.T, subject, reply, name, value string, body []byte) {
		m := &nats.Msg{Subject: subject, Reply: reply, Header: nats.Header{name: {value}}, Data: body}
		var answered bool
		switch user, service, _, ok := v1.ParseService(subject); {
		case strings.Contains(subject, "append"):
			s.append(m)
			answered = ok && service == "append" && v1.IsInbox(reply, user)
		case strings.Contains(subject, "rooms"):
			s.rooms(m)
			answered = ok && service == "rooms" && v1.IsInbox(reply, user)
		default:
			if s.queueHistory(m); s.reads.len() > 0 {
				q, _ := s.reads.next()
				s.answerHistory(q)
				s.reads.done(q)
			}
			answered = ok && service == "history" && v1.IsInbox(reply, user)
		}
		if !answered {
			select {
			case m := <-answers:
				t.Fatalf("%s with reply %q is answered at %s", subject, reply, m.Subject)
			default:
			}
			return
		}
		for {
			select {
			case m := <-answers:
				if m.Subject != reply {
					t.Fatalf("answered at %s, want %s", m.Subject, reply)
				}
				if end := m.Header.Get(v1.HeaderEnd); end != "" || !strings.Contains(subject, "history") {
					if !json.Valid([]byte(end + string(m.Data))) {
						t.Fatalf("answer %q %q", end, m.Data)
					}
					return
				}
				if m.Header.Get(v1.HeaderSender) != bob {
					t.Fatalf("headers %v", m.Header)
				}
				for name := range m.Header {
					if strings.HasPrefix(name, "Nats-") {
						t.Fatalf("headers %v", m.Header)
					}
				}
			case <-time.After(20 * time.Second):
				t.Fatalf("%s with reply %q is not answered", subject, reply)
			}
		}
	})
}
