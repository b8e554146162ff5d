// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

// keepDisk is what is told of a volume that is kept: no step, since it waits for none.
const keepDisk scaling.Action = "keep-disk"

// errElsewhere is returned for a PersistentVolume that is of another claim than the one that names it.
var errElsewhere = errors.New("it is of another claim")

// keepDisks has the disk of a member outlive its claim, once that was deleted: from then on only the pod holds the claim, and whoever deletes the pod too
// would have Kubernetes delete the disk. Nothing is kept from a cluster that is deleted together with its volumes.
func (p *pass) keepDisks(ctx context.Context) error {
	for _, place := range slices.Sorted(maps.Keys(p.claims)) {
		claim := p.claims[place]
		if claim.DeletionTimestamp.IsZero() || claim.Spec.VolumeName == "" || p.left(claim) || !p.ofMember(place) {
			continue
		}
		if ends, err := p.ends(ctx); ends || err != nil {
			return err
		}
		written, err := p.retain(ctx, claim)
		switch {
		case apierrors.IsForbidden(err), apierrors.IsInvalid(err), apierrors.IsBadRequest(err):
			p.unkept = fmt.Sprintf("The PersistentVolumeClaim %s of a member was deleted. When its pod ends the disk goes with it, unless the PersistentVolume %s has Retain as its "+
				"persistentVolumeReclaimPolicy, which the operator can't see to: %v", claim.Name, claim.Spec.VolumeName, err)
		case err != nil && !errors.Is(err, errElsewhere):
			return fmt.Errorf("keep the disk of %s: %w", claim.Name, err)
		case written:
			p.Events.Eventf(p.c, claim, corev1.EventTypeNormal, eventReasons[keepDisk], string(keepDisk),
				"the PersistentVolumeClaim %s of a member was deleted: its PersistentVolume %s is kept", claim.Name, claim.Spec.VolumeName)
		}
	}
	return nil
}

// ofMember says whether a place has a member, as far as can be told. One that lost its record may have some.
func (p *pass) ofMember(place int) bool {
	if p.record == nil {
		return p.damaged != nil || p.c.Status.ClusterID != ""
	}
	for _, n := range p.record.Names {
		if n.Place == place && n.Phase != scaling.Removed && n.Phase != scaling.Void {
			return true
		}
	}
	return false
}

// ends says whether the cluster, or its namespace, is being deleted and its volumes with it, as the spec has it. That is looked at anew: claims were read
// after the cluster was.
func (p *pass) ends(ctx context.Context) (bool, error) {
	c := new(v1alpha1.UnibusCluster)
	err := p.Live.Get(ctx, client.ObjectKeyFromObject(p.c), c)
	switch {
	case apierrors.IsNotFound(err):
		return p.c.Spec.Storage.WhenDeleted == v1alpha1.VolumeDelete, nil
	case err != nil:
		return false, fmt.Errorf("read the UnibusCluster again: %w", err)
	case c.Spec.Storage.WhenDeleted != v1alpha1.VolumeDelete:
		return false, nil
	case c.UID != p.c.UID || !c.DeletionTimestamp.IsZero():
		return true, nil
	}
	var namespace metav1.PartialObjectMetadata
	namespace.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("Namespace"))
	err = p.Live.Get(ctx, client.ObjectKey{Name: c.Namespace}, &namespace)
	if err != nil && !apierrors.IsForbidden(err) {
		return false, fmt.Errorf("read the namespace: %w", err)
	}
	return !namespace.DeletionTimestamp.IsZero(), nil
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
		return false, fmt.Errorf("the PersistentVolume %s is not of %s: %w", volume.Name, claim.Name, errElsewhere)
	case err == nil:
		before := volume.DeepCopy()
		volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		err = p.Client.Patch(ctx, volume, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner(v1alpha1.FieldOwner))
	}
	return err == nil, err
}
