// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"

	eventsv1 "k8s.io/api/events/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	buspkg "github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/natstest"
)

// TestFormAndScale: eight lines give a bus that the holder of a Secret can enter; it grows and shrinks in place, and keeps what was said;
// and at rest nothing is written.
func TestFormAndScale(t *testing.T) {
	var stalls stalls
	l := mustLab(t, sample(t, "one"), stalls.watch)
	one := l.within("a cluster of one", ready)
	if want := "demo-0-0=member"; names(one) != want {
		t.Errorf("members: %s, want %s", names(one), want)
	}
	for _, kind := range []string{v1alpha1.ConditionFormed, v1alpha1.ConditionCertificatesReady, v1alpha1.ConditionReplicasInSync} {
		if !meta.IsStatusConditionTrue(one.Status.Conditions, kind) {
			t.Errorf("%s is not True: %v", kind, one.Status.Conditions)
		}
	}
	l.expectRest()
	l.expectTold("route-ca: take-certificate (Secret demo-route-tls)", "client-ca: take-certificate (Secret demo-client-tls)")
	said := l.mustSay(0, 0, 50)

	l.scale(3)
	three := l.within("three members", ready)
	if three.Status.Replication.Least != 3 || len(three.Status.Members) != 3 || three.Status.ClusterID != one.Status.ClusterID {
		t.Errorf("three: %+v", three.Status)
	}
	expectScaled(t, three, 1, 3, said)
	l.expectHeard(2, said)
	l.kill(2) // it comes back as who it was
	natstest.Within(t, limit, "the killed node", func() bool { return answers(t.Context(), "http://"+l.address(2, 8222)+"/readyz") })
	l.expectHeard(2, said)
	if after := l.within("three members after a kill", ready); names(after) != names(three) {
		t.Errorf("members: %s, want %s", names(after), names(three))
	}
	l.expectRest()

	said = l.mustSay(1, said, 50)
	l.scale(1)
	last := l.within("one member again", func(c *v1alpha1.UnibusCluster) bool { return ready(c) && c.Status.Replicas == 1 })
	if want := "demo-0-0=member"; names(last) != want {
		t.Errorf("members: %s, want %s", names(last), want)
	}
	expectScaled(t, last, 3, 1, said)
	l.expectHeard(0, said)

	l.scale(3) // on the volumes that were kept
	again := l.within("three members again", ready)
	if want := "demo-0-0=member demo-1-1=member demo-2-1=member"; names(again) != want {
		t.Errorf("members: %s, want %s", names(again), want)
	}
	l.expectHeard(1, said)
	if all := stalls.seen(); len(all) > 0 {
		t.Errorf("on the way it was stalled: %v", all)
	}
}

// stalls are what a cluster told that needs a person, at any time since it was made, however soon it was over.
type stalls struct {
	mu  sync.Mutex
	all []string
}

// watch begins before the cluster is made.
func (s *stalls) watch(l *lab) {
	w, err := l.api.(client.WithWatch).Watch(l.t.Context(), new(v1alpha1.UnibusClusterList), client.InNamespace(l.cluster.Namespace))
	must(l.t, err)
	l.wg.Go(func() {
		for e := range w.ResultChan() {
			c, ok := e.Object.(*v1alpha1.UnibusCluster)
			if !ok || !meta.IsStatusConditionTrue(c.Status.Conditions, v1alpha1.ConditionStalled) {
				continue
			}
			s.mu.Lock()
			s.all = append(s.all, reason(c, v1alpha1.ConditionStalled)+": "+message(c, v1alpha1.ConditionStalled))
			s.mu.Unlock()
		}
	})
	l.t.Cleanup(w.Stop)
}

func (s *stalls) seen() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.all)
}

// expectRest expects passes that write nothing.
func (l *lab) expectRest() {
	l.t.Helper()
	writes, passes := l.writes.Load(), l.passes.Load()
	natstest.Within(l.t, limit, "passes at rest", func() bool {
		if now := l.writes.Load(); now != writes { // what was on its way
			writes, passes = now, l.passes.Load()
		}
		return l.passes.Load() >= passes+5
	})
}

// expectTold expects events with these notes, each once: what is told of in one pass is not taken for the same.
func (l *lab) expectTold(notes ...string) {
	l.t.Helper()
	natstest.Within(l.t, limit, fmt.Sprintf("events %q", notes), func() bool {
		var all eventsv1.EventList
		must(l.t, l.api.List(l.t.Context(), &all, client.InNamespace(l.cluster.Namespace)))
		return !slices.ContainsFunc(notes, func(note string) bool {
			return !slices.ContainsFunc(all.Items, func(e eventsv1.Event) bool { return e.Note == note && e.Series == nil })
		})
	})
}

const room = "kitchen"

// mustSay says something, numbered from a number on, in a room that keeps it, and returns the next number.
func (l *lab) mustSay(place, from, count int) int {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), limit)
	defer cancel()
	options := l.enter(place)
	api, err := buspkg.NewAPI(options)
	must(l.t, err)
	defer api.Close()
	c, err := buspkg.Connect(ctx, options)
	must(l.t, err)
	defer c.Close()
	if from == 0 {
		_, _, err := api.PutClass(ctx, v1.Class{Name: "chat", MaxBytes: 16 << 20, MaxMessagesPerRoom: 20000, MaxMessageBytes: 1024, Full: v1.FullRolls}, buspkg.Absent)
		must(l.t, err)
		_, _, err = api.PutRoom(ctx, room, "chat", buspkg.Absent)
		must(l.t, err)
		_, _, err = api.PutMember(ctx, room, c.User(), v1.RoleAdmin, "")
		must(l.t, err)
	}
	var r *buspkg.Room
	var in *buspkg.Subscription
	natstest.Within(l.t, limit, "the room, at whichever node answers", func() bool {
		r, in, err = c.Join(ctx, room, buspkg.StartNow())
		return err == nil
	})
	defer in.Close()
	for n := from; n < from+count; n++ {
		_, err := r.Publish(ctx, buspkg.Message{Data: fmt.Append(nil, n)})
		must(l.t, err)
	}
	return from + count
}

// expectHeard expects all that was said, in order, from the node of a place.
func (l *lab) expectHeard(place, count int) {
	l.t.Helper()
	ctx, cancel := context.WithTimeout(l.t.Context(), limit)
	defer cancel()
	c, err := buspkg.Connect(ctx, l.enter(place))
	must(l.t, err)
	defer c.Close()
	_, in, err := c.Join(ctx, room, buspkg.FromSequence(1))
	must(l.t, err)
	defer in.Close()
	for n := range count {
		m, err := in.Next(ctx)
		must(l.t, err)
		if string(m.Data) != fmt.Sprint(n) {
			l.t.Fatalf("message %d is %q", n, m.Data)
		}
	}
}
