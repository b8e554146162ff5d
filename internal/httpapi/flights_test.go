// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nkeys"

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

// Who is removed while it changes something keeps its connection until that is done, so that it is told, and no longer.
func TestAFlightThatChangesSomethingLandsFirst(t *testing.T) {
	fs := flights{byUser: map[string]map[*flight]struct{}{}}
	near, far := net.Pipe()
	defer far.Close()
	pair, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	key, err := pair.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancelCause(t.Context())
	f, refused := fs.begin(key, &guest{Conn: near}, cancel)
	if refused != nil {
		t.Fatal(refused)
	}
	done, refused := fs.change(f)
	if refused != nil {
		t.Fatal(refused)
	}
	fs.endAll(errNotReady())
	if ctx.Err() == nil || f.last != nil {
		t.Errorf("removed: context %v, and the connection is being closed: %v", ctx.Err(), f.last != nil)
	}
	done()
	if err := far.SetDeadline(time.Now().Add(natstest.Patience)); err != nil {
		t.Fatal(err)
	}
	if _, err := far.Read(make([]byte, 1)); !errors.Is(err, io.EOF) {
		t.Errorf("the connection after the change: %v", err)
	}
	if _, refused := fs.change(f); refused == nil {
		t.Error("who was removed begins a change")
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
