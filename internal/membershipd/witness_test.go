// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// witness is a connection of a user that nothing is done to, which hears numbers in a room.
type witness struct {
	node             string
	first, last, gap atomic.Int64
	gone             atomic.Int64
}

// mustWitness puts a user into a room who listens on each of the nodes, while another counts aloud there on the first of them. The
// returned function ends that, and fails unless each has heard all and none was ever disconnected.
func (b *bus) mustWitness(t *testing.T, room v1.Room, nodes ...*testNode) (expectUndisturbed func(t *testing.T)) {
	t.Helper()
	speaker, listener := mustUser(t, b.store, "speaker"), mustUser(t, b.store, "listener")
	b.mustPut(t, room, speaker, v1.RoleMember)
	b.mustPut(t, room, listener, v1.RoleReader)
	subject := v1.RoomSubject(room.ID, speaker.key, "count")
	var all []*witness
	for _, n := range nodes {
		w := &witness{node: n.name}
		all = append(all, w)
		nc := listener.mustConnect(t, n, nats.DisconnectErrHandler(func(*nats.Conn, error) { w.gone.Add(1) }))
		mustSubscribe(t, nc, subject, w.hear)
	}
	nc := speaker.mustConnect(t, nodes[0], nats.DisconnectErrHandler(func(*nats.Conn, error) { all[0].gone.Add(1) }))
	var said atomic.Int64
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-done:
				return
			case <-tick.C:
				if nc.Publish(subject, strconv.AppendInt(nil, said.Add(1), 10)) != nil {
					return // the listeners miss it
				}
			}
		}
	})
	stop := sync.OnceFunc(func() { close(done); wg.Wait() })
	t.Cleanup(stop)
	for _, w := range all {
		natstest.Within(t, limit, "the count at "+w.node, func() bool { return w.first.Load() > 0 })
	}
	return func(t *testing.T) {
		t.Helper()
		stop()
		for _, w := range all {
			if !natstest.Until(limit/3, func() bool { return w.last.Load() == said.Load() }) || w.gap.Load() > 0 || w.gone.Load() > 0 {
				t.Errorf("the bystander on %s heard %d to %d of %d, with %d missing, and lost %d connections", w.node, w.first.Load(), w.last.Load(), said.Load(),
					w.gap.Load(), w.gone.Load())
			}
			t.Logf("the bystander on %s heard %d messages", w.node, w.last.Load()-w.first.Load()+1)
			w.gone.Store(-1 << 20) // the end of the test disconnects it
		}
	}
}

// dismiss removes those two, so that others can take their names.
func (b *bus) dismiss(t *testing.T) {
	t.Helper()
	for _, name := range []string{"speaker", "listener"} {
		r, err := b.store.FindUser(t.Context(), name)
		if err == nil {
			err = b.store.RemoveUser(t.Context(), r.Value.Key, 0)
		}
		if err != nil {
			t.Errorf("%s is not removed: %v", name, err)
		}
	}
}

func (w *witness) hear(m *nats.Msg) {
	n, err := strconv.ParseInt(string(m.Data), 10, 64)
	if last := w.last.Swap(n); err != nil || last != 0 && n != last+1 {
		w.gap.Add(1)
	}
	w.first.CompareAndSwap(0, n)
}

// mustSubscribe tries until the node lets it.
func mustSubscribe(t *testing.T, nc *nats.Conn, subject string, handle nats.MsgHandler) {
	t.Helper()
	natstest.Within(t, limit, "a subscription to "+subject, func() bool {
		before := nc.LastError()
		sub, err := nc.Subscribe(subject, handle)
		if err != nil || nc.FlushTimeout(limit) != nil {
			t.Fatal(err, nc.LastError())
		}
		if errors.Is(nc.LastError(), before) { // a refusal comes before the answer to a flush, and is another error each time
			return true
		}
		_ = sub.Unsubscribe()
		return false
	})
}

// reconnections tries to get in again and again on a node.
type reconnections struct {
	node          *testNode
	in, out, back atomic.Int64 // let in, refused, and let in after a refusal
}

