// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	corev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/unibus/unibus/api/v1alpha1"
)

// serviceAccount may do nothing, and no pod gets its token.
func serviceAccount(c *v1alpha1.UnibusCluster) *corev1.ServiceAccountApplyConfiguration {
	return corev1.ServiceAccount(c.ServiceAccountName(), c.Namespace).
		WithLabels(labels(c, node)).
		WithOwnerReferences(owner(c)).
		WithAutomountServiceAccountToken(false)
}
