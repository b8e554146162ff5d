// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/membership"
	"github.com/unibus/unibus/internal/natstest"
)

func (o *office) expectClasses(t *testing.T) {
	ctx := t.Context()
	want := membership.DefaultClass("brief")
	want.MaxBytes = 4 << 20
	made, tag, err := o.root.PutClass(ctx, want, client.Absent)
	must(t, err)
	got, now, err := o.ann.Class(ctx, "brief")
	must(t, err)
	if diff := cmp.Diff(want, made) + cmp.Diff(want, got); diff != "" || now != tag {
		t.Errorf("%s, ETag %s after %s", diff, now, tag)
	}
	_, _, err = o.root.PutClass(ctx, want, client.Absent)
	expectProblem(t, "is there", err, client.ErrConflict)
	want.MaxMessagesPerRoom = 7
	_, next, err := o.root.PutClass(ctx, want, tag)
	must(t, err)
	want.MaxMessagesPerRoom = 8
	_, _, err = o.root.PutClass(ctx, want, tag)
	expectProblem(t, "was changed since", err, client.ErrConflict)
	expectProblem(t, "removed, but changed since", o.root.DeleteClass(ctx, "brief", tag), client.ErrConflict)
	want.MaxBytes = 1 << 50
	_, _, err = o.root.PutClass(ctx, want, "")
	expectProblem(t, "more than there is", err, client.ErrLimit)
	want.MaxBytes = -1
	_, _, err = o.root.PutClass(ctx, want, "")
	expectProblem(t, "less than nothing", err, client.ErrInvalid)
	_, _, err = o.ann.PutClass(ctx, made, "")
	expectProblem(t, "put", err, client.ErrForbidden)
	expectProblem(t, "delete", o.ann.DeleteClass(ctx, "brief", ""), client.ErrForbidden)
	expectProblem(t, "a room has it", o.root.DeleteClass(ctx, "kept", ""), client.ErrInUse)
	_, _, err = o.ann.Class(ctx, "nowhere")
	expectProblem(t, "not there", err, client.ErrNotFound)
	list, err := o.ann.Classes(ctx)
	if must(t, err); len(list) != 2 || list[0].Name != "brief" || list[0].MaxMessagesPerRoom != 7 || list[1].Name != "kept" {
		t.Errorf("%+v", list)
	}
	must(t, o.root.DeleteClass(ctx, "brief", next))
	expectProblem(t, "is gone", o.root.DeleteClass(ctx, "brief", ""), client.ErrNotFound)
}

// expectAudit: a change is written down twice, asked for and done, the newest first. The second may come after the answer.
func (o *office) expectAudit(t *testing.T) {
	ctx := t.Context()
	expectProblem(t, "by who is no admin", fails(o.ann.Audit(ctx)), client.ErrForbidden)
	_, _, err := o.root.PutRoom(ctx, "noted", "", "")
	must(t, err)
	var entries []v1.AuditEntry
	o.in(t).within("both entries", func() string {
		entries = nil
		for e, err := range o.root.Audit(ctx) {
			if err != nil {
				return err.Error()
			}
			if e.Action == "PUT "+v1.PathRooms+"/noted" {
				entries = append(entries, e)
			}
		}
		if len(entries) != 2 {
			return fmt.Sprintf("%d entries", len(entries))
		}
		return ""
	})
	done, asked := entries[0], entries[1]
	if done.ID != asked.ID || done.Outcome != v1.OutcomeOK || asked.Outcome != "" || done.Who != o.root.key || done.Node != "node-0" ||
		done.Time.Before(asked.Time) {
		t.Errorf("%+v after %+v", done, asked)
	}
	must(t, o.root.DeleteRoom(ctx, "noted", ""))
}

// expectNoLostUpdate: several who count up in the same record, each by what it has read, come to the sum.
func (o *office) expectNoLostUpdate(t *testing.T) {
	const clerks, each = 4, 5
	ctx := t.Context()
	class := membership.DefaultClass("count")
	class.MaxBytes, class.MaxMessagesPerRoom = 4<<20, 1
	_, _, err := o.root.PutClass(ctx, class, client.Absent)
	must(t, err)
	var group sync.WaitGroup
	var conflicts, unclear atomic.Int64
	for i := range clerks {
		c := o.clerk(t, nil) // each with a rate of its own
		_, _, err := o.root.PutUser(ctx, c.key, v1.PutUser{Name: fmt.Sprint("clerk-", i), Admin: true}, "")
		must(t, err)
		group.Go(func() {
			for n := 0; n < each; {
				was, tag, err := c.Class(ctx, "count")
				if err == nil {
					was.MaxMessagesPerRoom++
					_, _, err = c.PutClass(ctx, was, tag)
				}
				switch {
				case err == nil:
					n++
				case errors.Is(err, client.ErrConflict):
					conflicts.Add(1)
				case errors.Is(err, client.ErrUnavailable): // it may have been done
					unclear.Add(1)
				case !errors.Is(err, client.ErrRate):
					t.Error(err)
					return
				}
			}
		})
	}
	group.Wait()
	got, _, err := o.root.Class(ctx, "count")
	if must(t, err); got.MaxMessagesPerRoom < 1+clerks*each || got.MaxMessagesPerRoom > 1+clerks*each+unclear.Load() {
		t.Errorf("%d changes by %d clerks came to %d, %d unclear", clerks*each, clerks, got.MaxMessagesPerRoom-1, unclear.Load())
	}
	t.Logf("%d conflicts", conflicts.Load())
	must(t, o.root.DeleteClass(ctx, "count", ""))
}

