// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"encoding/json"
	"fmt"
	"maps"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/strategicpatch"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/unibus/unibus/api/v1alpha1"
)

// patched lays spec.podTemplate over a template, as kubectl patch does. The types of the patch have no field that could weaken the
// template; what it adds gets the same security context, and the labels that select pods stay in any case.
func patched(c *v1alpha1.UnibusCluster, template *applycorev1.PodTemplateSpecApplyConfiguration) (*applycorev1.PodTemplateSpecApplyConfiguration, error) {
	patch := c.Spec.PodTemplate
	if patch == nil {
		return template, nil
	}
	original, err := json.Marshal(template)
	if err != nil {
		return nil, err
	}
	over, err := json.Marshal(patch)
	if err != nil {
		return nil, err
	}
	b, err := strategicpatch.StrategicMergePatch(original, over, corev1.PodTemplateSpec{})
	if err != nil {
		return nil, fmt.Errorf("spec.podTemplate: %w", err)
	}
	out := applycorev1.PodTemplateSpec()
	if err := json.Unmarshal(b, out); err != nil {
		return nil, fmt.Errorf("spec.podTemplate: %w", err)
	}
	maps.Copy(out.Labels, labels(c, node))
	for i := range out.Spec.Containers {
		out.Spec.Containers[i].SecurityContext = restricted()
	}
	return out, nil
}
