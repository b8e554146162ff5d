// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"errors"
	"testing"

	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
)

// held is a JetStream whose user is held up right before streams are made or removed.
type held struct {
	jetstream.JetStream
	made, removed func()
}

func (h held) CreateStream(ctx context.Context, c jetstream.StreamConfig) (jetstream.Stream, error) {
	h.made()
	return h.JetStream.CreateStream(ctx, c)
}

func (h held) DeleteStream(ctx context.Context, name string) error {
	h.removed()
	return h.JetStream.DeleteStream(ctx, name)
}

// A janitor may be held up for as long as you like between its last look and what it does: another serves, and what that class keeps stays.
func TestAJanitorThatIsHeldUpHarmsNothing(t *testing.T) {
	for _, step := range []string{"making a stream", "removing one"} {
		t.Run(step, func(t *testing.T) {
			l := mustLone(t)
			other := *l.janitor
			know := func(classes int) {
				t.Helper()
				natstest.Within(t, limit, "the classes", func() bool { return len(l.directory.Classes()) == classes })
			}
			follow := func(j *janitor) {
				t.Helper()
				if err := j.followClasses(t.Context()); err != nil {
					t.Fatal(err)
				}
			}
			unmake := func() {
				t.Helper()
				if err := l.store.DeleteClass(t.Context(), "class", 0); err != nil {
					t.Fatal(err)
				}
				know(0)
			}
			kept := ""
			meanwhile := func() { // the other janitor removes the stream of the class, if it comes to that; the class is made again, and used
				if _, err := l.store.GetClass(t.Context(), "class"); err == nil {
					unmake()
				} else if !errors.Is(err, membership.ErrNotFound) {
					t.Fatal(err)
				}
				follow(&other)
				mustClass(t, l.store, "class", 1<<20, v1.FullRolls, 0)
				know(1)
				follow(&other)
				kept = l.directory.History("class")
				if _, err := l.history.Publish(t.Context(), v1.HistoryKept(kept, "X"), []byte("kept")); err != nil {
					t.Fatal(err)
				}
			}
			mustClass(t, l.store, "class", 1<<20, v1.FullRolls, 0)
			know(1)
			late, nothing := *l.janitor, func() {}
			if late.history = (held{l.history, meanwhile, nothing}); step == "removing one" {
				follow(&other)
				unmake()
				late.history = held{l.history, nothing, meanwhile}
			}
			if err := late.followClasses(t.Context()); err != nil && !errors.Is(err, jetstream.ErrStreamNotFound) {
				t.Fatal(err)
			}
			follow(&other)
			names := map[string]uint64{}
			for s := range l.history.ListStreams(t.Context()).Info() {
				names[s.Config.Name] = s.State.Msgs
			}
			if len(names) != 1 || names[v1.HistoryStream(kept)] != 1 {
				t.Errorf("streams and messages %v, want one message in that of %s", names, kept)
			}
		})
	}
}