// expectPages: lists that are longer than a page come whole, each item once.
func (o *office) expectPages(t *testing.T) {
	ctx := t.Context()
	nc := o.mustConnect("MEMBERSHIP")
	defer nc.Close()
	js, err := jetstream.New(nc)
	must(t, err)
	audit := membership.NewAuditLog(js, nil)
	must(t, o.abreast(many, func(i int) error {
		_, key := mustPair(t)
		name := crowded(i)
		if _, err := o.store.CreateUser(ctx, v1.User{Name: name, Key: key}); err != nil {
			return err
		}
		if _, err := o.store.CreateRoom(ctx, name, ""); err != nil {
			return err
		}
		if _, err := audit.Begin(ctx, v1.AuditEntry{Who: key, Node: "node-0", Action: name}); err != nil {
			return err
		}
		_, err := o.store.PutMember(ctx, "talk", key, v1.RoleReader, 0)
		return err
	}))
	expectAll(o.in(t), "users", o.root.Users(ctx), func(u v1.User) string { return u.Name })
	expectAll(o.in(t), "rooms", o.root.Rooms(ctx), func(r v1.RoomView) string { return r.Name })
	expectAll(o.in(t), "members", o.root.Members(ctx, "talk"), func(m v1.MemberView) string { return m.Name })
	expectAll(o.in(t), "audit", o.root.Audit(ctx), func(e v1.AuditEntry) string { return e.Action })
}

// many is more than a page has.
const many = v1.MaxList + 50

func crowded(i int) string { return fmt.Sprintf("crowd-%04d", i) }

// expectAll reads a list until all of the crowd are in it: the node's directory comes after what is written past it.
func expectAll[T any](c *cluster, what string, list iter.Seq2[T, error], name func(T) string) {
	c.t.Helper()
	c.within("all "+what, func() string {
		seen := map[string]int{}
		for v, err := range list {
			if err != nil {
				return err.Error() // it may be the rate
			}
			seen[name(v)]++
		}
		for i := range many {
			switch n := seen[crowded(i)]; {
			case n > 1:
				c.t.Fatalf("%s: %s comes %d times", what, crowded(i), n)
			case n == 0:
				return crowded(i) + " does not come"
			}
		}
		return ""
	})
}

// abreast does something many times, some of them at a time.
func (o *office) abreast(many int, do func(int) error) error {
	errs := make(chan error, many)
	var group sync.WaitGroup
	for first := range 8 {
		group.Go(func() {
			for i := first; i < many; i += 8 {
				errs <- do(i)
			}
		})
	}
	group.Wait()
	close(errs)
	for err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// expectRate: who asks too much is told so, and nobody else.
func (o *office) expectRate(t *testing.T) {
	ctx := t.Context()
	hasty := o.clerk(t, nil)
	o.in(t).within("the user", func() string { // root may have asked too much just before
		_, _, err := o.root.PutUser(ctx, hasty.key, v1.PutUser{Name: "hasty"}, "")
		return problem(err)
	})
	var refused error
	o.in(t).within("the rate", func() string {
		defer o.hold(t, hasty)()
		if !natstest.Until(5*time.Second, func() bool {
			_, _, refused = hasty.User(ctx, "hasty")
			return errors.Is(refused, client.ErrRate)
		}) {
			return fmt.Sprint("nothing is refused: ", refused)
		}
		return ""
	})
	expectProblem(t, "too much", refused, client.ErrRate)
	_, _, err := o.ann.User(ctx, "ann")
	must(t, err)
}

// silent is a body that does not come.
type silent struct{ context.Context }

// Read implements io.Reader. It returns when the context ends.
func (s silent) Read([]byte) (int, error) {
	<-s.Done()
	return 0, s.Err()
}

// hold begins more requests than one user may have at a time, and leaves their bodies open until end is called. So it is too much on a slow
// machine as well.
func (o *office) hold(t *testing.T, c *clerk) (end func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	token, _, err := c.Token(ctx)
	must(t, err)
	pem, err := os.ReadFile(o.CA())
	must(t, err)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(pem)
	transport := &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS13}}
	var group sync.WaitGroup
	for range 80 {
		req, err := http.NewRequestWithContext(ctx, http.MethodPut, o.url+v1.PathRooms+"/held", silent{ctx})
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+token)
		group.Go(func() {
			if resp, err := transport.RoundTrip(req); err == nil {
				resp.Body.Close()
			}
		})
	}
	return func() { cancel(); group.Wait(); transport.CloseIdleConnections() }
}

// expectGone: a node that is not there is no riddle either.
func (o *office) expectGone(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := o.ann.Classes(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("after the end of the context: %v", err)
	}
	ctx, cancel = context.WithDeadline(t.Context(), time.Now().Add(-time.Second))
	defer cancel()
	if _, err := o.ann.Classes(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("after the deadline: %v", err)
	}
	must(t, o.Places[0].Stop(t.Context()))
	if _, err := o.ann.Classes(t.Context()); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("without a node: %v", err)
	}
	if err := fails(o.ann.Rooms(t.Context())); !errors.Is(err, client.ErrUnavailable) {
		t.Errorf("a list without a node: %v", err)
	}
}
