// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/unibus/unibus/internal/scaling"
)

// replaceDisk deletes the claim with UID Step.Volume of Step.Place, and what runs on it, so that an empty one is made. The disk is kept.
const replaceDisk scaling.Action = "replace-disk"

// desired is what scaling is to bring about.
func (p *pass) desired() scaling.Desired {
	return scaling.Desired{Name: p.c.Name, Replicas: int(p.c.Spec.Replicas), DeleteDisks: p.deletes(), Dead: p.dead()}
}

// dead are the names that scaling is to take for dead: lost, with no volume that could be taken for a new one. While nobody leads it removes
// none, and tells what is lost.
func (p *pass) dead() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(p.lost)) {
		if p.Meta == nil || !p.toDoom(name) {
			names = append(names, name)
		}
	}
	return names
}

// toDoom says whether the volume of a name that is lost is still to be recorded for deletion. One that answers is not the lost one, or is
// not lost.
func (p *pass) toDoom(name string) bool {
	place := p.record.Names[name].Place
	claim := p.claims[place]
	return claim != nil && !p.answers(place) && !p.doomed(claim)
}

func (p *pass) doomed(claim *corev1.PersistentVolumeClaim) bool {
	return slices.Contains(p.record.Doomed, string(claim.UID))
}

// doom records the volume of a disk that is lost for deletion, before the loss has any effect: nothing joins on it should it come back, and
// the one that takes its place is never taken for it.
func (p *pass) doom() *scaling.Step {
	if p.Meta == nil || p.Blocked != nil || p.damaged != nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(p.lost)) {
		if !p.toDoom(name) {
			continue
		}
		claim := p.claims[p.record.Names[name].Place]
		next := *p.record
		next.Doomed = []string{string(claim.UID)}
		for _, other := range p.claims {
			if p.doomed(other) {
				next.Doomed = append(next.Doomed, string(other.UID))
			}
		}
		slices.Sort(next.Doomed)
		return &scaling.Step{Action: scaling.WriteRecord, Name: name, Record: &next, Reason: fmt.Sprintf(
			"%s is lost (%s): the PersistentVolumeClaim %s is recorded for deletion", name, p.lost[name], claim.Name)}
	}
	return nil
}

// discard replaces, in place of waiting, the volume of a place that is to be filled anew: doomed, of no name any more, and silent. Of what
// answers there scaling decides, and it is kept all the same: what may have been lost with its node is no volume that nobody needs, whatever is to
// become of those that scaling leaves over. A pod that was never placed lets its claim go, and is not given another one.
func (p *pass) discard(step scaling.Step) scaling.Step {
	if step.Action == scaling.DeleteVolume && step.Place < int(p.c.Spec.Replicas) {
		step.Action = replaceDisk
		return step
	}
	atOnce := p.seen
	atOnce.Quiet = 0
	if step.Action != scaling.Wait || p.Next(p.record, p.desired(), atOnce).Person {
		return step
	}
	for place := range p.seen.Size {
		claim, pod := p.claims[place], p.pods[place]
		switch {
		case p.answers(place):
			continue
		case claim == nil && pod != nil && pod.Spec.NodeName == "" && pod.DeletionTimestamp.IsZero():
			step.Volume, step.Reason = "", fmt.Sprintf("the pod %s waits for a PersistentVolumeClaim that was deleted: it is made anew with one", pod.Name)
		case claim != nil && p.Meta != nil && p.record != nil && place < int(p.c.Spec.Replicas) && p.doomed(claim) && !p.scene().MayBeMember(place):
			step.Volume = string(claim.UID)
			step.Reason = fmt.Sprintf("the PersistentVolumeClaim %s is lost, and its server removed: it makes room for an empty one", claim.Name)
		default:
			continue
		}
		step.Action, step.Place = replaceDisk, place
		break
	}
	return step
}
