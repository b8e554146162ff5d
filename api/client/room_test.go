// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// scene is a bus with ann and bob in all rooms, rita as their reader, and eve in none.
type scene struct {
	*bus
	ann, bob, rita, eve nkeys.KeyPair
	kept, live, other   v1.Room
}

func mustScene(t testing.TB, nodes int) *scene {
	t.Helper()
	s := &scene{bus: mustBus(t, nodes)}
	s.ann, s.bob, s.rita, s.eve = s.user("ann"), s.user("bob"), s.user("rita"), s.user("eve")
	members := map[nkeys.KeyPair]v1.Role{s.ann: v1.RoleAdmin, s.bob: v1.RoleMember, s.rita: v1.RoleReader}
	s.kept, s.live, s.other = s.room("kept", "kept", members), s.room("live", "", members), s.room("other", "", members)
	return s
}

func TestRooms(t *testing.T) {
	s := mustScene(t, 1)
	c := s.client(s.bob, nil)
	list, err := c.Rooms(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, r := range list {
		names = append(names, fmt.Sprintf("%s %s %q", r.Name, r.Role, r.Class))
	}
	if diff := cmp.Diff([]string{`kept member "kept"`, `live member ""`, `other member ""`}, names); diff != "" {
		t.Error(diff)
	}
	_, err = c.Room(t.Context(), "cellar")
	expectErr(t, "a room that is not there", err, ErrNotFound)
	_, err = s.client(s.eve, nil).Room(t.Context(), "kept")
	expectErr(t, "a room that one is not in", err, ErrNotFound)
}

func TestKeptRoom(t *testing.T) {
	s := mustScene(t, 1)
	ann, bob := s.client(s.ann, nil).mustRoom(t, "kept"), s.client(s.bob, nil).mustRoom(t, "kept")
	now := bob.mustSubscribe(t, StartNow())
	sent := mustPublish(t, ann, "one", "two", "three")
	got := expectNext(t, now, "one", "two", "three")
	for i, m := range got {
		if m.Sequence != sent[i].Sequence || m.Sender != public(s.ann) || m.ID == "" || time.Since(m.Time).Abs() > time.Hour {
			t.Errorf("%+v, receipt %+v", m, sent[i])
		}
	}
	expectNext(t, bob.mustSubscribe(t, FromSequence(sent[1].Sequence)), "two", "three")
	expectNext(t, bob.mustSubscribe(t, FromSequence(0)), "one", "two", "three")
	expectNext(t, bob.mustSubscribe(t, FromTime(got[2].Time)), "three")
	expectNext(t, bob.mustSubscribe(t, LastN(2)), "two", "three")
	later := bob.mustSubscribe(t, FromTime(time.Now().Add(time.Hour)))
	// What was heard is what the history gives.
	read, end, err := bob.History(t.Context(), v1.HistoryRequest{})
	if err != nil || end.More {
		t.Fatal(end, err)
	}
	if diff := cmp.Diff(got, read); diff != "" {
		t.Error(diff)
	}

	m := Message{ID: "mine", Header: map[string]string{"App-Kind": "tea", "Content-Type": "text/plain"}, Data: []byte("four")}
	first, err := ann.Publish(t.Context(), m)
	s.must(err)
	again, err := ann.Publish(t.Context(), m)
	s.must(err)
	if first.Duplicate || !again.Duplicate || again.Sequence != first.Sequence {
		t.Errorf("the same id twice: %+v, %+v", first, again)
	}
	mustPublish(t, ann, "five")
	for _, sub := range []*Subscription{now, later} {
		got = expectNext(t, sub, "four", "five")
		if diff := cmp.Diff(m.Header, got[0].Header); diff != "" || got[0].ID != "mine" {
			t.Errorf("id %q %s", got[0].ID, diff)
		}
	}
}

func TestLiveRoom(t *testing.T) {
	s := mustScene(t, 1)
	ann, bob := s.client(s.ann, nil).mustRoom(t, "live"), s.client(s.bob, nil).mustRoom(t, "live")
	_, err := bob.Subscribe(t.Context(), LastN(1))
	expectErr(t, "history of a room that has none", err, ErrNotKept)
	_, _, err = bob.History(t.Context(), v1.HistoryRequest{})
	expectErr(t, "history of a room that has none", err, ErrNotKept)
	sub := bob.mustSubscribe(t, StartNow())
	mustPublish(t, ann, "one")
	s.must(ann.PublishAsync(t.Context(), Message{Data: []byte("two")}, func(Receipt, error) {}))
	s.must(ann.c.Flush(t.Context()))
	if got := expectNext(t, sub, "one", "two"); got[0].Sender != public(s.ann) || got[0].Sequence != 0 {
		t.Errorf("%+v", got[0])
	}
	// Rooms are apart.
	mustPublish(t, s.client(s.ann, nil).mustRoom(t, "other"), "elsewhere")
	mustPublish(t, ann, "three")
	expectNext(t, sub, "three")
}

func TestRefusals(t *testing.T) {
	s := mustScene(t, 1)
	c := s.client(s.ann, nil)
	kept, live := c.mustRoom(t, "kept"), c.mustRoom(t, "live")
	for what, x := range map[string]struct {
		m    Message
		want error
	}{
		"too large for the class": {Message{Data: make([]byte, 65<<10)}, ErrTooLarge},
		"too large for the node":  {Message{Data: make([]byte, 2<<20)}, ErrTooLarge},
		"a header of the bus":     {Message{Header: map[string]string{v1.HeaderSender: public(s.bob)}}, ErrInvalid},
		"a header that ends":      {Message{Header: map[string]string{"App-X": "a\r\nNats-Msg-Id: b"}}, ErrInvalid},
		"a header's name":         {Message{Header: map[string]string{"App-X: 1\r\nApp-Y": "a"}}, ErrInvalid},
		"a long id":               {Message{ID: string(make([]byte, 129))}, ErrInvalid},
	} {
		_, err := kept.Publish(t.Context(), x.m)
		expectErr(t, what, err, x.want)
	}
	reader := s.client(s.rita, nil)
	for _, name := range []string{"kept", "live"} {
		_, err := reader.mustRoom(t, name).Publish(t.Context(), Message{Data: []byte("psst")})
		expectErr(t, "a reader publishes in "+name, err, ErrForbidden)
		var refused *v1.Error
		if name == "kept" && (!errors.As(err, &refused) || refused.Code != v1.CodeForbidden) {
			t.Errorf("%v is no *v1.Error", err)
		}
	}
	expectNext(t, func() *Subscription {
		sub := reader.mustRoom(t, "live").mustSubscribe(t, StartNow())
		mustPublish(t, live, "x")
		return sub
	}(), "x")

	eve := s.client(s.eve, nil)
	for _, r := range []*Room{eve.roomOf(v1.RoomOf{ID: s.kept.ID, Name: "kept", Class: "kept"}), eve.roomOf(v1.RoomOf{ID: s.live.ID, Name: "live"})} {
		_, err := r.Publish(t.Context(), Message{Data: []byte("psst")})
		expectErr(t, "a stranger publishes in "+r.Name, err, ErrForbidden)
		_, err = r.Subscribe(t.Context(), StartNow())
		expectErr(t, "a stranger subscribes to "+r.Name, err, ErrForbidden)
		_, err = r.Request(t.Context(), "", Message{})
		expectErr(t, "a stranger asks in "+r.Name, err, ErrForbidden)
		expectErr(t, "a stranger answers in "+r.Name, r.Respond(t.Context(), "", nil), ErrForbidden)
	}
}

func TestPipelinedKeepsOrder(t *testing.T) {
	for pending, total := range map[int]int{1: 500, 64: 5000} {
		t.Run(fmt.Sprint(pending), func(t *testing.T) { pipeline(t, pending, total) })
	}
}

func pipeline(t *testing.T, pending, total int) {
	s := mustScene(t, 1)
	ann := s.client(s.ann, func(o *Options) { o.MaxPending = pending }).mustRoom(t, "kept")
	all := make([]uint64, total) // answers come in any order
	for i := range total {
		s.must(ann.PublishAsync(t.Context(), Message{Data: fmt.Append(nil, i)}, func(r Receipt, err error) {
			if err != nil {
				t.Error(err)
			}
			all[i] = r.Sequence
		}))
	}
	s.must(ann.c.Flush(t.Context()))
	if all[0] == 0 || !slices.IsSorted(all) {
		t.Errorf("the messages have the sequences %v", all)
	}
	sub := s.client(s.bob, nil).mustRoom(t, "kept").mustSubscribe(t, FromSequence(1))
	for i := range total {
		expectNext(t, sub, fmt.Sprint(i))
	}
}

func TestContexts(t *testing.T) {
	s := mustScene(t, 1)
	c := s.client(s.ann, nil)
	kept, live := c.mustRoom(t, "kept"), c.mustRoom(t, "live")
	subs := []*Subscription{kept.mustSubscribe(t, StartNow()), live.mustSubscribe(t, StartNow())}
	why := errors.New("why")
	for _, sub := range subs {
		ctx, cancel := context.WithCancelCause(t.Context())
		time.AfterFunc(20*time.Millisecond, func() { cancel(why) })
		_, err := sub.Next(ctx)
		expectErr(t, "next", err, why)
	}
	mustPublish(t, kept, "after")
	expectNext(t, subs[0], "after")

	s.kill(0)
	// What goes into a connection that has not yet noticed is sent, and is not sent again.
	natstest.Within(t, natstest.Patience, "the connection is lost", func() bool { return !c.nc.IsConnected() })
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(100*time.Millisecond, func() { cancel(why) })
	for what, do := range map[string]func() error{
		"publish":        func() error { _, err := kept.Publish(ctx, Message{}); return err },
		"publish unkept": func() error { _, err := live.Publish(ctx, Message{}); return err },
		"history":        func() error { _, _, err := kept.History(ctx, v1.HistoryRequest{}); return err },
		"rooms":          func() error { _, err := c.Rooms(ctx); return err },
		"subscribe":      func() error { _, err := kept.Subscribe(ctx, LastN(1)); return err },
		"next":           func() error { _, err := subs[0].Next(ctx); return err },
		"request":        func() error { _, err := live.Request(ctx, "", Message{}); return err },
		"flush":          func() error { return c.Flush(ctx) },
		"respond":        func() error { return live.Respond(ctx, "", nil) },
		"publish, queued": func() error {
			done := make(chan error, 1)
			return errors.Join(kept.PublishAsync(ctx, Message{}, func(_ Receipt, err error) { done <- err }), <-done)
		},
	} {
		expectErr(t, what, do(), why)
	}
	_, err := Connect(t.Context(), Options{Servers: s.urls(), Key: s.ann})
	expectErr(t, "connect to nobody", err, ErrUnavailable)

	waits := make(chan error, 3)
	go func() { _, err := kept.Publish(context.Background(), Message{}); waits <- err }()
	go func() { _, err := subs[0].Next(context.Background()); waits <- err }()
	go func() { _, err := subs[1].Next(context.Background()); waits <- err }()
	natstest.Within(t, natstest.Patience, "one waits", func() bool { return !c.out.empty() })
	c.Close()
	for range cap(waits) {
		expectErr(t, "waits at the close", <-waits, ErrClosed)
	}
	_, err = kept.Publish(t.Context(), Message{})
	expectErr(t, "publish after close", err, ErrClosed)
	_, err = subs[0].Next(t.Context())
	expectErr(t, "next after close", err, ErrClosed)
	_, err = kept.Subscribe(t.Context(), StartNow())
	expectErr(t, "subscribe after close", err, ErrClosed)
}
