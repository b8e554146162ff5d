// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// TestSmallest: what streams may hold goes by the volumes that there are, whatever the spec says since.
func TestSmallest(t *testing.T) {
	of := func(size string) *corev1.PersistentVolumeClaim {
		c := new(corev1.PersistentVolumeClaim)
		c.Spec.Resources.Requests = corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
		return c
	}
	for name, c := range map[string]struct {
		set    string
		claims map[int]*corev1.PersistentVolumeClaim
		want   string
	}{
		"nothing yet":              {"", nil, "10Gi"},
		"as the spec":              {"10Gi", map[int]*corev1.PersistentVolumeClaim{0: of("10Gi")}, "10Gi"},
		"made before the spec":     {"1Gi", map[int]*corev1.PersistentVolumeClaim{0: of("1Gi")}, "1Gi"},
		"made anew around volumes": {"10Gi", map[int]*corev1.PersistentVolumeClaim{0: of("10Gi"), 2: of("1Gi")}, "1Gi"},
		"larger":                   {"10Gi", map[int]*corev1.PersistentVolumeClaim{0: of("20Gi")}, "10Gi"},
		"without a size":           {"10Gi", map[int]*corev1.PersistentVolumeClaim{0: new(corev1.PersistentVolumeClaim)}, "10Gi"},
	} {
		p := seen(1)
		p.c.Spec.Storage.Size.Quantity, p.claims = resource.MustParse("10Gi"), c.claims
		if c.set != "" {
			p.set = new(appsv1.StatefulSet)
			p.set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{*of(c.set)}
		}
		if got := p.smallest(); got.String() != c.want {
			t.Errorf("%s: %v, want %s", name, &got, c.want)
		}
	}
}