// mustReconnect starts a loop on each node, which ends with the test.
func (u testUser) mustReconnect(t *testing.T, nodes ...*testNode) (all []*reconnections) {
	t.Helper()
	var wg sync.WaitGroup
	done := make(chan struct{})
	t.Cleanup(func() { close(done); wg.Wait() })
	for _, n := range nodes {
		r := &reconnections{node: n}
		all = append(all, r)
		wg.Go(func() {
			tick := time.NewTicker(5 * time.Millisecond)
			defer tick.Stop()
			for {
				select {
				case <-done:
					return
				case <-tick.C:
				}
				nc, err := u.connect(n)
				switch {
				case err == nil && r.out.Load() > 0:
					r.back.Add(1)
				case err == nil:
					r.in.Add(1)
				case isRefusal(err), natstest.HungUp(err): // a node that is cut off says nothing
					r.out.Add(1)
				}
				if err == nil {
					nc.Close()
				}
			}
		})
	}
	for _, r := range all {
		if !natstest.Until(limit, func() bool { return r.in.Load() > 0 }) {
			t.Fatalf("the user is not let in by %s: %+v", r.node.name, r.node.plan.members.directory.State())
		}
	}
	return all
}

func (r *reconnections) expectOut(t *testing.T) {
	t.Helper()
	before := r.out.Load()
	natstest.Within(t, limit, "refusals by "+r.node.name, func() bool { return r.out.Load() >= before+30 })
	if n := r.back.Load(); n > 0 {
		t.Errorf("%s has let the user in %d times after it had refused it", r.node.name, n)
	}
}

// ask asks the services by a node, as if the user had a connection to it: what they say is the last guard. Any node may answer.
func (u testUser) ask(t *testing.T, n *testNode, subject, body string) (code string) {
	t.Helper()
	nc := n.mustConnect(t, embeddednats.AccountClients)
	defer nc.Close()
	inbox := v1.InboxPrefix(u.key) + "." + nats.NewInbox()[len(nats.InboxPrefix):]
	sub, err := nc.SubscribeSync(inbox)
	if err == nil {
		err = nc.PublishRequest(subject, inbox, []byte(body))
	}
	if err != nil {
		t.Fatal(err)
	}
	m, err := sub.NextMsg(limit)
	if errors.Is(err, nats.ErrNoResponders) {
		return v1.CodeUnavailable
	}
	if err != nil {
		t.Fatalf("%s: %v", subject, err)
	}
	if m.Header.Get(v1.HeaderSequence) != "" {
		return "a message"
	}
	var a struct {
		Error *v1.Error `json:"error"`
	}
	answer := append([]byte(m.Header.Get(v1.HeaderEnd)), m.Data...) // in the one or the other
	err = json.Unmarshal(answer, &a)
	if strings.HasPrefix(subject, v1.AppendSubject(u.key, "")) {
		var appended v1.AppendAnswer
		err = json.Unmarshal(answer, &appended)
		a.Error = appended.Error
	}
	if err != nil {
		t.Fatalf("%s: %q: %v", subject, answer, err)
	}
	if a.Error == nil {
		return ""
	}
	return a.Error.Code
}

// expectForbidden waits until all nodes know, and expects that the services refuse, whichever node is asked and whichever answers.
func (b *bus) expectForbidden(t *testing.T, u testUser, room v1.Room, subjects ...string) {
	t.Helper()
	for _, n := range b.nodes {
		natstest.Within(t, limit, n.name+" to know what was taken", func() bool {
			role, _, ok := n.plan.members.directory.Role(u.key, room.ID)
			return !ok || !role.Writes()
		})
	}
	for _, n := range b.nodes {
		for _, subject := range subjects {
			for range 10 {
				if code := u.ask(t, n, subject, "{}"); code != v1.CodeForbidden {
					t.Errorf("%q is answered to %s by %s", code, subject, n.name)
				}
			}
		}
	}
}

func isRefusal(err error) bool { return strings.EqualFold(err.Error(), nats.ErrAuthorization.Error()) }
