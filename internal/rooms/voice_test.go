// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

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
	_, err = v.Append(ctx, bob, red, nil, nil)
	expectRefusal(t, err, v1.CodeUnavailable)
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
