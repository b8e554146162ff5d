// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
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
		written, err := p.retain(ctx, claim)
		if apierrors.IsForbidden(err) {
			return fmt.Errorf("the operator may not have the disk of %s kept, and deletes nothing: set persistentVolumeReclaimPolicy of the PersistentVolume %s to Retain, "+
				"then delete the PersistentVolumeClaim and the pod: %w", claim.Name, claim.Spec.VolumeName, err)
		}
		if written || err != nil {
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
