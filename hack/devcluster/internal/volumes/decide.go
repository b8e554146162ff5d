// SPDX-License-Identifier: Apache-2.0

package volumes

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// What Kubernetes says to provisioners from outside, and what they say to it.
const (
	annotationSelectedNode  = "volume.kubernetes.io/selected-node"
	annotationProvisioner   = "volume.kubernetes.io/storage-provisioner"
	annotationProvisionedBy = "pv.kubernetes.io/provisioned-by"
)

// step is what a volume needs next.
type step string

const (
	nothing   step = "nothing"
	refuse    step = "refuse"
	provision step = "provision"
	enlarge   step = "enlarge"
	reclaim   step = "reclaim"
)

// decide takes a volume that is not there yet, or a claim that is gone, as nil.
func decide(volume *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) step {
	switch {
	case volume == nil && wanted(claim) && refusal(claim) != "":
		return refuse
	case volume == nil && wanted(claim):
		return provision
	case volume == nil || volume.Annotations[annotationProvisionedBy] != Provisioner:
		return nothing
	case volume.Status.Phase == corev1.VolumeReleased && volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimDelete:
		return reclaim
	case claim != nil && bound(volume, claim) && small(volume, claim):
		return enlarge
	}
	return nothing
}

// wanted waits for the scheduler's choice of a node: the volume is pinned to it.
func wanted(claim *corev1.PersistentVolumeClaim) bool {
	return claim != nil && claim.DeletionTimestamp == nil && claim.Spec.VolumeName == "" && claim.Spec.StorageClassName != nil &&
		claim.Annotations[annotationProvisioner] == Provisioner && claim.Annotations[annotationSelectedNode] != ""
}

// refusal tells why no volume can be what the claim asks for, and is empty when one can.
func refusal(claim *corev1.PersistentVolumeClaim) string {
	if claim.Spec.VolumeMode != nil && *claim.Spec.VolumeMode != corev1.PersistentVolumeFilesystem {
		return "volumes of devcluster are file systems: ask for volumeMode Filesystem"
	}
	if claim.Spec.Selector != nil || claim.Spec.DataSource != nil || claim.Spec.DataSourceRef != nil {
		return "volumes of devcluster are empty and made anew: ask for one without selector and data source"
	}
	for _, mode := range claim.Spec.AccessModes {
		if mode == corev1.ReadWriteMany || mode == corev1.ReadOnlyMany {
			return "volumes of devcluster are pinned to one node: ask for ReadWriteOnce or ReadWriteOncePod"
		}
	}
	return ""
}

func bound(volume *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	return volume.Spec.ClaimRef != nil && volume.Spec.ClaimRef.UID == claim.UID && claim.Spec.VolumeName == volume.Name
}

// small is true also while only the claim does not know yet how large its volume is.
func small(volume *corev1.PersistentVolume, claim *corev1.PersistentVolumeClaim) bool {
	has, told, asked := volume.Spec.Capacity[corev1.ResourceStorage], claim.Status.Capacity[corev1.ResourceStorage], sizeOf(claim)
	return claim.Status.Phase == corev1.ClaimBound && (asked.Cmp(has) > 0 || told.Cmp(has) < 0)
}

// sizeOf is a whole number of MiB, since devices have sectors, and not less than a file system needs.
func sizeOf(claim *corev1.PersistentVolumeClaim) resource.Quantity {
	asked := claim.Spec.Resources.Requests[corev1.ResourceStorage]
	size := max((asked.Value()+mib-1)/mib*mib, smallest)
	return *resource.NewQuantity(size, resource.BinarySI)
}

// volumeName is the volume that a claim has, or will have: known before it is made, so that making it twice makes one.
func volumeName(claim *corev1.PersistentVolumeClaim) string {
	if claim.Spec.VolumeName != "" {
		return claim.Spec.VolumeName
	}
	return "pvc-" + string(claim.UID)
}

func build(name, path string, size resource.Quantity, claim *corev1.PersistentVolumeClaim,
	policy corev1.PersistentVolumeReclaimPolicy) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{
		ObjectMeta: metav1.ObjectMeta{Name: name, Annotations: map[string]string{annotationProvisionedBy: Provisioner}},
		Spec: corev1.PersistentVolumeSpec{
			Capacity:                      corev1.ResourceList{corev1.ResourceStorage: size},
			AccessModes:                   claim.Spec.AccessModes,
			PersistentVolumeReclaimPolicy: policy,
			StorageClassName:              *claim.Spec.StorageClassName,
			ClaimRef: &corev1.ObjectReference{APIVersion: "v1", Kind: "PersistentVolumeClaim",
				Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
			PersistentVolumeSource: corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: path}},
			NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
				// Nodes of devcluster have their name as the host's name.
				MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn,
					Values: []string{claim.Annotations[annotationSelectedNode]}}},
			}}}},
		},
	}
}
