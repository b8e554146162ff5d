// SPDX-License-Identifier: Apache-2.0

package membership

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

func mustAdmin(t testing.TB, s *Store, name string) (key string) {
	t.Helper()
	key, _ = mustKey(t)
	must(t)(s.CreateUser(t.Context(), v1.User{Name: name, Key: key, Admin: true}))
	return key
}

// admins are the names of users whose records say that they are.
func admins(t testing.TB, s *Store) (names []string) {
	t.Helper()
	list, _, err := s.ListUsers(t.Context(), "", 0)
	if err != nil {
		t.Fatal(err)
	}
	for _, u := range list {
		if u.Value.Admin {
			names = append(names, u.Value.Name)
		}
	}
	slices.Sort(names)
	return names
}

func TestTheLastAdmin(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	ann := mustAdmin(t, s, "ann")
	bob, _ := mustUser(t, s, "bob")
	_, err := s.SetAdmin(ctx, ann, false, 0)
	for what, err := range map[string]error{"demoted": err, "removed": s.RemoveUser(ctx, ann, 0)} {
		if expectErr(t, "the last one "+what, err, ErrLastAdmin); err == nil || !strings.Contains(err.Error(), "user ann;") {
			t.Errorf("the last one %s: %v, which does not name ann", what, err)
		}
	}
	must(t)(nil, s.RemoveUser(ctx, bob, 0))
	expectErr(t, "still the last one", s.RemoveUser(ctx, ann, 0), ErrLastAdmin)
	cid, _ := mustUser(t, s, "cid")
	must(t)(s.SetAdmin(ctx, cid, true, 0))
	must(t)(s.SetAdmin(ctx, ann, false, 0))
	expectErr(t, "the next last one", s.RemoveUser(ctx, cid, 0), ErrLastAdmin)
	must(t)(s.SetAdmin(ctx, ann, true, 0))
	must(t)(nil, s.RemoveUser(ctx, cid, 0))
	// One who is counted, and whose record somebody has removed by hand, is no other.
	dora := mustAdmin(t, s, "dora")
	hex := must(t)(v1.UserHex(dora)).(string)
	must(t)(nil, s.del(ctx, v1.BucketUsers, v1.UserKey(hex), "", must(t)(s.GetUser(ctx, dora)).(Record[v1.User]).Revision))
	expectErr(t, "beside one who is gone", s.RemoveUser(ctx, ann, 0), ErrLastAdmin)
	if got := fmt.Sprint(admins(t, s)); got != "[ann]" {
		t.Errorf("admins %s", got)
	}
}

