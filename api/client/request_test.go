// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// mustRespond answers until the test ends, or what it returns is called.
func mustRespond(t testing.TB, r *Room, queue string, handle Handler) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var done sync.WaitGroup
	done.Go(func() {
		if err := r.Respond(ctx, queue, handle); !errors.Is(err, context.Canceled) {
			t.Errorf("respond: %v", err)
		}
	})
	stop = sync.OnceFunc(func() { cancel(); done.Wait() })
	t.Cleanup(stop)
	return stop
}

// withinAnswer asks until somebody answers: what a responder subscribes to takes a moment to be known.
func withinAnswer(t testing.TB, r *Room, to string) (m Message) {
	t.Helper()
	natstest.Within(t, natstest.Patience, "an answer", func() bool {
		var err error
		ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
		defer cancel()
		m, err = r.Request(ctx, to, Message{Data: []byte("?"), Header: map[string]string{"App-N": "1"}})
		if err != nil && !errors.Is(err, ErrNoAnswer) {
			t.Fatal(err)
		}
		return err == nil
	})
	return m
}

func TestRequest(t *testing.T) {
	s := mustScene(t, 1)
	ann, bob := s.client(s.ann, nil).mustRoom(t, "live"), s.client(s.bob, nil).mustRoom(t, "live")
	_, err := ann.Request(t.Context(), "", Message{})
	expectErr(t, "nobody is there", err, ErrNoAnswer)
	_, err = ann.Request(t.Context(), "bob", Message{})
	expectErr(t, "to a name", err, ErrInvalid)

	failing := errors.New("no tea\r\nApp-X: 1")
	stop := mustRespond(t, bob, "", func(_ context.Context, m Message) (Message, error) {
		switch string(m.Data) {
		case "fail":
			return Message{}, failing
		case "for another":
			return Message{}, ErrNoAnswer
		}
		return Message{Data: []byte(m.Sender), Header: map[string]string{"App-N": m.Header["App-N"] + "!"}}, nil
	})
	for _, to := range []string{"", public(s.bob)} {
		m := withinAnswer(t, ann, to)
		if string(m.Data) != public(s.ann) || m.Header["App-N"] != "1!" || m.Sender != "" {
			t.Errorf("%+v", m)
		}
	}
	_, err = ann.Request(t.Context(), public(s.rita), Message{})
	expectErr(t, "to who does not answer", err, ErrNoAnswer)
	_, err = ann.Request(t.Context(), "", Message{Data: []byte("fail")})
	if expectErr(t, "a failure", err, ErrAnswer); err != nil && (!strings.Contains(err.Error(), "no tea") || strings.ContainsAny(err.Error(), "\r\n")) {
		t.Errorf("%q", err)
	}
	stopOther := mustRespond(t, bob, "other", func(_ context.Context, m Message) (Message, error) {
		if string(m.Data) != "for another" {
			return Message{}, ErrNoAnswer
		}
		return Message{Data: []byte("here")}, nil
	})
	natstest.Within(t, natstest.Patience, "both listen", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		m, err := ann.Request(ctx, "", Message{Data: []byte("for another")})
		if err != nil && !errors.Is(err, context.DeadlineExceeded) {
			t.Fatalf("one of two leaves the answer to the other: %v", err)
		}
		return string(m.Data) == "here"
	})
	stopOther()
	stop()

	// Of the same queue one answers, of others each.
	var mu sync.Mutex
	got := map[string]int{}
	count := func(name string) Handler {
		return func(context.Context, Message) (Message, error) {
			mu.Lock()
			defer mu.Unlock()
			got[name]++
			return Message{Data: []byte(name)}, nil
		}
	}
	for range 2 {
		mustRespond(t, bob, "", count("bob"))
	}
	withinAnswer(t, ann, "")
	mu.Lock()
	got["bob"] = 0
	mu.Unlock()
	for range 20 {
		withinAnswer(t, ann, "")
	}
	mu.Lock()
	defer mu.Unlock()
	if got["bob"] != 20 {
		t.Errorf("20 requests were answered %d times", got["bob"])
	}
}

// Who asks in one room can't make who answers there speak in another.
func TestAnswersStayInTheirRoom(t *testing.T) {
	s := mustScene(t, 1)
	// Ann answers in both rooms. Eve is in "live" only, and so may not speak in "other".
	s.member(s.live, s.eve, v1.RoleMember)
	ann, eve, bob := s.client(s.ann, nil), s.client(s.eve, nil), s.client(s.bob, nil)
	log := natstest.NewLog()
	ann.o.Logger = log.Logger()
	asked := make(chan string, 64)
	mustRespond(t, ann.mustRoom(t, "live"), "", func(_ context.Context, m Message) (Message, error) {
		asked <- string(m.Data)
		return Message{Data: []byte("answer to " + string(m.Data))}, nil
	})
	withinAnswer(t, eve.mustRoom(t, "live"), "")
	<-asked
	heard := make(chan *nats.Msg, 64)
	for _, subject := range []string{v1.RoomSubjects(s.other.ID), v1.ReplyPrefix(s.other.ID, public(s.bob)) + ".>", v1.ReplyPrefix(s.live.ID, public(s.bob)) + ".>"} {
		if _, err := bob.nc.ChanSubscribe(subject, heard); err != nil {
			t.Fatal(err)
		}
	}
	s.must(bob.Flush(t.Context()))
	elsewhere := []string{
		v1.RoomSubject(s.other.ID, public(s.ann), v1.SubjectMessage), // spoken by ann
		v1.ReplyPrefix(s.other.ID, public(s.bob)) + ".x",
		v1.ReplyPrefix(s.live.ID, public(s.bob)) + ".x", // of the room, but not of who asks
		v1.AppendSubject(public(s.ann), s.kept.ID),
		v1.ReplyPrefix(s.live.ID, public(s.eve)),
		v1.ReplyPrefix(s.live.ID, public(s.eve)) + "x.y",
		"",
	}
	for _, reply := range elsewhere {
		s.must(eve.nc.PublishMsg(&nats.Msg{Subject: v1.RoomSubject(s.live.ID, public(s.eve), v1.SubjectRequest), Reply: reply, Data: []byte("to " + reply)}))
	}
	if m := withinAnswer(t, eve.mustRoom(t, "live"), ""); string(m.Data) != "answer to ?" {
		t.Errorf("%q", m.Data)
	}
	if got := <-asked; got != "?" {
		t.Errorf("the handler was asked %q", got)
	}
	s.must(ann.Flush(t.Context()))
	s.must(bob.Flush(t.Context()))
	for len(heard) > 0 {
		m := <-heard
		t.Errorf("%s: %q", m.Subject, m.Data)
	}
	if !log.Said("is not answered", public(s.eve)) {
		t.Error("nobody is told")
	}
}
