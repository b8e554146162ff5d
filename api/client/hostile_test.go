// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// posing ends a node's services and answers in their place.
func (s *scene) posing(subject string, answer func(nc *nats.Conn, m *nats.Msg)) {
	s.t.Helper()
	s.nodes[0].end()
	nc := s.nodes[0].MustConnect(s.t, embeddednats.AccountClients)
	_, err := nc.QueueSubscribe(subject, v1.ServiceQueue, func(m *nats.Msg) { answer(nc, m) })
	s.must(err)
	s.must(nc.Flush())
}

func pageOf(sequence, sender string) *nats.Msg {
	return &nats.Msg{Header: nats.Header{v1.HeaderSequence: {sequence}, v1.HeaderSender: {sender}, v1.HeaderTime: {time.Now().Format(time.RFC3339Nano)}}, Data: []byte("x")}
}

func endOf(text string) *nats.Msg { return &nats.Msg{Header: nats.Header{v1.HeaderEnd: {text}}} }

func TestHostileHistory(t *testing.T) {
	s := mustScene(t, 1)
	bob := s.client(s.bob, nil).mustRoom(t, "kept")
	ann := public(s.ann)
	var answers atomic.Value // []*nats.Msg
	s.posing(v1.HistorySubjects, func(nc *nats.Conn, m *nats.Msg) {
		for _, a := range answers.Load().([]*nats.Msg) {
			a.Subject = m.Reply
			if err := nc.PublishMsg(a); err != nil {
				t.Error(err)
			}
		}
	})
	endless := []*nats.Msg{}
	for i := range v1.MaxPage + 10 {
		endless = append(endless, pageOf(fmt.Sprint(i+1), ann))
	}
	for what, list := range map[string][]*nats.Msg{
		"no JSON":                 {endOf("{")},
		"more of nothing":         {endOf(`{"messages":0,"more":true}`)},
		"a long end":              {endOf(`{"x":"` + strings.Repeat("x", 5000) + `"}`)},
		"out of order":            {pageOf("2", ann), pageOf("1", ann), endOf(`{"messages":2}`)},
		"twice":                   {pageOf("2", ann), pageOf("2", ann), endOf(`{"messages":2}`)},
		"sequence 0":              {pageOf("0", ann), endOf(`{"messages":1}`)},
		"no number":               {pageOf("-1", ann), endOf(`{"messages":1}`)},
		"a sender that is no key": {pageOf("1", "ann"), endOf(`{"messages":1}`)},
		"no headers":              {{Data: []byte("x")}, endOf(`{"messages":1}`)},
		"more than a page":        endless,
	} {
		answers.Store(list)
		_, _, err := bob.History(t.Context(), v1.HistoryRequest{})
		expectErr(t, what, err, ErrBadServer)
		_, err = bob.Subscribe(t.Context(), FromTime(time.Unix(0, 0)))
		expectErr(t, what, err, ErrBadServer)
	}
	answers.Store([]*nats.Msg{pageOf("2", ann), endOf(`{"messages":1}`)})
	_, _, err := bob.History(t.Context(), v1.HistoryRequest{From: 3})
	expectErr(t, "what was not asked for", err, ErrBadServer)
	// What is not whole is asked for again.
	for what, list := range map[string][]*nats.Msg{
		"one is missing": {pageOf("1", ann), endOf(`{"messages":2}`)}, "unavailable": {endOf(`{"error":{"code":"unavailable","message":"x"}}`)}, "no answer": nil,
	} {
		answers.Store(list)
		ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
		_, _, err := bob.History(ctx, v1.HistoryRequest{})
		expectErr(t, what, err, context.DeadlineExceeded)
		cancel()
	}
	answers.Store([]*nats.Msg{endOf(`{"error":{"code":"new","message":"\u001b[2Jbeware\r\n"}}`)})
	_, _, err = bob.History(t.Context(), v1.HistoryRequest{})
	if expectErr(t, "a code of the future", err, ErrInternal); err != nil && strings.ContainsAny(err.Error(), "\x1b\r\n") {
		t.Errorf("%q", err)
	}
	answers.Store([]*nats.Msg{pageOf("5", ann), endOf(`{"messages":1,"next":18446744073709551615}`)})
	sub, err := bob.Subscribe(t.Context(), FromTime(time.Unix(0, 0)))
	s.must(err)
	expectNext(t, sub, "x")
}

func TestHostileLists(t *testing.T) {
	s := mustScene(t, 1)
	c := s.client(s.bob, nil)
	var answer atomic.Value
	answer.Store("")
	s.posing(v1.RoomsSubjects, func(nc *nats.Conn, m *nats.Msg) {
		if err := nc.Publish(m.Reply, []byte(answer.Load().(string))); err != nil {
			t.Error(err)
		}
	})
	room := func(name, id, next string) string {
		b, err := json.Marshal(v1.RoomsAnswer{Rooms: []v1.RoomOf{{Name: name, ID: id}}, Next: next})
		s.must(err)
		return string(b)
	}
	for what, text := range map[string]string{"no JSON": "x", "nothing": "", "the same for ever": room("a", s.kept.ID, "a"), "an id that is a wildcard": room("a", "*", ""), "an id of two tokens": room("a", s.kept.ID+".x", "")} {
		answer.Store(text)
		_, err := c.Rooms(t.Context())
		expectErr(t, what, err, ErrBadServer)
	}
}

func TestHostileReceipts(t *testing.T) {
	s := mustScene(t, 1)
	r := s.client(s.bob, nil).mustRoom(t, "kept")
	var answer atomic.Value
	answer.Store("")
	s.posing(v1.AppendSubjects, func(nc *nats.Conn, m *nats.Msg) {
		for range 3 { // what nobody waits for any more changes nothing
			if err := nc.Publish(m.Reply, []byte(answer.Load().(string))); err != nil {
				t.Error(err)
			}
		}
	})
	for what, x := range map[string]struct {
		text string
		want error
	}{
		"no JSON": {"x", ErrBadServer}, "nothing": {"", ErrBadServer}, "no sequence": {"{}", ErrBadServer}, "a negative one": {`{"sequence":-1}`, ErrBadServer},
		"a code of the future": {`{"error":{"code":"new"}}`, ErrInternal}, "an error and a sequence": {`{"sequence":7,"error":{"code":"full"}}`, ErrFull},
	} {
		answer.Store(x.text)
		_, err := r.Publish(t.Context(), Message{})
		expectErr(t, what, err, x.want)
	}
	answer.Store(`{"sequence":7}`)
	got, err := r.Publish(t.Context(), Message{})
	if err != nil || got.Sequence != 7 {
		t.Errorf("%+v, %v", got, err)
	}
	natstest.Within(t, natstest.Patience, "nothing waits", r.c.out.empty)
}
