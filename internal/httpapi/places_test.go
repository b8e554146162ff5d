// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"fmt"
	"slices"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// stuck is Rooms of which some can't be read.
type stuck struct {
	Rooms
	rooms   []string
	reading chan string
}

func (s stuck) Page(ctx context.Context, user, room string, q v1.HistoryRequest) ([]v1.Message, v1.HistoryAnswer, error) {
	if !slices.Contains(s.rooms, room) {
		return s.Rooms.Page(ctx, user, room, q)
	}
	s.reading <- room
	<-ctx.Done()
	return nil, v1.HistoryAnswer{}, ctx.Err()
}

// However many wait for classes that can't be read, those of others are served.
func TestClassesThatCantBeReadKeepNobodyOut(t *testing.T) {
	b := newBus(t, func(c *Config) { c.Limits.RequestTimeout = natstest.Patience })
	b.class("kept")
	ann := b.user("ann", false)
	readers := map[*user]v1.Role{}
	for n := range 2 * mostPages / mostPagesOfUser {
		readers[b.user(fmt.Sprintf("reader-%d", n), false)] = v1.RoleReader
	}
	names, rooms := []string{"red", "green"}, []string{}
	for _, name := range names {
		b.class("lost-" + name)
		rooms = append(rooms, b.room(name, "lost-"+name, readers).ID)
	}
	b.room("blue", "kept", map[*user]v1.Role{ann: v1.RoleMember})
	back, reading := *b.api.backend.Load(), make(chan string, 4*mostPages)
	back.Rooms = stuck{back.Rooms, rooms, reading}
	b.api.backend.Store(&back)
	for i, name := range names {
		for who := range readers {
			for range mostPagesOfUser / 2 {
				b.dial().send("%s\r\n", who.head("GET", v1.PathRooms+"/"+name+"/messages"))
			}
		}
		natstest.Within(t, natstest.Patience, "the requests", func() bool {
			b.api.flights.mu.Lock()
			defer b.api.flights.mu.Unlock()
			all := 0
			for _, own := range b.api.flights.byUser {
				all += len(own)
			}
			return all == (i+1)*mostPages
		})
	}
	of := map[string]int{}
	for range mostPages {
		of[<-reading]++
	}
	natstest.Within(t, natstest.Patience, "all places are taken", func() bool { return len(b.api.pages.all) == mostPages })
	ann.do("GET", v1.PathRooms+"/blue/messages", nil).expect(t, 200, "")
	for len(reading) > 0 {
		of[<-reading]++
	}
	if of[rooms[0]] > mostOfClass || of[rooms[1]] > mostOfClass {
		t.Errorf("pages that are read at a time, by room: %v", of)
	}
}
