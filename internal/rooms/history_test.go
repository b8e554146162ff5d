// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

func (b *bus) within(what string, cond func() bool) {
	b.t.Helper()
	natstest.Within(b.t, natstest.Patience, what, cond)
}

func (c *client) rooms(after string) (a v1.RoomsAnswer) {
	c.t.Helper()
	m, err := c.Request(v1.RoomsSubject(c.user), []byte(after), 10*time.Second)
	if err != nil {
		c.t.Fatal(err)
	}
	if err := json.Unmarshal(m.Data, &a); err != nil {
		c.t.Fatal(err)
	}
	return a
}

func errorOf(t testing.TB, m *nats.Msg) *v1.Error {
	t.Helper()
	answer := m.Data
	if end := m.Header.Get(v1.HeaderEnd); end != "" {
		answer = []byte(end)
	}
	var a struct{ Error *v1.Error }
	if err := json.Unmarshal(answer, &a); err != nil {
		t.Fatal(err)
	}
	return a.Error
}

// fill appends n messages to each of the rooms in turn: "0", "1" and so on.
func (c *client) fill(n int, rooms ...string) {
	c.t.Helper()
	for i := range n {
		for _, room := range rooms {
			if a := c.append(room, fmt.Sprint(i)); a.Error != nil {
				c.t.Fatal(a.Error)
			}
		}
	}
}

// insist appends until the answer is another than that nobody knows, as it may be on a machine that has much to do. Without an id in the
// headers the message may be kept more than once.
func (c *client) insist(room, data string, headers ...string) (a v1.AppendAnswer, err error) {
	for a, err = c.tryAppend(room, data, headers...); err == nil && isUnavailable(a.Error); {
		a, err = c.tryAppend(room, data, headers...)
	}
	return a, err
}

func isUnavailable(e *v1.Error) bool { return e != nil && e.Code == v1.CodeUnavailable }

// page is history until that is available.
func (c *client) page(room string, r v1.HistoryRequest) (messages []*nats.Msg, end v1.HistoryAnswer) {
	c.t.Helper()
	natstest.Within(c.t, natstest.Patience, "a page", func() bool {
		messages, end = c.history(room, r)
		return !isUnavailable(end.Error)
	})
	return messages, end
}

func TestHistoryPages(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	c := b.client(alice)
	c.fill(10, red, blue)
	middle := time.Now()
	b.within("a later clock", func() bool { return time.Now().After(middle.Add(5 * time.Millisecond)) })
	c.fill(10, red, blue) // in red the odd sequences from 1 to 39
	early, late, never, old := middle.Add(-time.Hour), middle, middle.Add(time.Hour), time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC)
	far := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, tc := range []struct {
		name        string
		r           v1.HistoryRequest
		first, size int // of the messages
		next        uint64
		more        bool
	}{
		{"all", v1.HistoryRequest{}, 0, 20, 40, false},
		{"limit", v1.HistoryRequest{Limit: 5}, 0, 5, 10, true},
		{"the last page", v1.HistoryRequest{From: 31, Limit: 5}, 15, 5, 40, false},
		{"limit above all", v1.HistoryRequest{Limit: 5000}, 0, 20, 40, false},
		{"from one of another room", v1.HistoryRequest{From: 20}, 10, 10, 40, false},
		{"from the end", v1.HistoryRequest{From: 40}, 0, 0, 40, false},
		{"from beyond", v1.HistoryRequest{From: 1 << 63}, 0, 0, 1 << 63, false},
		{"since", v1.HistoryRequest{Since: &late}, 10, 10, 40, false},
		{"since before all", v1.HistoryRequest{Since: &early, Limit: 1}, 0, 1, 2, true},
		{"since the year 1", v1.HistoryRequest{Since: &old}, 0, 20, 40, false},
		{"since later", v1.HistoryRequest{Since: &never}, 0, 0, 40, false},
		{"since the year 9999", v1.HistoryRequest{Since: &far}, 0, 0, 40, false},
		{"last", v1.HistoryRequest{Last: 3}, 17, 3, 40, false},
		{"last one", v1.HistoryRequest{Last: 1}, 19, 1, 40, false},
		{"last 19", v1.HistoryRequest{Last: 19}, 1, 19, 40, false},
		{"last of more than there are", v1.HistoryRequest{Last: 1000}, 0, 20, 40, false},
		{"last, in pages", v1.HistoryRequest{Last: 10, Limit: 4}, 10, 4, 28, true},
		{"at least own", v1.HistoryRequest{AtLeast: 39}, 0, 20, 40, false},
		{"from after what it must know", v1.HistoryRequest{From: 40, AtLeast: 39}, 0, 0, 40, false},
		{"at least what is in another room", v1.HistoryRequest{AtLeast: 40, Last: 2}, 18, 2, 40, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			messages, end := c.history(red, tc.r)
			want := []string{}
			for i := range tc.size {
				want = append(want, fmt.Sprint((tc.first+i)%10))
			}
			if diff := cmp.Diff(want, bodies(messages)); diff != "" {
				t.Error(diff)
			}
			if diff := cmp.Diff(v1.HistoryAnswer{Messages: tc.size, Next: tc.next, More: tc.more}, end); diff != "" {
				t.Error(diff)
			}
			for i, n := range sequences(t, messages) {
				if n != uint64(2*(tc.first+i)+1) {
					t.Errorf("message %d has sequence %d", i, n)
				}
			}
		})
	}
	_, end := c.history(red, v1.HistoryRequest{AtLeast: 41})
	expectCode(t, end.Error, v1.CodeUnavailable)
}

