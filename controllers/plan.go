// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"fmt"
	"maps"
	"slices"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

// What is planned of a change of the number of members, beside steps: each takes several, as what is seen then has it.
const (
	planJoin  = "join"
	planRaise = "raise-replicas"
	planLeave = "leave"
	planStop  = "stop-places"
)

// plan is the step that is next, as far as it is known, what a change of the number of members comes to then, and what waits for consent.
func (f facts) plan() (steps []v1alpha1.PlannedStep) {
	if !f.acted && f.next.Action != "" && f.next.Action != scaling.Done {
		steps = append(steps, v1alpha1.PlannedStep{Do: string(f.next.Action), Why: f.next.Reason})
	}
	steps = slices.Concat(steps, f.scalingPlan(), f.rotationPlan(), f.passwordPlan(), f.keysPlan())
	if f.consentNeeded() {
		steps = append(steps, v1alpha1.PlannedStep{Do: string(applyTemplate), Why: f.otherwise(), NeedsConsent: true})
	}
	if f.Meta == nil {
		return steps
	}
	for i := range steps {
		n := cmp.Or(steps[i].Members, int32(len(f.Meta.Members)))
		steps[i].Members, steps[i].Quorum, steps[i].Spare = n, n/2+1, n-(n/2+1)
	}
	return steps
}

// scalingPlan is what a change of the number of members, or a repair, comes to from here, by what the record has: who is being removed or is lost leaves,
// who has an order joins, places are filled one after the other, the first one first, and the node at the last place leaves, then the one before it;
// at last the places that nobody needs are stopped, and streams get their replicas. Nothing is foretold where a person is needed: what is seen next decides.
func (f facts) scalingPlan() (steps []v1alpha1.PlannedStep) {
	if f.stopped != nil || f.Meta == nil || !f.founded() || f.next.Person {
		return nil
	}
	members, wished := int32(active(f.record)), f.c.Spec.Replicas
	for _, n := range f.record.Names {
		if n.Phase == scaling.Ordered {
			members--
		}
	}
	plan := func(do string, change int32, format string, args ...any) {
		members += change
		steps = append(steps, v1alpha1.PlannedStep{Do: do, Why: fmt.Sprintf(format, args...), Members: members})
	}
	for _, name := range f.removals() {
		plan(planLeave, -1, "%s is to be removed: %s", name, cmp.Or(f.lost[name], "that was begun"))
	}
	joins, leaves := f.joins(), f.leaves()
	for _, place := range joins {
		plan(planJoin, 1, "%d members are wished: %s joins", wished, f.c.PodName(place))
	}
	for _, name := range leaves {
		plan(planLeave, -1, "%d members are wished: %s is emptied, and leaves", wished, name)
	}
	if f.outgrown() {
		plan(planStop, 0, "the places from %d on have no member then", wished)
		if f.deletes() {
			plan(string(scaling.DeleteVolume), 0, "volumes of nodes that left are deleted, as the spec has it")
		}
	}
	if len(joins) > 0 && members > 1 {
		plan(planRaise, 0, "every stream gets a replica on each of %d members", members)
	}
	return steps
}

// removals are the names that leave whatever is wished.
func (f facts) removals() []string {
	return f.those(func(name string, n scaling.Name) bool {
		lost := f.lost[name] != "" && (n.Phase == scaling.Member || n.Phase == scaling.Leaving)
		return n.Phase == scaling.Removing || lost
	})
}

// joins are the places that are to be filled, in the order in which they are: the one that has an order first, which is completed whatever is wished.
func (f facts) joins() (places []int) {
	taken := map[int]bool{}
	for name, n := range f.record.Names {
		switch n.Phase {
		case scaling.Ordered:
			places = append(places, n.Place)
			taken[n.Place] = true
		case scaling.Member, scaling.Leaving:
			taken[n.Place] = taken[n.Place] || f.lost[name] == ""
		}
	}
	for place := range int(f.c.Spec.Replicas) {
		if !taken[place] {
			places = append(places, place)
		}
	}
	return places
}

// leaves are the names beyond the wished number, in the order in which they leave: the one that is on its way first, then that of the last place.
func (f facts) leaves() []string {
	names := f.those(func(name string, n scaling.Name) bool {
		stays := n.Phase == scaling.Member || n.Phase == scaling.Leaving || n.Phase == scaling.Ordered
		return n.Place >= int(f.c.Spec.Replicas) && stays && f.lost[name] == ""
	})
	onItsWay := func(name string) int {
		if f.record.Names[name].Phase == scaling.Leaving {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(onItsWay(a), onItsWay(b)), cmp.Compare(f.record.Names[b].Place, f.record.Names[a].Place))
	})
	return names
}

// outgrown says whether a name that may be a member is beyond the wished number.
func (f facts) outgrown() bool {
	return len(f.those(func(_ string, n scaling.Name) bool {
		return n.Place >= int(f.c.Spec.Replicas) && n.Phase != scaling.Removed && n.Phase != scaling.Void
	})) > 0
}

// those are the names in the record of which something holds, in their order.
func (f facts) those(holds func(name string, n scaling.Name) bool) []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(f.record.Names)), func(name string) bool { return !holds(name, f.record.Names[name]) })
}