// Many remove and demote each other at once, in rounds. Somebody always stays.
func TestAdminsRemoveEachOther(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	for round := range 20 {
		keys := make([]string, 4)
		for i := range keys {
			keys[i] = mustAdmin(t, s, fmt.Sprintf("a%d-%d", round, i))
		}
		var wg sync.WaitGroup
		for i, key := range keys {
			wg.Go(func() {
				own := mustStore(t, js, StoreConfig{})
				var err error
				if i%2 == 0 {
					err = own.RemoveUser(ctx, key, 0)
				} else {
					_, err = own.SetAdmin(ctx, key, false, 0)
				}
				if err != nil && !errors.Is(err, ErrLastAdmin) && !errors.Is(err, ErrConflict) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if len(admins(t, s)) == 0 {
			t.Fatal("no admin is left")
		}
	}
}

// stepping is a JetStream on which something happens right before its n-th write.
type stepping struct {
	jetstream.JetStream
	left int
	do   func()
}

func (p *stepping) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if p.left--; p.left == 0 {
		p.do()
	}
	return p.JetStream.PublishMsg(ctx, m, opts...)
}

// Between two writes of one change comes all of another, and between two of that all of a third.
func TestAdminsStepByStep(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	type act func(s *Store, a, b string) error
	acts := map[string]act{
		"demote a":  func(s *Store, a, _ string) error { _, err := s.SetAdmin(ctx, a, false, 0); return err },
		"demote b":  func(s *Store, _, b string) error { _, err := s.SetAdmin(ctx, b, false, 0); return err },
		"remove b":  func(s *Store, _, b string) error { return s.RemoveUser(ctx, b, 0) },
		"promote b": func(s *Store, _, b string) error { _, err := s.SetAdmin(ctx, b, true, 0); return err },
	}
	at := func(step int, do func()) *Store {
		return mustStore(t, &stepping{JetStream: js, left: step, do: do}, StoreConfig{})
	}
	n := 0
	for first, one := range map[string]act{"demote a": acts["demote a"]} {
		for second, two := range acts {
			for third, three := range acts {
				for step := range 4 {
					n++
					// Those of the round before are demoted, so that a and b are all there are.
					a, b := mustAdmin(t, s, fmt.Sprint("a-", n)), mustAdmin(t, s, fmt.Sprint("b-", n))
					for _, name := range admins(t, s) {
						if u := must(t)(s.FindUser(ctx, name)).(Record[v1.User]); u.Value.Key != a && u.Value.Key != b {
							must(t)(nil, s.RemoveUser(ctx, u.Value.Key, 0))
						}
					}
					inner := at(step/2+1, func() { _ = three(s, a, b) })
					outer := at(step%2+1, func() { _ = two(inner, a, b) })
					err := one(outer, a, b)
					if len(admins(t, s)) == 0 {
						t.Fatalf("no admin is left of %s, within it %s, within that %s, steps %d (%v)", first, second, third, step, err)
					}
				}
			}
		}
	}
}

// gate is a JetStream that stops before its first write to a key, says so, and goes on when it may.
type gate struct {
	jetstream.JetStream
	key      string
	at, goOn chan struct{}
	passed   bool
}

func newGate(js jetstream.JetStream, key string) *gate {
	return &gate{JetStream: js, key: key, at: make(chan struct{}), goOn: make(chan struct{})}
}

func (g *gate) PublishMsg(ctx context.Context, m *nats.Msg, opts ...jetstream.PublishOpt) (*jetstream.PubAck, error) {
	if m.Subject == subjectOf(v1.BucketUsers, g.key) && !g.passed {
		g.passed = true
		close(g.at)
		<-g.goOn
	}
	return g.JetStream.PublishMsg(ctx, m, opts...)
}

// While an admin is made and not counted yet, it is about to be unmade, by somebody who sees another admin. Then it is counted, and the other
// goes, who sees it in the count.
func TestAnAdminIsCountedWhileItIsUnmade(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	bob := mustAdmin(t, s, "bob")
	ann, hex := mustUser(t, s, "ann")
	making, unmaking := newGate(js, v1.AdminsKey), newGate(js, v1.UserKey(hex))
	made, unmade := make(chan error, 1), make(chan error, 1)
	go func() { _, err := mustStore(t, making, StoreConfig{}).SetAdmin(ctx, ann, true, 0); made <- err }()
	<-making.at
	go func() { _, err := mustStore(t, unmaking, StoreConfig{}).SetAdmin(ctx, ann, false, 0); unmade <- err }()
	<-unmaking.at
	close(making.goOn)
	must(t)(nil, <-made)
	must(t)(nil, s.RemoveUser(ctx, bob, 0))
	close(unmaking.goOn)
	expectErr(t, "the one who is late", <-unmade, ErrConflict)
	if got := fmt.Sprint(admins(t, s)); got != "[ann]" {
		t.Errorf("admins %s", got)
	}
}

// Who makes an admin and is late with counting it does not undo what others have made of it since.
func TestAnAdminWhoIsCountedLateStaysWhatItIs(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	mustAdmin(t, s, "bob")
	ann, _ := mustUser(t, s, "ann")
	demote := func() { must(t)(s.SetAdmin(ctx, ann, false, 0)) }
	_, err := mustStore(t, &between{js, v1.AdminsKey, demote}, StoreConfig{}).SetAdmin(ctx, ann, true, 0)
	expectErr(t, "the one who is late", err, ErrConflict)
	if got := fmt.Sprint(admins(t, s)); got != "[bob]" {
		t.Errorf("admins %s", got)
	}
}

// An admin whom a crash left without its name is counted all the same, and the last one stays.
func TestTheLastAdminWithoutItsName(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	key, hex := mustKey(t)
	other, _ := mustKey(t)
	must(t)(s.put(ctx, v1.BucketUsers, v1.UserKey(hex), v1.User{Name: "ann", Key: key}, 0)) // and then a crash
	must(t)(s.SetAdmin(ctx, key, true, 0))
	must(t)(s.CreateUser(ctx, v1.User{Name: "ann", Key: other}))
	_, err := s.CreateUser(ctx, v1.User{Name: "ann", Key: key})
	expectErr(t, "the last one", err, ErrLastAdmin)
	mustAdmin(t, s, "bob")
	_, err = s.CreateUser(ctx, v1.User{Name: "ann", Key: key})
	expectErr(t, "the last but one", err, ErrExists)
	if counted := must(t)(s.IsCounted(ctx, key)).(bool); counted || fmt.Sprint(admins(t, s)) != "[bob]" {
		t.Errorf("admins %s, counted: %v", admins(t, s), counted)
	}
}

func TestEnsureAdmins(t *testing.T) {
	_, js := mustOne(t)
	s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
	ann, _ := mustUser(t, s, "ann")
	mustUser(t, s, "admin")
	bob, _ := mustKey(t)
	// Three nodes at once.
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if _, err := mustStore(t, js, StoreConfig{}).EnsureAdmins(ctx, []string{ann, bob}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if got := fmt.Sprint(admins(t, s)); got != "[admin-2 ann]" {
		t.Errorf("admins %s", got)
	}
	// Who was removed stays so as long as there is another.
	must(t)(nil, s.RemoveUser(ctx, bob, 0))
	if made := must(t)(s.EnsureAdmins(ctx, []string{bob})).([]v1.User); len(made) != 0 {
		t.Errorf("made %+v", made)
	}
	_, err := s.EnsureAdmins(ctx, []string{"U"})
	expectErr(t, "what is no key", err, v1.ErrUserKey)
}

// The first admins are made by a process that dies after each of its writes; the next one goes on.
func TestEnsureAdminsAfterACrash(t *testing.T) {
	for writes := range 8 {
		_, js := mustOne(t)
		s, ctx := mustStore(t, js, StoreConfig{}), t.Context()
		ann, _ := mustUser(t, s, "ann")
		bob, _ := mustKey(t)
		keys := []string{ann, bob}
		dying := &crashing{JetStream: js}
		dying.left.Store(int64(writes))
		if _, err := mustStore(t, dying, StoreConfig{}).EnsureAdmins(ctx, keys); err == nil {
			if writes < 4 {
				t.Errorf("done after %d writes", writes)
			}
		}
		must(t)(s.EnsureAdmins(ctx, keys))
		if got := fmt.Sprint(admins(t, s)); got != "[admin ann]" {
			t.Errorf("after %d writes: admins %s", writes, got)
		}
		for _, key := range keys {
			if counted := must(t)(s.IsCounted(ctx, key)).(bool); !counted {
				t.Errorf("after %d writes %s is not counted", writes, key)
			}
		}
	}
}

// A node that is late with the first admins does not bring back one who was removed meanwhile, whenever that was.
func TestALateNodeBringsNobodyBack(t *testing.T) {
	_, js := mustOne(t)
	ctx := t.Context()
	for step := 1; step <= 4; step++ {
		for _, bucket := range buckets {
			must(t)(nil, js.DeleteKeyValue(ctx, bucket))
			must(t)(js.CreateKeyValue(ctx, jetstream.KeyValueConfig{Bucket: bucket, MaxBytes: 4 << 20}))
		}
		s := mustStore(t, js, StoreConfig{})
		ann, _ := mustKey(t)
		late := mustStore(t, &stepping{JetStream: js, left: step, do: func() {
			must(t)(s.EnsureAdmins(ctx, []string{ann}))
			mustAdmin(t, s, "bob")
			must(t)(nil, s.RemoveUser(ctx, ann, 0))
		}}, StoreConfig{})
		if _, err := late.EnsureAdmins(ctx, []string{ann}); err != nil {
			t.Errorf("before write %d: %v", step, err)
		}
		if _, err := s.GetUser(ctx, ann); !errors.Is(err, ErrNotFound) {
			t.Errorf("before write %d: ann is back: %v", step, err)
		}
	}
}
