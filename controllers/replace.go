// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
)

// replaceVolume brings the replacement of a lost volume one write further: the disk is kept by its PersistentVolume, then the claim goes, then the
// pod that holds it.
func (p *pass) replaceVolume(ctx context.Context) error {
	claim, pod := p.claims[p.step.Place], p.pods[p.step.Place]
	switch {
	case claim == nil && p.step.Volume == "":
		return client.IgnoreNotFound(p.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID}))
	case claim == nil || string(claim.UID) != p.step.Volume:
		return fmt.Errorf("the PersistentVolumeClaim of place %d: %w", p.step.Place, errChanged)
	case claim.Spec.VolumeName != "":
		if written, err := p.retain(ctx, claim); written || err != nil {
			return err
		}
	}
	if claim.DeletionTimestamp.IsZero() {
		return client.IgnoreNotFound(p.Client.Delete(ctx, claim, client.Preconditions{UID: &claim.UID, ResourceVersion: &claim.ResourceVersion}))
	}
	switch {
	case pod == nil:
		return fmt.Errorf("the PersistentVolumeClaim %s ends, and somebody holds it: see its finalizers", claim.Name)
	case !pod.DeletionTimestamp.IsZero():
		return fmt.Errorf("the pod %s ends; if its machine is gone delete the Node object %s", pod.Name, pod.Spec.NodeName)
	}
	return client.IgnoreNotFound(p.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID}))
}

// retain has the PersistentVolume of a claim, and the disk with it, outlive the claim, and says whether that was to be written.
func (p *pass) retain(ctx context.Context, claim *corev1.PersistentVolumeClaim) (bool, error) {
	volume := new(corev1.PersistentVolume)
	err := p.Live.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, volume)
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err == nil && volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain:
		return false, nil
	case err == nil && (volume.Spec.ClaimRef == nil || volume.Spec.ClaimRef.UID != claim.UID):
		return false, fmt.Errorf("the PersistentVolume %s is of another claim than %s", volume.Name, claim.Name)
	case err == nil:
		before := volume.DeepCopy()
		volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		err = p.Client.Patch(ctx, volume, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner(v1alpha1.FieldOwner))
	}
	if apierrors.IsForbidden(err) {
		return false, fmt.Errorf("the operator may not have the disk of %s kept, and deletes nothing: set persistentVolumeReclaimPolicy of the PersistentVolume %s to Retain, "+
			"then delete the PersistentVolumeClaim and the pod: %w", claim.Name, claim.Spec.VolumeName, err)
	}
	return err == nil, err
}
