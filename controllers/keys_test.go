// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/unibus/unibus/internal/manifests"
)

// TestOwns: a Secret is the cluster's if it controls it, or if nobody does and the labels say so.
func TestOwns(t *testing.T) {
	p := seen(1)
	p.c.UID = "u"
	before := []metav1.OwnerReference{{Kind: "UnibusCluster", Name: "demo", UID: "x", Controller: ptr.To(true)}}
	for name, c := range map[string]struct {
		meta metav1.ObjectMeta
		want bool
	}{
		"made":                  {p.meta("demo-keys"), true},
		"the first admin's":     {p.meta(p.c.AdminSecretName()), true},
		"of a cluster before":   {metav1.ObjectMeta{Labels: manifests.Labels(p.c), OwnerReferences: before}, false},
		"restored":              {metav1.ObjectMeta{Labels: manifests.Labels(p.c)}, true},
		"of somebody else":      {metav1.ObjectMeta{Labels: map[string]string{"app": "x"}}, false},
		"of somebody, unmarked": {metav1.ObjectMeta{}, false},
	} {
		if got := p.owns(&corev1.Secret{ObjectMeta: c.meta}); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if left := p.meta(p.c.AdminSecretName()).OwnerReferences; left != nil {
		t.Errorf("the first admin's key ends with the cluster: %v", left)
	}
	if len(p.meta("demo-keys").OwnerReferences) != 1 {
		t.Error("the keys outlive the cluster")
	}
}
