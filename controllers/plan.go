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

// scalingPlan is what a change of the number of members comes to from here, by what the record has: places are filled one after the other, the first one
// first, and then streams get their replicas; or the node at the last place leaves, then the one before it. Nothing is foretold where something is
// lost or a person is needed: what is seen next decides.
func (f facts) scalingPlan() (steps []v1alpha1.PlannedStep) {
	if f.stopped != nil || f.Meta == nil || !f.founded() || f.next.Person || f.repairing() || len(f.lost) > 0 {
		return nil
	}
	joins, leaves := f.joins(), f.leaves()
	if len(joins) > 0 && len(leaves) > 0 || len(joins)+len(leaves) == 0 {
		return nil
	}
	members, wished := int32(active(f.record)), f.c.Spec.Replicas
	for _, n := range f.record.Names {
		if n.Phase == scaling.Ordered {
			members--
		}
	}
	for _, place := range joins {
		members++
		steps = append(steps, v1alpha1.PlannedStep{Do: planJoin, Why: fmt.Sprintf("%d members are wished: %s joins", wished, f.c.PodName(place)), Members: members})
	}
	for _, name := range leaves {
		members--
		steps = append(steps, v1alpha1.PlannedStep{Do: planLeave, Why: fmt.Sprintf("%d members are wished: %s is emptied, and leaves", wished, name), Members: members})
	}
	if len(joins) > 0 {
		return append(steps, v1alpha1.PlannedStep{Do: planRaise, Why: fmt.Sprintf("every stream gets a replica on each of %d members", members), Members: members})
	}
	steps = append(steps, v1alpha1.PlannedStep{Do: planStop, Why: fmt.Sprintf("the places from %d on have no member then", wished), Members: members})
	if f.deletes() {
		steps = append(steps, v1alpha1.PlannedStep{Do: string(scaling.DeleteVolume), Why: "volumes of nodes that left are deleted, as the spec has it", Members: members})
	}
	return steps
}

// joins are the places that are to be filled, in the order in which they are: the one that has an order first.
func (f facts) joins() (places []int) {
	taken := map[int]bool{}
	for _, n := range f.record.Names {
		switch n.Phase {
		case scaling.Ordered:
			places = append(places, n.Place)
			taken[n.Place] = true
		case scaling.Member, scaling.Leaving, scaling.Removing:
			taken[n.Place] = true
		}
	}
	for place := range int(f.c.Spec.Replicas) {
		if !taken[place] {
			places = append(places, place)
		}
	}
	return places
}

// leaves are the names that are to leave, in the order in which they do: the one that is on its way first, then that of the last place.
func (f facts) leaves() []string {
	onItsWay := func(name string) int {
		if f.record.Names[name].Phase == scaling.Member {
			return 1
		}
		return 0
	}
	names := slices.DeleteFunc(slices.Sorted(maps.Keys(f.record.Names)), func(name string) bool {
		n := f.record.Names[name]
		return n.Place < int(f.c.Spec.Replicas) || n.Phase != scaling.Member && n.Phase != scaling.Leaving && n.Phase != scaling.Removing
	})
	slices.SortStableFunc(names, func(a, b string) int {
		return cmp.Or(cmp.Compare(onItsWay(a), onItsWay(b)), cmp.Compare(f.record.Names[b].Place, f.record.Names[a].Place))
	})
	return names
}
