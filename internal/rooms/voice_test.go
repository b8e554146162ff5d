// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// expectRefusal fails the test unless the error has that code.
func expectRefusal(t *testing.T, err error, code string) {
	t.Helper()
	var refused *v1.Error
	errors.As(err, &refused)
	expectCode(t, refused, code)
}

func TestVoice(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	v := Voice{Clients: b.nodes[0].MustConnect(t, embeddednats.AccountClients)}
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	next, stop, err := v.Listen(ctx, b.dir.rooms[red], 8)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	say := func(id string) v1.AppendAnswer {
		t.Helper()
		a, err := v.Append(ctx, bob, red, map[string][]string{v1.HeaderMessageID: {id}, "App-X": {"1", "2"}}, []byte(id))
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	one, two := say("one").Sequence, say("two").Sequence
	if again := say("one"); !again.Duplicate || again.Sequence != one {
		t.Errorf("again it is %+v, at first %d", again, one)
	}
	_, err = v.Append(ctx, rita, red, nil, nil)
	expectRefusal(t, err, v1.CodeForbidden)
	_, _, err = v.Page(ctx, eve, red, v1.HistoryRequest{})
	expectRefusal(t, err, v1.CodeForbidden)
	list, end, err := v.Page(ctx, rita, red, v1.HistoryRequest{})
	if err != nil || end.Next != two+1 {
		t.Errorf("the page ends with %+v: %v", end, err)
	}
	var want, heard []v1.Message
	for i, sequence := range []uint64{one, two} {
		id := []string{"one", "two"}[i]
		want = append(want, v1.Message{Sequence: sequence, Sender: bob, Text: id, Headers: map[string]string{v1.HeaderMessageID: id, "App-X": "1, 2"}})
		m, before, err := next(ctx)
		if err != nil || before != []uint64{0, one}[i] {
			t.Errorf("after %d comes %d: %v", before, m.Sequence, err)
		}
		heard = append(heard, m)
	}
	for _, got := range [][]v1.Message{list, heard} {
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(v1.Message{}, "Time")); diff != "" || got[0].Time == nil {
			t.Error(diff)
		}
	}
	b.stops[0]()
	short, cancel := context.WithTimeout(ctx, 4*firstAgain)
	defer cancel()
	_, err = v.Append(short, bob, red, nil, nil)
	expectRefusal(t, err, v1.CodeUnavailable)
	sent, kept := v.Clients.Stats().OutMsgs, make(chan error, 1)
	go func() {
		_, err := v.Append(ctx, bob, red, nil, nil)
		kept <- err
	}()
	natstest.Within(t, natstest.Patience, "an append that nobody takes is sent again", func() bool { return v.Clients.Stats().OutMsgs > sent+1 })
	b.serve(b.nodes[0], nil)
	if err := <-kept; err != nil {
		t.Error(err)
	}
}

// mustTake stops the bus's services, and takes appends of bob to room red in their place until it is told to stop.
func (b *bus) mustTake(v Voice, take nats.MsgHandler) (stop func()) {
	b.t.Helper()
	b.stops[len(b.stops)-1]()
	sub, err := v.Clients.QueueSubscribe(v1.AppendSubject(bob, red), v1.ServiceQueue, take)
	if err != nil {
		b.t.Fatal(err)
	}
	return func() {
		b.t.Helper()
		if err := sub.Unsubscribe(); err != nil {
			b.t.Fatal(err)
		}
	}
}

// What nobody answers is sent again, and kept once.
func TestVoiceSendsAgain(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	v := Voice{Clients: b.nodes[0].MustConnect(t, embeddednats.AccountClients)}
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	for i, c := range []struct {
		header    map[string][]string
		duplicate bool // that it was sent again is told only to who may have sent it before
	}{{nil, false}, {map[string][]string{"Content-Type": {"x"}}, false}, {map[string][]string{v1.HeaderMessageID: {"own"}}, true}} {
		before := maps.Clone(c.header)
		taken := make(chan *nats.Msg, 100)
		stop := b.mustTake(v, func(m *nats.Msg) { taken <- m })
		done := make(chan error, 1)
		var got v1.AppendAnswer
		go func() {
			var err error
			got, err = v.Append(ctx, bob, red, c.header, []byte("x"))
			done <- err
		}()
		// It is kept as a service would have it kept, whose answer is lost.
		var kept appender
		kept.header = nats.Header{}
		select {
		case m := <-taken:
			if refused := kept.stamp(m, bob, red); refused != nil {
				t.Fatal(refused)
			}
		case <-ctx.Done():
			t.Fatal("nothing was appended")
		}
		if _, err := b.js.PublishMsg(ctx, &nats.Msg{Subject: v1.HistoryKept(b.class.Name, red), Header: kept.header, Data: []byte("x")}); err != nil {
			t.Fatal(err)
		}
		stop()
		b.serve(b.nodes[0], nil)
		if err := <-done; err != nil || got.Sequence != uint64(i+1) || got.Duplicate != c.duplicate {
			t.Errorf("%v has %+v, not sequence %d: %v", c.header, got, i+1, err)
		}
		if diff := cmp.Diff(before, c.header); diff != "" {
			t.Error("the caller's headers have changed:", diff)
		}
	}
	if list, _, err := v.Page(ctx, bob, red, v1.HistoryRequest{}); err != nil || len(list) != 3 {
		t.Errorf("%d messages are kept of 3: %v", len(list), err)
	}
}

