// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	applyappsv1 "k8s.io/client-go/applyconfigurations/apps/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	metav1 "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/unibus/unibus/api/v1alpha1"
)

// statefulSet starts pods and keeps their volumes, and decides nothing: pods are started side by side, since a node without a leader may
// need another one's disk; they are replaced when somebody deletes them; and no volume is ever deleted by it.
func statefulSet(c *v1alpha1.UnibusCluster, in Inputs, template *applycorev1.PodTemplateSpecApplyConfiguration) *applyappsv1.StatefulSetApplyConfiguration {
	return applyappsv1.StatefulSet(c.StatefulSetName(), c.Namespace).
		WithLabels(labels(c, node)).
		WithOwnerReferences(owner(c)).
		WithSpec(applyappsv1.StatefulSetSpec().
			WithReplicas(in.Size).
			WithServiceName(c.NodesServiceName()).
			WithPodManagementPolicy(appsv1.ParallelPodManagement).
			WithUpdateStrategy(applyappsv1.StatefulSetUpdateStrategy().WithType(appsv1.OnDeleteStatefulSetStrategyType)).
			WithPersistentVolumeClaimRetentionPolicy(applyappsv1.StatefulSetPersistentVolumeClaimRetentionPolicy().
				WithWhenScaled(appsv1.RetainPersistentVolumeClaimRetentionPolicyType).
				WithWhenDeleted(appsv1.RetainPersistentVolumeClaimRetentionPolicyType)).
			WithSelector(metav1.LabelSelector().WithMatchLabels(Selector(c))).
			WithTemplate(template).
			WithVolumeClaimTemplates(claim(c)))
}

// claim is the volume of each pod. A StatefulSet can't change it: what grows is the claims themselves.
func claim(c *v1alpha1.UnibusCluster) *applycorev1.PersistentVolumeClaimApplyConfiguration {
	spec := applycorev1.PersistentVolumeClaimSpec().
		WithAccessModes(corev1.ReadWriteOnce).
		WithVolumeMode(corev1.PersistentVolumeFilesystem).
		WithResources(applycorev1.VolumeResourceRequirements().
			WithRequests(corev1.ResourceList{corev1.ResourceStorage: c.Spec.Storage.Size.Quantity}))
	spec.StorageClassName = c.Spec.Storage.Class
	out := &applycorev1.PersistentVolumeClaimApplyConfiguration{}
	return out.WithName(v1alpha1.DataVolume).WithLabels(Selector(c)).WithSpec(spec)
}
