// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

// Steps by which volumes grow. A StatefulSet can't change the size of the volumes that it makes: it is deleted without its pods, and made
// anew around them as it was. What it was is written down before, so that whoever comes after a crash goes on.
const (
	// growVolume asks for more space for the claim at Step.Place.
	growVolume scaling.Action = "grow-volume"
	// keepSet writes down, beside the record, the StatefulSet as it is to be made anew; forgetSet takes that away once it is there.
	keepSet   scaling.Action = "keep-statefulset"
	forgetSet scaling.Action = "forget-statefulset"
	// releasePods deletes the StatefulSet that was written down, and leaves its pods.
	releasePods scaling.Action = "release-pods"
	// awaitSet waits until a StatefulSet is gone, and made anew.
	awaitSet scaling.Action = "await-statefulset"
)

// growth are the steps that leave the bus as it is while volumes grow.
var growth = []scaling.Action{growVolume, keepSet, forgetSet, releasePods, awaitSet}

// annotationSet is the annotation of the identity ConfigMap that has the StatefulSet while that is made anew.
const annotationSet = "unibus.dev/statefulset"

// refused is what was wished, and why it is not to be had.
type refused struct {
	want string
	at   time.Time
	why  error
}

// isRefused says whether what is wished was refused, no longer ago than that. Then it is asked for once more: a StorageClass may have been
// changed, or a room deleted.
func (m *memory) isRefused(key, want string, ago time.Duration) bool {
	r, ok := m.refused[key]
	return ok && r.want == want && time.Since(r.at) < ago
}

// asks is the space that a claim asks for, 0 when it says nothing.
func asks(claim *corev1.PersistentVolumeClaim) resource.Quantity {
	return claim.Spec.Resources.Requests[corev1.ResourceStorage]
}

// smallest is the size of the smallest volume of a node that runs or is to run: what nodes may store must fit on each of them. One that is to grow
// counts with what it has. Kept volumes of nodes that left grow when they are mounted again, before a node starts on them. What nodes
// may store is never lowered: scaling restarts nobody.
func (p *pass) smallest() resource.Quantity {
	least := p.c.Spec.Storage.Size.Quantity
	take := func(q resource.Quantity) {
		if !q.IsZero() && q.Cmp(least) < 0 {
			least = q
		}
	}
	for place, claim := range p.claims {
		take(asks(claim))
		if place < p.seen.Size {
			take(claim.Status.Capacity[corev1.ResourceStorage])
		}
	}
	if p.set != nil {
		for i := range p.set.Spec.VolumeClaimTemplates {
			take(asks(&p.set.Spec.VolumeClaimTemplates[i]))
		}
		if was := noted(p.set.Annotations[annotationNote]); was.Cmp(least) > 0 {
			return was
		}
	}
	return least
}

// grow returns the step by which volumes become as large as the spec has them, in place of one that leaves the cluster as it is.
func (p *pass) grow(step scaling.Step) scaling.Step {
	if step.Action != scaling.Done && step.Action != scaling.Wait {
		return step
	}
	want, small := p.c.Spec.Storage.Size.Quantity, false
	for _, place := range slices.Sorted(maps.Keys(p.claims)) {
		claim := p.claims[place]
		if has := asks(claim); has.Cmp(want) >= 0 || !claim.DeletionTimestamp.IsZero() {
			continue
		}
		small = true
		// Only one that is bound can grow.
		if claim.Status.Phase == corev1.ClaimBound && !p.mayNotGrow(claim, 5*p.rest()) {
			return scaling.Step{Action: growVolume, Place: place, Reason: fmt.Sprintf("the volume %s grows to %s", claim.Name, want.String())}
		}
	}
	if p.identity == nil {
		return step
	}
	kept := p.identity.Annotations[annotationSet]
	switch {
	case !p.makesSmall() && kept != "":
		return scaling.Step{Action: forgetSet, Reason: "the StatefulSet is there anew"}
	case !p.makesSmall() || small:
		return step
	case kept != text(p.anew(p.set)):
		return scaling.Step{Action: keepSet, Reason: "the StatefulSet is to be made anew around its pods, with larger volumes"}
	}
	return scaling.Step{Action: releasePods, Reason: "the StatefulSet is made anew around its pods, with larger volumes"}
}

// makesSmall says whether the StatefulSet makes volumes that are smaller than the spec has them.
func (p *pass) makesSmall() bool {
	return slices.ContainsFunc(p.set.Spec.VolumeClaimTemplates, func(claim corev1.PersistentVolumeClaim) bool {
		has := asks(&claim)
		return has.Cmp(p.c.Spec.Storage.Size.Quantity) < 0
	})
}

// mayNotGrow says whether a claim was refused the wished size, no longer ago than that.
func (p *pass) mayNotGrow(claim *corev1.PersistentVolumeClaim, ago time.Duration) bool {
	return p.isRefused(string(claim.UID), p.c.Spec.Storage.Size.String(), ago)
}