// What an append comes to is told by all of its attempts.
func TestVoiceTellsWhatMayBeKept(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	v := Voice{Clients: b.nodes[0].MustConnect(t, embeddednats.AccountClients)}
	const forever = "the last answer, again and again"
	for name, c := range map[string]struct {
		answers []any
		want    *v1.Error
	}{
		"refused":                            {[]any{errForbidden}, errForbidden},
		"too fast":                           {[]any{errPublisherRate}, errPublisherRate},
		"not sent, then kept":                {[]any{errNotSent, errBusy, 7}, nil},
		"not sent, then too fast, then kept": {[]any{errNotSent, errPublisherRate, 7}, nil},
		"not sent, then refused":             {[]any{errNotSent, errForbidden}, errForbidden},
		"unclear, then kept":                 {[]any{errUnclear, 7}, nil},
		"unclear, then refused":              {[]any{errUnclear, errNotSent, errForbidden}, errUnclear},
		"never sent":                         {[]any{errNotSent, forever}, errNotSent},
		"too fast for the second attempt":    {[]any{errNotSent, errPublisherRate, forever}, errNotSent},
		"unclear, then never sent":           {[]any{errUnclear, errNotSent, forever}, errUnclear},
	} {
		limit := natstest.Patience
		if c.answers[len(c.answers)-1] == forever {
			limit = 28 * firstAgain // between the fifth attempt, after 15, and the sixth, after 31
		}
		ctx, cancel := context.WithTimeout(t.Context(), limit)
		next := 0
		stop := b.mustTake(v, func(m *nats.Msg) {
			if c.answers[next] == forever {
				next--
			}
			var a any = v1.AppendAnswer{Sequence: 7}
			if refused, ok := c.answers[next].(*v1.Error); ok {
				a = v1.AppendAnswer{Error: refused}
			}
			body, err := json.Marshal(a)
			if err == nil {
				err = m.Respond(body)
			}
			if err != nil {
				t.Error(err)
			}
			next++
		})
		_, err := v.Append(ctx, bob, red, nil, nil)
		cancel()
		stop()
		var got *v1.Error
		if errors.As(err, &got); (got == nil) != (c.want == nil) || got != nil && *got != *c.want {
			t.Errorf("%s: %v, want %v", name, err, c.want)
		}
	}
}

// Where nothing is kept a sender's headers say neither who it is nor where the message would be, and who has lost some is told.
func TestVoiceWhereNothingIsKept(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	v := Voice{Clients: b.nodes[0].MustConnect(t, embeddednats.AccountClients)}
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	next, stop, err := v.Listen(ctx, b.dir.rooms[mute], 2)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	say := func(data string) {
		t.Helper()
		forged := map[string][]string{v1.HeaderSender: {bob}, v1.HeaderSequence: {"7"}, v1.HeaderLogSequence: {"7"},
			v1.HeaderTime: {"2020-01-01T00:00:00Z"}, headerTime: {"2020-01-01T00:00:00Z"}, "Content-Type": {"x"}}
		if err := v.Publish(alice, mute, forged, []byte(data)); err != nil {
			t.Fatal(err)
		}
	}
	say("\xff")
	got, before, err := next(ctx)
	if diff := cmp.Diff(v1.Message{Sender: alice, Data: []byte("\xff"), Headers: map[string]string{"Content-Type": "x"}}, got); diff != "" || before != 0 || err != nil {
		t.Error(diff, before, err)
	}
	for range 4 { // one of them may have been taken out of the buffer
		say("x")
	}
	if err := v.Clients.Flush(); err != nil {
		t.Fatal(err)
	}
	_, _, err = next(ctx)
	expectRefusal(t, err, v1.CodeSlow)
	expectRefusal(t, v.Publish(alice, mute, nil, make([]byte, 2<<20)), v1.CodeTooLarge)
}

// However many messages may wait for who listens, they are no more than some MiB.
func TestVoiceHoldsSomeMegabytes(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	v := Voice{Clients: b.nodes[0].MustConnect(t, embeddednats.AccountClients)}
	ctx, cancel := context.WithTimeout(t.Context(), natstest.Patience)
	defer cancel()
	next, stop, err := v.Listen(ctx, b.dir.rooms[mute], 1024)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()
	const size = mostHeard / 8
	for range 10 {
		if err := v.Publish(alice, mute, nil, make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := v.Clients.Flush(); err != nil {
		t.Fatal(err)
	}
	_, _, err = next(ctx)
	expectRefusal(t, err, v1.CodeSlow)
}
