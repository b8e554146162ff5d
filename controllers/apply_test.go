// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime/schema"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
)

func storage(size string) corev1.ResourceList {
	return corev1.ResourceList{corev1.ResourceStorage: resource.MustParse(size)}
}

// volume is a claim that asks for a size, and has one if it is bound.
func volume(asks, has string) *corev1.PersistentVolumeClaim {
	c := new(corev1.PersistentVolumeClaim)
	c.Name, c.Spec.Resources.Requests = "data-demo-0", storage(asks)
	if has != "" {
		c.Status.Phase, c.Status.Capacity = corev1.ClaimBound, storage(has)
	}
	return c
}

// TestSmallest: what streams may hold goes by the volumes that there are, whatever the spec says since.
func TestSmallest(t *testing.T) {
	type claims = map[int]*corev1.PersistentVolumeClaim
	for name, c := range map[string]struct {
		set    string
		claims claims
		note   string
		want   string
	}{
		"nothing yet":              {"", nil, "", "10Gi"},
		"as the spec":              {"10Gi", claims{0: volume("10Gi", "")}, "", "10Gi"},
		"made before the spec":     {"1Gi", claims{0: volume("1Gi", "1Gi")}, "", "1Gi"},
		"made anew around volumes": {"10Gi", claims{0: volume("10Gi", ""), 2: volume("1Gi", "1Gi")}, "", "1Gi"},
		"larger":                   {"10Gi", claims{0: volume("20Gi", "20Gi")}, "", "10Gi"},
		"without a size":           {"10Gi", claims{0: new(corev1.PersistentVolumeClaim)}, "", "10Gi"},
		"one grows":                {"10Gi", claims{0: volume("10Gi", "10Gi"), 1: volume("10Gi", "2Gi")}, "1/a/b/1Gi", "2Gi"},
		"one was kept":             {"10Gi", claims{0: volume("10Gi", "10Gi"), 2: volume("10Gi", "1Gi")}, "1/a/b/1Gi", "10Gi"},
		"the set is not made anew": {"1Gi", claims{0: volume("10Gi", "10Gi")}, "1/a/b/1Gi", "1Gi"},
		"once grown":               {"10Gi", claims{0: volume("10Gi", "10Gi"), 1: volume("10Gi", "2Gi")}, "1/a/b/10Gi", "10Gi"},
		"by an older operator":     {"10Gi", claims{0: volume("10Gi", "10Gi"), 1: volume("10Gi", "2Gi")}, "1/a/b", "2Gi"},
	} {
		p := seen(2)
		p.c.Spec.Storage.Size.Quantity, p.claims, p.seen.Size = resource.MustParse("10Gi"), c.claims, 2
		if c.set != "" {
			p.set = new(appsv1.StatefulSet)
			p.set.Annotations = map[string]string{annotationNote: c.note}
			p.set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{*volume(c.set, "")}
		}
		if got := p.smallest(); got.String() != c.want {
			t.Errorf("%s: %v, want %s", name, &got, c.want)
		}
	}
}

// unfilled is a client whose cache is never filled.
type unfilled struct{ client.Client }

func (unfilled) Get(ctx context.Context, _ client.ObjectKey, _ client.Object, _ ...client.GetOption) error {
	<-ctx.Done()
	return apierrors.NewTimeoutError("failed waiting for Informer to sync", 0)
}

// TestUnfilledCache: a pass that waits for what never comes would keep a worker from all other clusters.
func TestUnfilledCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := seen(1)
		p.Reconciler = &Reconciler{Client: unfilled{}}
		if _, err := p.metadata(t.Context(), applycorev1.Service("demo", "bus")); !apierrors.IsTimeout(err) {
			t.Errorf("%v, want a timeout", err)
		}
	})
}

// TestWithoutAPI: an API that was uninstalled is told as one that was never there.
func TestWithoutAPI(t *testing.T) {
	gone := apierrors.NewGenericServerResponse(404, "patch", schema.GroupResource{}, "demo", "404 page not found", 0, true)
	other := apierrors.NewNotFound(schema.GroupResource{Resource: "namespaces"}, "bus")
	for version, want := range map[string]string{"monitoring.coreos.com/v1": "", "cert-manager.io/v1": v1alpha1.ReasonCertManagerMissing, "apps/v1": "?", "v1": "?"} {
		got, known := "", new(obstacle)
		switch err := withoutAPI(version, gone); {
		case errors.As(err, &known):
			got = known.reason
		case err != nil:
			got = "?"
		}
		if got != want {
			t.Errorf("%s: %q, want %q", version, got, want)
		}
		if err := withoutAPI(version, other); !errors.Is(err, other) {
			t.Errorf("%s: another error is told as %v", version, err)
		}
		if err := withoutAPI(version, nil); err != nil {
			t.Errorf("%s: without an error %v", version, err)
		}
	}
}
