// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/scaling"
)

// silent has the nodes of places run and not serve for a while; their pods were made one after the other, that of the last named last.
func silent(p *pass, since time.Duration, places ...int) {
	p.seen.Now = time.Now()
	for i, place := range places {
		p.pods[place].CreationTimestamp = metav1.NewTime(p.seen.Now.Add(-time.Hour + time.Duration(i)*time.Minute))
		p.pods[place].Status = corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady,
			Status: corev1.ConditionFalse, LastTransitionTime: metav1.NewTime(p.seen.Now.Add(-since))}}}
	}
}

// offline has members answer nobody; with no leader when too few are left.
func offline(p *pass, places ...int) {
	for _, place := range places {
		p.Meta.Members[place].Current, p.nodes[place], p.Streams[0].Members[place].Said = false, nil, false
	}
	if 2*len(places) >= len(p.Meta.Members) {
		p.Meta, p.NoLeader = nil, errors.New("nobody")
	}
}

// TestMend: a person's change reaches a node that runs and does not serve. A newer operator's, and any while a node joins, wait.
func TestMend(t *testing.T) {
	waits := scaling.Step{Action: scaling.Wait, Reason: "a member is not current"}
	for name, c := range map[string]struct {
		see  func(p *pass)
		want scaling.Action
	}{
		"all serve":          {func(*pass) {}, scaling.Wait},
		"one does not serve": {func(p *pass) { silent(p, 0, 1) }, applyTemplate},
		"the operator's": {func(p *pass) {
			silent(p, time.Hour, 1)
			p.rollout.own, p.c.Spec.UpdateStrategy.OperatorChanges = true, v1alpha1.OperatorChangesRoll
		}, scaling.Wait},
		"before it is formed": {func(p *pass) { silent(p, 0, 1); p.record = nil }, applyTemplate},
		"one joins": {func(p *pass) {
			silent(p, 0, 1)
			p.record.Names["demo-1-0"] = scaling.Name{Phase: scaling.Ordered, Place: 1}
		}, scaling.Wait},
		"one does not join": {func(p *pass) {
			silent(p, scaling.Patience, 1)
			p.record.Names["demo-1-0"] = scaling.Name{Phase: scaling.Ordered, Place: 1}
		}, applyTemplate},
	} {
		p := seen(3)
		roll(p)
		p.rollout.running, p.rollout.pending = false, true
		c.see(p)
		if got := p.roll(waits); got.Action != c.want {
			t.Errorf("%s: %s (%s), want %s", name, got.Action, got.Reason, c.want)
		}
	}
}

// TestBroken: of nodes that run and do not serve, one after the other is replaced, the last change first, and none by which others lose
// anything.
func TestBroken(t *testing.T) {
	waits := scaling.Step{Action: scaling.Wait, Reason: "a member is not current"}
	for name, c := range map[string]struct {
		members int
		see     func(p *pass)
		want    string // the pod that is replaced
	}{
		"the only one":           {1, func(p *pass) { silent(p, 0, 0); offline(p, 0) }, "demo-0"},
		"the only one, which is": {1, func(p *pass) { silent(p, 0, 0) }, "demo-0"},
		"not formed, yet":        {1, func(p *pass) { silent(p, 0, 0); p.record, p.Meta = nil, nil }, ""},
		"not formed, for long":   {1, func(p *pass) { silent(p, scaling.Patience, 0); p.record, p.Meta = nil, nil }, "demo-0"},
		"two, being elected":     {3, func(p *pass) { silent(p, time.Minute, 2, 1); offline(p, 1, 2) }, ""},
		"two, for long":          {3, func(p *pass) { silent(p, scaling.Patience, 2, 1); offline(p, 1, 2) }, "demo-1"},
		"two, the other one newer": {3, func(p *pass) {
			silent(p, scaling.Patience, 1, 2)
			offline(p, 1, 2)
		}, "demo-2"},
		"two, and one is just on its way": {3, func(p *pass) {
			silent(p, scaling.Patience, 1, 2)
			offline(p, 1, 2)
			p.pods[2].Status.Conditions[0].LastTransitionTime = metav1.Now()
		}, ""},
		"two, that only are not ready":   {3, func(p *pass) { silent(p, scaling.Patience, 1, 2) }, "demo-2"},
		"the third is not to be changed": {3, func(p *pass) { silent(p, scaling.Patience, 0, 1, 2); offline(p, 0, 1, 2); p.rollout.behind = []int{1} }, "demo-1"},
		"one is out, and the other one is needed": {3, func(p *pass) {
			silent(p, scaling.Patience, 1, 2)
			offline(p, 1)
			p.rollout.behind = []int{2}
		}, ""},
		"and then the one that is out": {3, func(p *pass) { silent(p, scaling.Patience, 1, 2); offline(p, 1) }, "demo-1"},
		"a stream needs it": {3, func(p *pass) {
			silent(p, scaling.Patience, 1, 2)
			p.Streams[0].Members = p.Streams[0].Members[1:]
		}, ""},
		"the streams are not known": {3, func(p *pass) { silent(p, scaling.Patience, 1, 2); p.Blocked = errors.New("no") }, ""},
		"two of five": {5, func(p *pass) {
			silent(p, scaling.Patience, 4, 3)
			offline(p, 3, 4)
		}, "demo-3"},
		"one ends": {3, func(p *pass) {
			silent(p, scaling.Patience, 1, 2)
			offline(p, 1, 2)
			p.pods[0].DeletionTimestamp = &metav1.Time{Time: time.Now()}
		}, ""},
	} {
		p := seen(c.members)
		roll(p)
		for place := range c.members {
			p.rollout.behind = append(p.rollout.behind, place)
		}
		c.see(p)
		got := p.roll(waits)
		if replaced := got.Action == replacePod; replaced != (c.want != "") || replaced && !strings.Contains(got.Reason, c.want+" ") {
			t.Errorf("%s: %s (%s), want %q replaced", name, got.Action, got.Reason, c.want)
		}
	}
}

// TestTurnedBack: the image of a cluster of one is one whose node runs and never serves, and is set back.
func TestTurnedBack(t *testing.T) {
	l := mustLab(t, sample(t, "one"))
	l.within("a cluster of one", ready)
	l.change(func(c *v1alpha1.UnibusCluster) { c.Spec.Image = "unibus/membershipd" + deafTag })
	natstest.Within(t, limit, "a node that does not serve", func() bool {
		return len(l.uids(func(p corev1.Pod) bool {
			return strings.HasSuffix(p.Spec.Containers[0].Image, deafTag) && p.Status.PodIP != ""
		})) == 1
	})
	l.change(func(c *v1alpha1.UnibusCluster) { c.Spec.Image = "" })
	l.within("the node as before", func(c *v1alpha1.UnibusCluster) bool { return ready(c) && l.pods() == 3 })
}