func TestHistoryOfAnEmptyRoom(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	c := b.client(alice)
	now := time.Now()
	check := func() {
		t.Helper()
		for _, r := range []v1.HistoryRequest{{}, {Last: 10}, {Since: &now}} {
			if messages, end := c.history(red, r); len(messages) != 0 || end.Error != nil || end.More || end.Next != 1 {
				t.Errorf("%+v: %d messages, %+v", r, len(messages), end)
			}
		}
	}
	check()
	a := c.append(red, "purged")
	c.append(blue, "stays")
	if err := Purge(t.Context(), b.js, b.class.Name, red); err != nil {
		t.Fatal(err)
	}
	check()
	// What was there is gone, which the answer knows.
	if messages, end := c.history(red, v1.HistoryRequest{AtLeast: a.Sequence}); len(messages) != 0 || end.Error != nil {
		t.Errorf("%d messages, %+v", len(messages), end)
	}
	if messages, _ := c.history(blue, v1.HistoryRequest{}); len(messages) != 1 {
		t.Errorf("%d messages in the other room, want 1", len(messages))
	}
}

func TestHistoryPagesAreBoundedInBytes(t *testing.T) {
	class := smallClass()
	class.MaxMessageBytes = 1 << 20
	b := newBus(t, 1, class, nil)
	c := b.client(alice)
	const size = 900_000
	for i := range 6 {
		if a, err := c.insist(red, strings.Repeat("x", size), v1.HeaderMessageID, fmt.Sprint(i)); err != nil || a.Error != nil {
			t.Fatal(err, a.Error)
		}
	}
	messages, end := c.page(red, v1.HistoryRequest{})
	if len(messages) != v1.MaxPageBytes/size || !end.More {
		t.Errorf("%d messages, %+v", len(messages), end)
	}
	rest, end := c.page(red, v1.HistoryRequest{From: end.Next})
	if len(messages)+len(rest) != 6 || end.More {
		t.Errorf("%d more messages, %+v", len(rest), end)
	}
}

