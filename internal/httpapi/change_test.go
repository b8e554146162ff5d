// SPDX-License-Identifier: Apache-2.0

package httpapi

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
)

// hooked is a JetStream on which something else may come of a write: what publish does with it.
type hooked struct {
	jetstream.JetStream
	publish func(context.Context, *nats.Msg, func() (*jetstream.PubAck, error)) (*jetstream.PubAck, error)
}

func (h *hooked) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	return h.publish(ctx, m, func() (*jetstream.PubAck, error) { return h.JetStream.PublishMsg(ctx, m, opts...) })
}

// hook lets the API write users, rooms and members through publish.
func (b *bus) hook(publish func(context.Context, *nats.Msg, func() (*jetstream.PubAck, error)) (*jetstream.PubAck, error)) {
	b.t.Helper()
	back := *b.api.backend.Load()
	back.Store = b.must(membership.NewStore(&hooked{b.js, publish}, membership.StoreConfig{Counter: b.dir})).(*membership.Store)
	b.api.backend.Store(&back)
}

// Where reading works and no quorum answers, nothing is said to be as wanted, or not there, or another than the caller has read.
func TestNothingIsSettledWithoutAQuorum(t *testing.T) {
	b := newBus(t, nil)
	root, ann := b.user("root", true), b.user("ann", false)
	b.room("red", "", map[*user]v1.Role{ann: v1.RoleMember})
	class := membership.DefaultClass("kept")
	root.do("PUT", v1.PathClasses+"/kept", class).expect(t, 201, "")
	const red = v1.PathRooms + "/red"
	b.hook(func(context.Context, *nats.Msg, func() (*jetstream.PubAck, error)) (*jetstream.PubAck, error) {
		return nil, nats.ErrTimeout
	})
	for _, c := range []struct {
		method, path string
		body         any
		headers      []string
	}{
		{"PUT", pathOf(ann), v1.PutUser{Name: "ann"}, nil},
		{"PUT", pathOf(ann), v1.PutUser{Name: "anne"}, nil},
		{"PUT", pathOf(ann), v1.PutUser{Name: "ann"}, []string{"If-None-Match", "*"}},
		{"PUT", pathOf(ann), v1.PutUser{Name: "ann", Admin: true}, []string{"If-Match", `"1"`}},
		{"PUT", red, v1.PutRoom{}, nil},
		{"PUT", red + "/members/ann", v1.PutMember{Role: v1.RoleMember}, nil},
		{"PUT", v1.PathClasses + "/kept", class, nil},
		{"DELETE", v1.PathUsers + "/bob", nil, nil},
		{"DELETE", pathOf(b.stranger("bob")), nil, nil},
		{"DELETE", pathOf(ann), nil, []string{"If-Match", `"1"`}},
		{"DELETE", red + "/members/root", nil, nil},
		{"DELETE", v1.PathRooms + "/blue", nil, nil},
		{"DELETE", v1.PathClasses + "/none", nil, nil},
		{"GET", v1.PathUsers + "/bob", nil, nil},
		{"GET", red + "/members/root", nil, nil},
	} {
		root.do(c.method, c.path, c.body, c.headers...).expect(t, 503, v1.CodeUnavailable)
	}
}

// What was changed since the leader that was asked knew of it, is read anew.
func TestWhatIsNotSettledIsReadAnew(t *testing.T) {
	b := newBus(t, nil)
	root, ann := b.user("root", true), b.user("ann", true)
	var done atomic.Bool
	b.hook(func(ctx context.Context, m *nats.Msg, write func() (*jetstream.PubAck, error)) (*jetstream.PubAck, error) {
		if done.CompareAndSwap(false, true) {
			b.must(b.store.SetAdmin(ctx, ann.key, false, 0))
		}
		return write()
	})
	root.do("PUT", pathOf(ann), v1.PutUser{Name: "ann", Admin: true}).expect(t, 200, "")
	if u := b.must(b.store.GetUser(t.Context(), ann.key)).(membership.Record[v1.User]); !done.Load() || !u.Value.Admin {
		t.Errorf("ann is %+v", u.Value)
	}
}

// Who removes itself is gone with the first step. The others are made all the same: its rooms, its name and the outcome in the audit.
func TestARemovalOfOneselfIsCompleted(t *testing.T) {
	b := newBus(t, nil)
	root, ann := b.user("root", true), b.user("ann", true)
	b.room("red", "", map[*user]v1.Role{ann: v1.RoleMember, root: v1.RoleAdmin})
	hex := b.must(v1.UserHex(ann.key)).(string)
	var seen atomic.Bool
	b.hook(func(ctx context.Context, m *nats.Msg, write func() (*jetstream.PubAck, error)) (*jetstream.PubAck, error) {
		if strings.Contains(m.Subject, v1.BucketMembers) {
			seen.Store(natstest.Until(natstest.Patience, func() bool { return !b.dir.IsListed(hex) }))
			b.api.Changed([]string{hex})
			b.api.flights.review(hex, func(f *flight) *failure {
				if f.ended == nil || f.last != nil {
					t.Errorf("in the middle of the change its flight has ended: %v, and its connection is being closed: %v", f.ended, f.last != nil)
				}
				return nil
			})
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		return write()
	})
	ann.do("DELETE", pathOf(ann), nil).expect(t, 204, "")
	if p := decode[v1.Members](t, root.do("GET", v1.PathRooms+"/red/members", nil)); len(p.Members) != 1 || !seen.Load() {
		t.Errorf("members: %+v", p)
	}
	root.do("PUT", pathOf(b.stranger("ann")), v1.PutUser{Name: "ann"}).expect(t, 201, "")
	audit := decode[v1.Audit](t, root.do("GET", v1.PathAudit, nil).expect(t, 200, "")).Entries
	if n := len(audit); n != 4 || audit[2].Outcome != v1.OutcomeOK || audit[2].Who != ann.key {
		t.Errorf("audit: %+v", audit)
	}
}

// lostRaces: others come in between, at each attempt.
func (s *scene) lostRaces(t *testing.T) {
	back := s.api.backend.Load()
	defer s.api.backend.Store(back)
	s.hook(func(_ context.Context, m *nats.Msg, write func() (*jetstream.PubAck, error)) (*jetstream.PubAck, error) {
		if strings.HasSuffix(m.Subject, v1.HeartbeatKey) {
			return write()
		}
		return nil, &jetstream.APIError{ErrorCode: jetstream.JSErrCodeStreamWrongLastSequence}
	})
	s.api.attempts = 2
	class := membership.DefaultClass("kept")
	class.MaxBytes++
	for _, c := range []struct {
		method, path string
		body         any
	}{
		{"PUT", pathOf(s.stranger("late")), v1.PutUser{Name: "late"}}, {"DELETE", pathOf(s.out), nil},
		{"PUT", v1.PathRooms + "/late", v1.PutRoom{}}, {"DELETE", v1.PathRooms + "/mute", nil},
		{"PUT", v1.PathRooms + "/red/members/rita", v1.PutMember{Role: v1.RoleAdmin}}, {"DELETE", v1.PathRooms + "/red/members/rita", nil},
		{"PUT", v1.PathClasses + "/kept", class}, {"DELETE", v1.PathClasses + "/free", nil},
	} {
		s.root.do(c.method, c.path, c.body).expect(t, 409, v1.CodeConflict)
	}
}
