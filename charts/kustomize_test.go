// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"fmt"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/internal/crdtest"
)

// TestKustomize: config/default is what the chart makes with all values by default, and the namespace, which "restricted" is enforced in.
func TestKustomize(t *testing.T) {
	out, err := exec.CommandContext(t.Context(), newest(t, "components-*/kubectl"), "kustomize", filepath.Join(crdtest.Root(), "config", "default")).Output()
	must(t, err)
	text, err := helm(t, "template", "unibus-operator", chart, "--namespace", namespace)
	must(t, err)
	built, made := byName(mustDecode(t, string(out))), byName(mustDecode(t, text))
	maps.DeleteFunc(built, func(_ string, o client.Object) bool {
		ns, ok := o.(*corev1.Namespace)
		return ok && ns.Name == namespace && ns.Labels["pod-security.kubernetes.io/enforce"] == "restricted"
	})
	maps.DeleteFunc(made, func(_ string, o client.Object) bool { return o.GetAnnotations()["helm.sh/hook"] != "" })
	if diff := cmp.Diff(made, built); diff != "" {
		t.Errorf("the chart makes -, kustomize +:\n%s", diff)
	}
}

// byName returns objects by kind and name, without the labels and annotations that tell whose they are.
func byName(all []client.Object) map[string]client.Object {
	by := map[string]client.Object{}
	for _, o := range all {
		without := func(notes map[string]string, beginning ...string) map[string]string {
			maps.DeleteFunc(notes, func(key, _ string) bool {
				return slices.ContainsFunc(beginning, func(b string) bool { return strings.HasPrefix(key, b) })
			})
			if len(notes) == 0 {
				return nil
			}
			return notes
		}
		o.SetLabels(without(o.GetLabels(), "helm.sh/", "app.kubernetes.io/"))
		o.SetAnnotations(without(o.GetAnnotations(), "helm.sh/resource-policy"))
		if d, ok := o.(*appsv1.Deployment); ok {
			pod := &d.Spec.Template
			pod.Labels = without(pod.Labels, "helm.sh/", "app.kubernetes.io/managed-by", "app.kubernetes.io/version")
		}
		by[fmt.Sprintf("%T %s/%s", o, o.GetNamespace(), o.GetName())] = o
	}
	return by
}
