// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// crashing is a JetStream whose process dies: after some writes none arrives any more.
type crashing struct {
	jetstream.JetStream
	left atomic.Int64
}

var errCrash = errors.New("the process is dead")

func (c *crashing) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if c.left.Add(-1) < 0 {
		return nil, errCrash
	}
	return c.JetStream.PublishMsg(ctx, m, opts...)
}

// operation is what is interrupted, made ready and judged by an undisturbed store.
type operation struct {
	prepare func(i int)
	do      func(s *Store, i int) error
	halfway func(i int) // what must hold after a crash past the first write
	after   func(i int) // what must hold in the end
}

func operations(t *testing.T, s *Store) map[string]operation {
	ctx := t.Context()
	return map[string]operation{
		"create user": {
			do: func(s *Store, i int) error {
				_, err := s.CreateUser(ctx, v1.User{Name: fmt.Sprint("new-", i), Key: crashKey(t, "new", i)})
				return err
			},
			after: func(i int) {
				if u := must(t)(s.FindUser(ctx, fmt.Sprint("new-", i))).(Record[v1.User]); u.Value.Key != crashKey(t, "new", i) {
					t.Errorf("%+v", u)
				}
			},
		},
		"remove user": {
			prepare: func(i int) {
				name := fmt.Sprint("old-", i)
				must(t)(s.CreateUser(ctx, v1.User{Name: name, Key: crashKey(t, "old", i)}))
				for _, room := range []string{"a", "b", "c"} {
					mustRoom(t, s, name+room)
					must(t)(s.PutMember(ctx, name+room, crashKey(t, "old", i), v1.RoleAdmin, 0))
				}
			},
			do: func(s *Store, i int) error { return s.RemoveUser(ctx, crashKey(t, "old", i), 0) },
			halfway: func(i int) {
				_, err := s.GetUser(ctx, crashKey(t, "old", i))
				expectErr(t, "the user", err, ErrNotFound)
			},
			after: func(i int) {
				hex, _ := v1.UserHex(crashKey(t, "old", i))
				all := strings.Join(append(live(t, s, v1.BucketMembers), live(t, s, v1.BucketUsers)...), " ")
				if strings.Contains(all, hex) || strings.Contains(all, v1.UserNameKey(fmt.Sprint("old-", i))) {
					t.Errorf("left: %s", all)
				}
			},
		},
		"create room": {
			do: func(s *Store, i int) error {
				_, err := s.CreateRoom(ctx, fmt.Sprint("fresh-", i), "short")
				return err
			},
			after: func(i int) { must(t)(s.GetRoom(ctx, fmt.Sprint("fresh-", i))) },
		},
		"delete room": {
			prepare: func(i int) {
				room := fmt.Sprint("doomed-", i)
				mustRoom(t, s, room)
				for _, who := range []string{"x", "y"} {
					must(t)(s.CreateUser(ctx, v1.User{Name: fmt.Sprint(who, i), Key: crashKey(t, who, i)}))
					must(t)(s.PutMember(ctx, room, crashKey(t, who, i), v1.RoleAdmin, 0))
				}
			},
			do: func(s *Store, i int) error {
				r, err := s.MarkDeleting(ctx, fmt.Sprint("doomed-", i), 0)
				if errors.Is(err, ErrNotFound) {
					return nil
				}
				if err != nil {
					return err
				}
				return s.FinishDeletion(ctx, r.Value)
			},
			after: func(i int) {
				_, err := s.GetRoom(ctx, fmt.Sprint("doomed-", i))
				expectErr(t, "the room", err, ErrNotFound)
				hex, _ := v1.UserHex(crashKey(t, "x", i))
				if all := strings.Join(live(t, s, v1.BucketMembers), " "); strings.Contains(all, hex) {
					t.Errorf("left: %s", all)
				}
			},
		},
	}
}

// Each operation is interrupted after each of its writes, and then called again; it must come to the same end as without.
func TestEveryStepMayBeTheLastBeforeACrash(t *testing.T) {
	_, js := mustOne(t)
	s := mustStore(t, js, StoreConfig{})
	must(t)(s.PutClass(t.Context(), DefaultClass("short"), 0))
	for name, op := range operations(t, s) {
		for steps := 0; ; steps++ {
			if op.prepare != nil {
				op.prepare(steps)
			}
			dying := &crashing{JetStream: js}
			dying.left.Store(int64(steps))
			err := op.do(mustStore(t, dying, StoreConfig{}), steps)
			if err == nil {
				if steps < 2 {
					t.Errorf("%s: done in %d steps, so it tests nothing", name, steps)
				}
				op.after(steps)
				break
			}
			expectErr(t, name, err, errCrash)
			if op.halfway != nil && steps > 0 {
				op.halfway(steps)
			}
			if err := op.do(s, steps); err != nil && !errors.Is(err, ErrExists) {
				t.Errorf("%s, again after %d steps: %v", name, steps, err)
			}
			op.after(steps)
		}
	}
}

var crashKeys sync.Map

func crashKey(t testing.TB, kind string, i int) string {
	key, _ := mustKey(t)
	held, _ := crashKeys.LoadOrStore(fmt.Sprint(kind, i), key)
	return held.(string)
}

// A name that a crash left to nobody is free for the next, and the first, if it goes on then, is refused.
func TestANameWithoutItsUserIsTakenOver(t *testing.T) {
	_, js := mustOne(t)
	ctx := t.Context()
	s := mustStore(t, js, StoreConfig{})
	first, firstHex := mustKey(t)
	second, _ := mustKey(t)
	dying := &crashing{JetStream: js}
	dying.left.Store(1) // the claim
	_, err := mustStore(t, dying, StoreConfig{}).CreateUser(ctx, v1.User{Name: "ann", Key: first})
	expectErr(t, "the first", err, errCrash)
	must(t)(s.CreateUser(ctx, v1.User{Name: "ann", Key: second}))
	_, err = s.CreateUser(ctx, v1.User{Name: "ann", Key: first})
	expectErr(t, "the first again", err, ErrExists)
	// The first was killed later, between its user and the seal.
	must(t)(s.put(ctx, v1.BucketUsers, v1.UserKey(firstHex), v1.User{Name: "ann", Key: first}, 0))
	_, err = s.CreateUser(ctx, v1.User{Name: "ann", Key: first})
	expectErr(t, "the first again", err, ErrExists)
	_, err = s.GetUser(ctx, first)
	expectErr(t, "the first", err, ErrNotFound)
	if u := must(t)(s.FindUser(ctx, "ann")).(Record[v1.User]); u.Value.Key != second {
		t.Errorf("%+v", u)
	}
}

// The claim of a user who is there under another name, as a crash may leave it, holds nobody off.
func TestANameOfAUserWithAnotherIsTakenOver(t *testing.T) {
	_, js := mustOne(t)
	ctx := t.Context()
	s := mustStore(t, js, StoreConfig{})
	key, _ := mustUser(t, s, "ann")
	dying := &crashing{JetStream: js}
	dying.left.Store(1) // the revocation
	expectErr(t, "the removal", mustStore(t, dying, StoreConfig{}).RemoveUser(ctx, key, 0), errCrash)
	must(t)(s.CreateUser(ctx, v1.User{Name: "bob", Key: key}))
	other, _ := mustUser(t, s, "ann")
	if u := must(t)(s.FindUser(ctx, "ann")).(Record[v1.User]); u.Value.Key != other {
		t.Errorf("%+v", u)
	}
}
