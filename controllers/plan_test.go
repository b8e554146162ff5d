// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
	"github.com/unibus/unibus/internal/steering"
)

// planned are steps in short: what is done, and how many members there are then, need to answer, and may be lost.
func planned(steps []v1alpha1.PlannedStep) string {
	var all []string
	for _, s := range steps {
		all = append(all, fmt.Sprintf("%s %d/%d/%d", s.Do, s.Members, s.Quorum, s.Spare))
	}
	return strings.Join(all, ", ")
}

// TestScalingPlan: what a change of the number of members comes to is told before it is begun, and nothing where it can't be known.
func TestScalingPlan(t *testing.T) {
	phase := func(p *pass, place int, phase scaling.Phase) {
		name := p.c.PodName(place) + "-0"
		n := p.record.Names[name]
		n.Phase, n.Place = phase, place
		p.record.Names[name] = n
	}
	lose := func(place int) func(*pass) {
		return func(p *pass) { p.lost = map[string]string{p.c.PodName(place) + "-0": "it is gone"} }
	}
	for name, c := range map[string]struct {
		members, wished int
		change          func(*pass)
		want            string
	}{
		"as wished":                {3, 3, func(*pass) {}, ""},
		"grows":                    {1, 3, func(*pass) {}, "join 2/2/0, join 3/2/1, raise-replicas 3/2/1"},
		"grows further":            {3, 5, func(*pass) {}, "join 4/3/1, join 5/3/2, raise-replicas 5/3/2"},
		"one has an order":         {1, 3, func(p *pass) { phase(p, 1, scaling.Ordered) }, "join 2/2/0, join 3/2/1, raise-replicas 3/2/1"},
		"one has joined":           {1, 3, func(p *pass) { phase(p, 1, scaling.Member) }, "join 3/2/1, raise-replicas 3/2/1"},
		"the next step is known":   {1, 3, func(p *pass) { p.step.Action = takeWish }, "take-wish 1/1/0, join 2/2/0, join 3/2/1, raise-replicas 3/2/1"},
		"shrinks":                  {3, 1, func(*pass) {}, "leave 2/2/0, leave 1/1/0, stop-places 1/1/0"},
		"one leaves":               {3, 1, func(p *pass) { phase(p, 2, scaling.Removing) }, "leave 2/2/0, leave 1/1/0, stop-places 1/1/0"},
		"one has left":             {3, 1, func(p *pass) { phase(p, 2, scaling.Removed) }, "leave 1/1/0, stop-places 1/1/0"},
		"volumes are deleted":      {3, 1, func(p *pass) { p.c.Spec.Storage.WhenScaled = v1alpha1.VolumeDelete }, "leave 2/2/0, leave 1/1/0, stop-places 1/1/0, delete-volume 1/1/0"},
		"cancelled while one left": {3, 3, func(p *pass) { phase(p, 2, scaling.Leaving) }, ""},
		"one is replaced":          {3, 3, func(p *pass) { phase(p, 1, scaling.Removing) }, "leave 2/2/0, join 3/2/1, raise-replicas 3/2/1"},
		"one is lost":              {3, 3, lose(1), "leave 2/2/0, join 3/2/1, raise-replicas 3/2/1"},
		"one is lost, and grows":   {3, 5, lose(1), "leave 2/2/0, join 3/2/1, join 4/3/1, join 5/3/2, raise-replicas 5/3/2"},
		"one is lost, and shrinks": {3, 1, lose(2), "leave 2/2/0, leave 1/1/0, stop-places 1/1/0"},
		"set back in the middle":   {2, 1, func(p *pass) { phase(p, 2, scaling.Ordered) }, "join 3/2/1, leave 2/2/0, leave 1/1/0, stop-places 1/1/0"},
		"nobody leads":             {1, 3, func(p *pass) { p.Meta, p.NoLeader = nil, errors.New("nobody") }, ""},
		"a person is needed":       {1, 3, func(p *pass) { p.step = person }, "wait 1/1/0"},
		"not founded":              {1, 3, func(p *pass) { phase(p, 0, scaling.Ordered) }, ""},
	} {
		p := seen(c.members)
		p.c.Spec.Replicas = int32(c.wished)
		c.change(p)
		if diff := cmp.Diff(c.want, planned(p.facts(nil).plan())); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
	p := seen(1)
	if p.c.Spec.Replicas = 3; planned(p.facts(notOwned("Service", "demo")).plan()) != "" {
		t.Error("something is foretold though nothing goes on")
	}
}

// TestScalingPlanIsKept: what is planned first is what is decided on first.
func TestScalingPlanIsKept(t *testing.T) {
	for _, c := range []struct{ members, wished, lost int }{{1, 3, none}, {3, 1, none}, {5, 3, none}, {3, 3, 1}, {3, 1, 2}, {3, 5, 0}} {
		p := seen(c.members)
		p.c.Spec.Replicas, p.set = int32(c.wished), newSet(fmt.Sprint(c.wished))
		size := int32(max(c.members, c.wished))
		p.set.Spec.Replicas = &size
		for place := c.members; place < c.wished; place++ {
			p.nodes = append(p.nodes, &v1.NodeStatus{Phase: v1.NodeWaiting, DiskID: fmt.Sprint("empty", place), Nonce: "n"})
			p.pods[place] = p.pods[0]
		}
		nodes := p.nodes
		p.place()
		p.nodes = nodes
		for i, n := range nodes {
			if name := p.record.Names[n.ServerName]; i < c.members {
				n.DiskID, name.DiskID = n.ServerName, n.ServerName
				p.record.Names[n.ServerName] = name
			}
			if i == c.lost {
				p.lost = map[string]string{n.ServerName: "it is gone"}
				continue
			}
			p.seen.Places[i].Node = steering.Node(n)
		}
		p.Fill(&p.seen)
		step := p.decide()
		plan := p.facts(nil).scalingPlan()
		if step.Action != scaling.WriteRecord || len(plan) == 0 || !strings.Contains(plan[0].Why, strings.TrimSuffix(step.Name, "-0")) {
			t.Errorf("%+v: %+v is decided, %+v planned", c, step, plan)
		}
	}
}

// none is no place.
const none = -1
