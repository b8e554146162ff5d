// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
)

// finish begins what comes before a stop, and returns a channel that is closed when it is done.
func (b *bus) finish() <-chan struct{} {
	ctx, cancel := context.WithTimeout(context.Background(), natstest.Patience)
	done := make(chan struct{})
	go func() { defer close(done); defer cancel(); b.api.Finish(ctx) }()
	b.t.Cleanup(func() { cancel(); <-done })
	return done
}

func isClosed(c <-chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}

// outcomes are those in the audit of what ends so, the newest first, by who reads it past the API.
func (b *bus) outcomes(action string) (outcomes []string) {
	b.t.Helper()
	list, _, err := membership.NewAuditLog(b.js, nil).List(b.t.Context(), "", 0)
	if err != nil {
		b.t.Fatal(err)
	}
	for _, e := range list {
		if strings.HasSuffix(e.Action, action) {
			outcomes = append(outcomes, e.Outcome)
		}
	}
	return outcomes
}

// A planned stop completes the change that is being made, and nothing else begins.
func TestAStopFinishesChanges(t *testing.T) {
	b := newBus(t, func(c *Config) { c.Limits.RequestTimeout = natstest.Patience })
	root := b.user("root", true)
	b.room("red", "", map[*user]v1.Role{root: v1.RoleMember})
	follower := root.follow(redMessages)
	writing, held := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(held) })
	defer release()
	b.fits = func(v1.Class) error {
		close(writing)
		<-held
		return nil
	}
	answer := make(chan result, 1)
	go func() { answer <- root.do("PUT", v1.PathClasses+"/kept", membership.DefaultClass("kept")) }()
	<-writing
	finished := b.finish()
	follower.expectEnd(v1.CodeUnavailable)
	root.do("PUT", v1.PathRooms+"/blue", v1.PutRoom{}).expect(t, 503, v1.CodeUnavailable)
	root.do("GET", v1.PathRooms, nil).expect(t, 503, v1.CodeUnavailable)
	if natstest.Until(200*time.Millisecond, func() bool { return isClosed(finished) }) {
		t.Error("it is done while a change is being made")
	}
	release()
	<-finished
	if got := b.outcomes("/kept"); len(got) != 2 || got[0] != v1.OutcomeOK {
		t.Errorf("outcomes in the audit: %q", got)
	}
	b.stop()
	(<-answer).expect(t, 201, "")
}

// held is Rooms that keep a message once they are let.
type held struct {
	Rooms
	sent, let chan struct{}
}

func (h held) Append(ctx context.Context, _, _ string, _ map[string][]string, _ []byte) (v1.AppendAnswer, error) {
	close(h.sent)
	select {
	case <-ctx.Done():
		return v1.AppendAnswer{}, ctx.Err()
	case <-h.let:
		return v1.AppendAnswer{Sequence: 1}, nil
	}
}

// A planned stop lets a message be kept that is on its way, and its sender be told.
func TestAStopLetsMessagesBeKept(t *testing.T) {
	b := newBus(t, func(c *Config) { c.Limits.RequestTimeout = natstest.Patience })
	b.class("kept")
	root := b.user("root", true)
	b.room("red", "kept", map[*user]v1.Role{root: v1.RoleMember})
	back, rooms := *b.api.backend.Load(), held{sent: make(chan struct{}), let: make(chan struct{})}
	back.Rooms = rooms
	b.api.backend.Store(&back)
	answer := make(chan result, 1)
	go func() { answer <- root.do("POST", redMessages, "hello") }()
	<-rooms.sent
	finished := b.finish()
	natstest.Within(t, natstest.Patience, "nothing is taken any more", func() bool { return root.do("GET", v1.PathRooms, nil).status == 503 })
	close(rooms.let)
	<-finished
	(<-answer).expect(t, 201, "")
}

// A planned stop writes what the audit lacks, if it can be written by then.
func TestAStopWritesWhatTheAuditLacks(t *testing.T) {
	b := newBus(t, nil)
	root, bob := b.user("root", true), b.user("bob", false)
	b.must(nil, b.js.DeleteStream(t.Context(), v1.StreamAudit))
	root.do("DELETE", pathOf(bob), nil).expect(t, 204, "")
	finished := b.finish()
	if natstest.Until(200*time.Millisecond, func() bool { return isClosed(finished) }) {
		t.Error("it is done while the audit lacks entries")
	}
	b.must(b.js.CreateStream(t.Context(), membership.AuditStream(1, 1<<20)))
	<-finished
	if got := b.outcomes(bob.key); len(got) != 2 {
		t.Errorf("outcomes in the audit: %q", got)
	}
}

// Who removes somebody while the audit can't be written has left word of that before it is made, wherever the node ends.
func TestARemovalIsLoggedBeforeItIsMade(t *testing.T) {
	log := natstest.NewLog()
	b := newBus(t, func(c *Config) { c.Logger = log.Logger() })
	root, bob := b.user("root", true), b.user("bob", false)
	b.must(nil, b.js.DeleteStream(t.Context(), v1.StreamAudit))
	b.hook(func(ctx context.Context, m *nats.Msg, write func() (*jetstream.PubAck, error)) (*jetstream.PubAck, error) {
		if !log.Said("not in the audit yet", bob.key) {
			t.Error("the removal is being made, and nothing is said of it")
		}
		return write()
	})
	root.do("DELETE", pathOf(bob), nil).expect(t, 204, "")
}