func TestHistoryRefuses(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	c := b.client(alice)
	for _, body := range []string{"x", "[]", "{", `{"from":-1}`, `{"from":1,"last":1}`, `{"since":"2020-01-01T00:00:00Z","from":1}`, `{"last":-1}`, `{"last":1001}`,
		`{"limit":-1}`, `{"since":"yesterday"}`, `{"from":1e99}`, strings.Repeat(" ", mostBody) + "{}"} {
		messages, end, err := c.tryHistory(red, []byte(body))
		if err != nil || len(messages) != 0 {
			t.Errorf("%q: %d messages, %v", body, len(messages), err)
		}
		expectCode(t, end.Error, v1.CodeMalformed)
	}
	_, end := c.history(mute, v1.HistoryRequest{})
	expectCode(t, end.Error, v1.CodeNotKept)
	if a := c.rooms(strings.Repeat("x", mostName+1)); a.Error == nil || a.Error.Code != v1.CodeMalformed {
		t.Errorf("%+v", a)
	}
}

// The last n are right while others append and the oldest go.
func TestHistoryLastWhileRoomsChange(t *testing.T) {
	class := smallClass()
	class.MaxMessagesPerRoom = 300
	b := newBus(t, 1, class, nil)
	c := b.client(alice)
	c.fill(100, red, blue)
	stop := make(chan struct{})
	var writers sync.WaitGroup
	for _, room := range []string{red, blue} {
		w := b.client(alice)
		writers.Go(func() {
			for i := 0; ; i++ {
				select {
				case <-stop:
					return
				default:
					if a, err := w.insist(room, fmt.Sprint("more ", i)); err != nil || a.Error != nil {
						t.Error(err, a)
						return
					}
				}
			}
		})
	}
	for range 100 {
		mark, err := c.insist(red, "mark")
		if err != nil || mark.Error != nil {
			t.Fatal(err, mark.Error)
		}
		before := mark.Sequence
		messages, end := c.page(red, v1.HistoryRequest{Last: 20, AtLeast: before})
		if end.Error != nil || len(messages) != 20 {
			t.Fatalf("%d messages, %+v", len(messages), end)
		}
		got := sequences(t, messages)
		for i := 1; i < len(got); i++ {
			if got[i] <= got[i-1] {
				t.Fatalf("sequences %v", got)
			}
		}
		if got[len(got)-1] < before {
			t.Errorf("the last are up to %d, which is before %d", got[len(got)-1], before)
		}
	}
	close(stop)
	writers.Wait()
	messages, _ := c.page(red, v1.HistoryRequest{})
	if len(messages) != 300 {
		t.Errorf("%d messages, want 300", len(messages))
	}
}

// putInto puts a user into n more rooms.
func (b *bus) putInto(user string, n int) {
	b.dir.change(func() {
		for i := range n {
			id := roomID("R" + strings.Repeat("B", i%20) + strings.NewReplacer("0", "C", "1", "D", "8", "E", "9", "F").Replace(fmt.Sprintf("%04d", i)))
			b.dir.rooms[id] = v1.Room{Name: fmt.Sprintf("z%04d", i), ID: id}
			b.dir.roles[user][id] = v1.RoleMember
		}
	})
}

func TestRooms(t *testing.T) {
	b := newBus(t, 1, smallClass(), nil)
	want := v1.RoomsAnswer{Rooms: []v1.RoomOf{{ID: blue, Name: "blue", Role: v1.RoleMember, Class: "small"}, {ID: mute, Name: "mute", Role: v1.RoleMember},
		{ID: red, Name: "red", Role: v1.RoleAdmin, Class: "small"}}}
	c := b.client(alice)
	if diff := cmp.Diff(want, c.rooms("")); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff(v1.RoomsAnswer{Rooms: want.Rooms[2:]}, c.rooms("mute")); diff != "" {
		t.Error(diff)
	}
	b.putInto(alice, 2*roomsPage)
	n := 0
	for next, page := "", 0; page < 10; page++ {
		a := c.rooms(next)
		if n += len(a.Rooms); a.Next == "" {
			break
		}
		next = a.Next
	}
	if n != 2*roomsPage+3 {
		t.Errorf("%d rooms, want %d", n, 2*roomsPage+3)
	}
}
