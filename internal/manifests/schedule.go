// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	metav1 "k8s.io/client-go/applyconfigurations/meta/v1"

	"github.com/unibus/unibus/api/v1alpha1"
)

// schedule says where pods may be placed.
func schedule(c *v1alpha1.UnibusCluster, spec *applycorev1.PodSpecApplyConfiguration) error {
	s := c.Spec.Scheduling
	own := metav1.LabelSelector().WithMatchLabels(Selector(c))
	apart := applycorev1.PodAffinityTerm().WithTopologyKey(corev1.LabelHostname).WithLabelSelector(own)
	switch s.AntiAffinity {
	case v1alpha1.PreferenceRequired:
		spec.WithAffinity(applycorev1.Affinity().WithPodAntiAffinity(applycorev1.PodAntiAffinity().
			WithRequiredDuringSchedulingIgnoredDuringExecution(apart)))
	case v1alpha1.PreferencePreferred:
		spec.WithAffinity(applycorev1.Affinity().WithPodAntiAffinity(applycorev1.PodAntiAffinity().
			WithPreferredDuringSchedulingIgnoredDuringExecution(applycorev1.WeightedPodAffinityTerm().WithWeight(100).WithPodAffinityTerm(apart))))
	}
	if s.ZoneSpread != v1alpha1.PreferenceNone {
		unsatisfiable := corev1.ScheduleAnyway
		if s.ZoneSpread == v1alpha1.PreferenceRequired {
			unsatisfiable = corev1.DoNotSchedule
		}
		spec.WithTopologySpreadConstraints(applycorev1.TopologySpreadConstraint().
			WithTopologyKey(corev1.LabelTopologyZone).WithMaxSkew(1).WithWhenUnsatisfiable(unsatisfiable).WithLabelSelector(own))
	}
	spec.WithNodeSelector(s.NodeSelector)
	if s.PriorityClassName != "" {
		spec.WithPriorityClassName(s.PriorityClassName)
	}
	for i := range s.Tolerations {
		t, err := as[applycorev1.TolerationApplyConfiguration](s.Tolerations[i])
		if err != nil {
			return fmt.Errorf("spec.scheduling.tolerations[%d]: %w", i, err)
		}
		spec.WithTolerations(t)
	}
	return nil
}