// enlarge carries growVolume out.
func (p *pass) enlarge(ctx context.Context) error {
	claim, want := p.claims[p.step.Place], p.c.Spec.Storage.Size.Quantity
	next := claim.DeepCopy()
	next.Spec.Resources.Requests[corev1.ResourceStorage] = want
	err := p.Client.Patch(ctx, next, client.MergeFromWithOptions(claim, client.MergeFromWithOptimisticLock{}), client.FieldOwner(v1alpha1.FieldOwner))
	delete(p.refused, string(claim.UID))
	if apierrors.IsForbidden(err) || apierrors.IsInvalid(err) {
		p.refused[string(claim.UID)] = refused{want.String(), time.Now(), err}
	}
	return err
}

// anew is a StatefulSet as another one is to be made of it: the same but for the size of volumes.
func (p *pass) anew(set *appsv1.StatefulSet) *appsv1.StatefulSet {
	s := &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Namespace: set.Namespace, Name: set.Name, Labels: set.Labels, Annotations: set.Annotations,
		OwnerReferences: set.OwnerReferences}, Spec: *set.Spec.DeepCopy()}
	for i := range s.Spec.VolumeClaimTemplates {
		s.Spec.VolumeClaimTemplates[i].Spec.Resources.Requests[corev1.ResourceStorage] = p.c.Spec.Storage.Size.Quantity
	}
	return s
}

func text(set *appsv1.StatefulSet) string {
	b, err := json.Marshal(set)
	if err != nil {
		return "" // it has been decoded from JSON
	}
	return string(b)
}

// kept is the StatefulSet that is to be made anew, nil when none of this cluster is written down.
func (p *pass) kept() *appsv1.StatefulSet {
	if p.identity == nil {
		return nil
	}
	set := new(appsv1.StatefulSet)
	if json.Unmarshal([]byte(p.identity.Annotations[annotationSet]), set) != nil || !metav1.IsControlledBy(set, p.c) {
		return nil
	}
	return set
}

// keep writes a StatefulSet down beside the record, nil takes it away.
func (p *pass) keep(ctx context.Context, set *appsv1.StatefulSet) error {
	next := p.identity.DeepCopy() // with its resourceVersion
	if delete(next.Annotations, annotationSet); set != nil {
		metav1.SetMetaDataAnnotation(&next.ObjectMeta, annotationSet, text(p.anew(set)))
	}
	return p.Client.Update(ctx, next, client.FieldOwner(v1alpha1.FieldOwner))
}

// release deletes the StatefulSet, as it was written down, and leaves its pods.
func (p *pass) release(ctx context.Context, set *appsv1.StatefulSet) error {
	if p.identity.Annotations[annotationSet] != text(p.anew(set)) {
		return fmt.Errorf("the StatefulSet %s: %w", set.Name, errChanged)
	}
	return p.Client.Delete(ctx, set, client.Preconditions{UID: &set.UID, ResourceVersion: &set.ResourceVersion},
		client.PropagationPolicy(metav1.DeletePropagationOrphan))
}

// growing says how far volumes are, empty when all are as the spec has them, or can't be.
func (f facts) growing() string {
	want, grown, all, waits := f.c.Spec.Storage.Size.Quantity, 0, 0, ""
	for _, place := range slices.Sorted(maps.Keys(f.claims)) {
		claim := f.claims[place]
		has, told := claim.Status.Capacity[corev1.ResourceStorage]
		asked := asks(claim)
		if place >= f.seen.Size || !told || f.mayNotGrow(claim, forever) {
			continue
		}
		if all++; has.Cmp(want) >= 0 {
			grown++
			continue
		}
		waits = fmt.Sprintf("%s has %s and asks for %s", claim.Name, has.String(), asked.String())
		for _, c := range claim.Status.Conditions {
			waits += fmt.Sprintf(" (%s: %s)", c.Type, c.Message)
		}
	}
	switch {
	case waits != "":
		return fmt.Sprintf("%d of %d volumes have %s; %s", grown, all, want.String(), waits)
	case slices.Contains(growth, f.next.Action) && f.cannotGrow() == nil:
		return f.doing("the StatefulSet is made anew around its pods")
	}
	return ""
}

const forever = time.Duration(1<<63 - 1)

// cannotGrow says which volume can't grow, and why; nil when none was refused.
func (f facts) cannotGrow() *verdict {
	for _, place := range slices.Sorted(maps.Keys(f.claims)) {
		claim := f.claims[place]
		if has := asks(claim); has.Cmp(f.c.Spec.Storage.Size.Quantity) >= 0 || !f.mayNotGrow(claim, forever) {
			continue
		}
		class := "none"
		if claim.Spec.StorageClassName != nil {
			class = *claim.Spec.StorageClassName
		}
		r := f.refused[string(claim.UID)]
		return &verdict{false, v1alpha1.ReasonVolumesCannotGrow, fmt.Sprintf("The volume %s of the StorageClass %s can't grow to %s: %v. Set "+
			"allowVolumeExpansion: true in the StorageClass; if its driver can't, move users and rooms to a cluster of another class. All else goes on.",
			claim.Name, class, r.want, r.why)}
	}
	return nil
}
