// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"fmt"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// stuck is Rooms of which one can't be read.
type stuck struct {
	Rooms
	room    string
	reading chan struct{}
}

func (s stuck) Page(ctx context.Context, user, room string, q v1.HistoryRequest) ([]v1.Message, v1.HistoryAnswer, error) {
	if room != s.room {
		return s.Rooms.Page(ctx, user, room, q)
	}
	s.reading <- struct{}{}
	<-ctx.Done()
	return nil, v1.HistoryAnswer{}, ctx.Err()
}

// However many wait for a class that can't be read, those of others are served.
func TestAClassThatCantBeReadKeepsNobodyOut(t *testing.T) {
	b := newBus(t, func(c *Config) { c.Limits.RequestTimeout = natstest.Patience })
	b.class("lost")
	b.class("kept")
	ann := b.user("ann", false)
	readers := map[*user]v1.Role{}
	for n := range 2 * mostPages / mostPagesOfUser {
		readers[b.user(fmt.Sprintf("reader-%d", n), false)] = v1.RoleReader
	}
	red := b.room("red", "lost", readers)
	b.room("blue", "kept", map[*user]v1.Role{ann: v1.RoleMember})
	back, reading := *b.api.backend.Load(), make(chan struct{}, 2*mostPages)
	back.Rooms = stuck{back.Rooms, red.ID, reading}
	b.api.backend.Store(&back)
	for who := range readers {
		for range mostPagesOfUser {
			b.dial().send("%s\r\n", who.head("GET", redMessages))
		}
	}
	for range mostOfClass {
		<-reading
	}
	natstest.Within(t, natstest.Patience, "the requests", func() bool {
		b.api.flights.mu.Lock()
		defer b.api.flights.mu.Unlock()
		all := 0
		for _, own := range b.api.flights.byUser {
			all += len(own)
		}
		return all == 2*mostPages
	})
	ann.do("GET", v1.PathRooms+"/blue/messages", nil).expect(t, 200, "")
}
