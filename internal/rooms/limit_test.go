// SPDX-License-Identifier: Apache-2.0

package rooms

import (
	"fmt"
	"testing"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

func TestLimits(t *testing.T) {
	class := v1.Class{Name: "c", PublisherRate: 2, RoomRate: 3}
	l, now := newLimits(), time.Unix(1000, 0)
	expect := func(user, room string, want *v1.Error) {
		t.Helper()
		if got := l.allow(class, user, room, now); got != want {
			t.Errorf("%s in %s: %v, want %v", user, room, got, want)
		}
	}
	expect("a", "r", nil)
	expect("a", "r", nil)
	expect("a", "r", errPublisherRate) // and takes nothing from the room
	expect("b", "r", nil)
	expect("b", "r", errRoomRate)
	expect("c", "s", nil)
	expect("a", "s", errPublisherRate)
	other := class
	other.Name = "d"
	if l.allow(other, "a", "t", now) != nil {
		t.Error("the rate in one class counts in another")
	}
	now = now.Add(time.Second)
	expect("a", "r", nil)
	class.PublisherRate = 0 // the class was changed
	expect("a", "r", nil)
	expect("a", "r", nil)
	expect("a", "r", errRoomRate)
	class.RoomRate = 10
	expect("a", "r", errRoomRate)
	now = now.Add(time.Second)
	for range 10 {
		expect("a", "r", nil)
	}
	expect("a", "r", errRoomRate)
	class.RoomRate = 0.1
	expect("a", "new", nil)
	expect("a", "new", errRoomRate)
}

// Who has been quiet is forgotten, who has not is not.
func TestLimitsAreForgotten(t *testing.T) {
	class := v1.Class{Name: "c", PublisherRate: 1}
	l, now := newLimits(), time.Unix(1000, 0)
	for i := range 100 * leastSweep {
		now = now.Add(10 * time.Millisecond)
		if l.allow(class, fmt.Sprint("user ", i), "r", now) != nil {
			t.Fatal("a new user is refused")
		}
		if len(l.entries) > 2*leastSweep {
			t.Fatalf("%d entries", len(l.entries))
		}
		if l.take(limitKey{"c", "busy"}, 1, now) != (i%100 == 0) {
			t.Fatalf("the busy user's message at %v was treated as if it had been forgotten", now)
		}
	}
}

func TestAppendRates(t *testing.T) {
	class := smallClass()
	class.PublisherRate, class.RoomRate = 2, 3
	now := time.Now()
	b := newBus(t, 1, class, func(c *Config) { c.Now = func() time.Time { return now } })
	a, bo := b.client(alice), b.client(bob)
	a.fill(2, red)
	expectCode(t, a.append(red, "3").Error, v1.CodeRate)
	bo.fill(1, red)
	expectCode(t, bo.append(red, "2").Error, v1.CodeRate)
	if messages, _ := a.history(red, v1.HistoryRequest{}); len(messages) != 3 {
		t.Errorf("%d messages, want 3", len(messages))
	}
}
