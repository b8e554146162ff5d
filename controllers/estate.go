// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
)

// made says whether a claim was made for the cluster: its name alone is no reason to delete it. One that was restored from a backup without labels
// is kept.
func (p *pass) made(claim *corev1.PersistentVolumeClaim) bool {
	return labels.SelectorFromSet(manifests.Selector(p.c)).Matches(labels.Set(claim.Labels))
}

// deletes says whether the volumes of nodes that left are deleted: where that is wished, and all of them were made for the cluster.
func (p *pass) deletes() bool {
	for place, claim := range p.claims {
		if place >= int(p.c.Spec.Replicas) && !p.made(claim) {
			return false
		}
	}
	return p.c.Spec.Storage.WhenScaled == v1alpha1.VolumeDelete
}

// deleteVolume deletes the claim that was decided on, and the pod that mounts it: as long as one does the claim stays.
func (p *pass) deleteVolume(ctx context.Context) error {
	claim := p.claims[p.step.Place]
	if claim == nil || string(claim.UID) != p.step.Volume {
		return fmt.Errorf("the volume at place %d: %w", p.step.Place, errChanged)
	}
	if err := client.IgnoreNotFound(p.Client.Delete(ctx, claim, client.Preconditions{UID: &claim.UID})); err != nil {
		return err
	}
	pod := p.pods[p.step.Place]
	if pod == nil || !pod.DeletionTimestamp.IsZero() {
		return nil
	}
	return client.IgnoreNotFound(p.Client.Delete(ctx, pod, client.Preconditions{UID: ptr.To(pod.UID)}))
}

// goes says whether a claim is recorded as doomed, deleted, and mounted by no pod: it is as good as gone, however long who has put a finalizer on
// it takes.
func (p *pass) goes(place int) bool {
	claim := p.claims[place]
	return p.pods[place] == nil && !claim.DeletionTimestamp.IsZero() && p.record != nil && slices.Contains(p.record.Doomed, string(claim.UID))
}

// estate are the objects that outlive a cluster unless its volumes are deleted with it.
func (p *pass) estate() (all []client.Object) {
	for _, place := range slices.Sorted(maps.Keys(p.claims)) {
		if p.made(p.claims[place]) {
			all = append(all, p.claims[place])
		}
	}
	if p.identity != nil && labels.SelectorFromSet(manifests.Labels(p.c)).Matches(labels.Set(p.identity.Labels)) {
		all = append(all, p.identity)
	}
	if s := p.secrets[p.c.AdminSecretName()]; s != nil && p.owns(s) {
		all = append(all, s)
	}
	return all
}

// ours says whether an owner is a UnibusCluster, whichever.
func ours(o metav1.OwnerReference) bool {
	return o.Kind == "UnibusCluster" && o.APIVersion == v1alpha1.GroupVersion.String()
}

// awaitHeirs stops a pass while there is something that a deleted cluster of the same name takes with it: what is built on that goes too.
func (p *pass) awaitHeirs(context.Context) error {
	for _, o := range p.estate() {
		if p.left(o) {
			return &obstacle{reason: v1alpha1.ReasonDeleting, message: fmt.Sprintf("%s is of a UnibusCluster of this name that was deleted "+
				"together with its volumes; it is waited for that Kubernetes has deleted it.", o.GetName())}
		}
	}
	return nil
}

// left says whether an object goes with a UnibusCluster that this one has taken the place of.
func (p *pass) left(o client.Object) bool {
	return slices.ContainsFunc(o.GetOwnerReferences(), func(owner metav1.OwnerReference) bool { return ours(owner) && owner.UID != p.c.UID })
}

// bequeath has the cluster own its volumes, their record and the key of the first admin where they are to be deleted with it. Kubernetes does that
// then: no finalizer waits for an operator that may be gone before, and whoever deletes the StatefulSet alone deletes no volume.
func (p *pass) bequeath(ctx context.Context) error {
	for _, o := range p.estate() {
		before := o.DeepCopyObject().(client.Object)
		owners := slices.DeleteFunc(slices.Clone(o.GetOwnerReferences()), ours)
		if p.c.Spec.Storage.WhenDeleted == v1alpha1.VolumeDelete {
			owners = append(owners, metav1.OwnerReference{APIVersion: v1alpha1.GroupVersion.String(), Kind: "UnibusCluster", Name: p.c.Name, UID: p.c.UID})
		}
		if equality.Semantic.DeepEqual(owners, before.GetOwnerReferences()) || len(owners)+len(before.GetOwnerReferences()) == 0 {
			continue
		}
		o.SetOwnerReferences(owners)
		var err error
		if _, secret := o.(*corev1.Secret); secret { // no other right is needed on Secrets
			err = p.Client.Update(ctx, o, client.FieldOwner(v1alpha1.FieldOwner))
		} else {
			err = p.Client.Patch(ctx, o, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner(v1alpha1.FieldOwner))
		}
		if err := refusal("object", o.GetName(), err); err != nil {
			return err
		}
	}
	return nil
}
