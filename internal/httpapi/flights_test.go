// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"net"
	"strings"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/natstest"
)

// large is Rooms whose pages are larger than what a connection takes from who does not read.
type large struct {
	Rooms
	read chan struct{}
}

func (l large) Page(context.Context, string, string, v1.HistoryRequest) ([]v1.Message, v1.HistoryAnswer, error) {
	l.read <- struct{}{}
	return []v1.Message{{Text: strings.Repeat("x", 32<<20)}}, v1.HistoryAnswer{}, nil
}

// Who is removed from the bus or the room, and does not read the page that it has asked for, keeps neither its place nor its connection.
func TestARemovalEndsWhatHangs(t *testing.T) {
	b := newBus(t, nil)
	back, pages := *b.api.backend.Load(), large{read: make(chan struct{})}
	back.Rooms = pages
	b.api.backend.Store(&back)
	l := b.must(net.Listen("tcp", "127.0.0.1:0")).(net.Listener)
	server, served := b.api.Server(), make(chan struct{})
	server.WriteTimeout = 0
	go func() { defer close(served); _ = server.Serve(b.api.Listener(l)) }()
	t.Cleanup(func() { server.Close(); <-served })
	b.url = "http://" + l.Addr().String()
	ann, bob := b.user("ann", false), b.user("bob", false)
	b.room("red", "", map[*user]v1.Role{ann: v1.RoleMember, bob: v1.RoleMember})
	inFlight := func() int {
		b.api.flights.mu.Lock()
		defer b.api.flights.mu.Unlock()
		return len(b.api.flights.byUser)
	}
	for who, remove := range map[*user]func(){
		ann: func() { b.must(nil, b.store.RemoveUser(t.Context(), ann.key, 0)) },
		bob: func() { b.must(nil, b.store.RemoveMember(t.Context(), "red", bob.key, 0)) },
	} {
		b.dial().send("%s\r\n", who.head("GET", redMessages))
		<-pages.read
		remove()
		natstest.Within(t, natstest.Patience, "the end of "+who.name+"'s", func() bool { return inFlight() == 0 && b.api.Counts().Connections == 0 })
	}
}

func TestPagesOfOneUserAreBounded(t *testing.T) {
	b := newBus(t, nil)
	back, pages := *b.api.backend.Load(), large{read: make(chan struct{})}
	back.Rooms = pages
	b.api.backend.Store(&back)
	ann, bob := b.user("ann", false), b.user("bob", false)
	b.room("red", "", map[*user]v1.Role{ann: v1.RoleMember, bob: v1.RoleMember})
	for range mostPagesOfUser { // and none of them reads what comes
		b.dial().send("%s\r\n", ann.head("GET", redMessages))
		<-pages.read
	}
	ann.do("GET", redMessages, nil).expect(t, 429, v1.CodeRate)
	ann.do("GET", v1.PathRooms, nil).expect(t, 200, "")
	b.dial().send("%s\r\n", bob.head("GET", redMessages))
	<-pages.read
}
