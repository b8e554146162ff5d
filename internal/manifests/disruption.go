// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"k8s.io/apimachinery/pkg/util/intstr"
	metav1 "k8s.io/client-go/applyconfigurations/meta/v1"
	policyv1 "k8s.io/client-go/applyconfigurations/policy/v1"

	"github.com/unibus/unibus/api/v1alpha1"
)

// disruptionBudget lets one pod at a time be evicted, and none during a step of a change. A pod is ready only once it is in sync, so that
// the next one waits for that.
func disruptionBudget(c *v1alpha1.UnibusCluster, in Inputs) *policyv1.PodDisruptionBudgetApplyConfiguration {
	return policyv1.PodDisruptionBudget(c.DisruptionBudgetName(), c.Namespace).
		WithLabels(labels(c, node)).
		WithOwnerReferences(owner(c)).
		WithSpec(policyv1.PodDisruptionBudgetSpec().
			WithMaxUnavailable(intstr.FromInt32(in.MaxUnavailable)).
			WithSelector(metav1.LabelSelector().WithMatchLabels(Selector(c))))
}
