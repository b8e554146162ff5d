// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/scaling"
)

// TestDeletedClaim: a disk is kept as soon as its claim is deleted, with no pass that comes by itself, and outlives the pod that held the claim.
func TestDeletedClaim(t *testing.T) {
	l := mustLab(t, sample(t, "one"), withMachines, func(l *lab) { l.rest = time.Hour })
	l.within("a cluster of one", ready)
	l.awaitSilence()
	old, claim, ran := l.volume(0), l.claim(0), l.pods()
	must(t, l.api.Delete(t.Context(), claim))
	l.awaitKept(0)
	if l.pods() != ran {
		t.Error("the pod was replaced")
	}
	l.evict(0)
	natstest.Within(t, limit, "the end of the claim", func() bool {
		now := new(corev1.PersistentVolumeClaim)
		err := l.api.Get(t.Context(), client.ObjectKeyFromObject(claim), now)
		return apierrors.IsNotFound(err) || err == nil && now.UID != claim.UID
	})
	l.expectKept(old)
}

// awaitSilence waits until nothing calls for a pass any more, so that one which comes then has a reason.
func (l *lab) awaitSilence() {
	l.t.Helper()
	passes, since := l.passes.Load(), time.Now()
	natstest.Within(l.t, limit, "no pass for a while", func() bool {
		if now := l.passes.Load(); now != passes {
			passes, since = now, time.Now()
		}
		return time.Since(since) > latest/3
	})
}

// TestDeletedNamespace: volumes that are to go with their cluster go with its namespace, too.
func TestDeletedNamespace(t *testing.T) {
	c := sample(t, "one")
	c.Spec.Storage.WhenDeleted = v1alpha1.VolumeDelete
	l := mustLab(t, c, withMachines)
	l.within("a cluster of one", ready)
	must(t, l.api.Delete(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: l.cluster.Namespace}})) // here nobody deletes what is in it
	must(t, l.api.Delete(t.Context(), l.claim(0)))
	passes := l.passes.Load()
	natstest.Within(t, limit, "passes that have seen it", func() bool { return l.passes.Load() >= passes+10 })
	if policy := l.volume(0).Spec.PersistentVolumeReclaimPolicy; policy != corev1.PersistentVolumeReclaimDelete {
		t.Errorf("the volume has %s", policy)
	}
}

// TestKeepDisks: of the claims that were deleted, those of members have their disks kept.
func TestKeepDisks(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "persistentvolumes"}, "v", nil)
	for name, c := range map[string]struct {
		see  func(*pass)
		asks bool
	}{
		"a member's":         {func(*pass) {}, true},
		"not deleted":        {func(p *pass) { p.claims[2].DeletionTimestamp = nil }, false},
		"not bound":          {func(p *pass) { p.claims[2].Spec.VolumeName = "" }, false},
		"it leaves":          {func(p *pass) { p.record.Names["demo-2-0"] = scaling.Name{Phase: scaling.Leaving, Place: 2} }, true},
		"it left":            {func(p *pass) { p.record.Names["demo-2-0"] = scaling.Name{Phase: scaling.Removed, Place: 2} }, false},
		"it never came":      {func(p *pass) { p.record.Names["demo-2-0"] = scaling.Name{Phase: scaling.Void, Place: 2} }, false},
		"no record":          {func(p *pass) { p.record = nil }, true},
		"nothing was stored": {func(p *pass) { p.record, p.c.Status.ClusterID = nil, "" }, false},
		"a cluster's that was before": {func(p *pass) {
			p.claims[2].OwnerReferences = []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "UnibusCluster", Name: "demo", UID: "former"}}
		}, false},
		"its own": {func(p *pass) {
			p.claims[2].OwnerReferences = []metav1.OwnerReference{{APIVersion: v1alpha1.GroupVersion.String(), Kind: "UnibusCluster", Name: "demo", UID: p.c.UID}}
		}, true},
		"the cluster is gone, with its volumes": {func(p *pass) { p.c.Spec.Storage.WhenDeleted = v1alpha1.VolumeDelete }, false},
	} {
		p := lacking()
		p.Live, p.claims[2].DeletionTimestamp = cluster{volume: local(), err: forbidden}, ptr.To(metav1.Now())
		c.see(p)
		must(t, p.keepDisks(t.Context()))
		if asked := strings.Contains(p.unkept, "PersistentVolume v has Retain"); asked != c.asks {
			t.Errorf("%s: %q", name, p.unkept)
		}
	}
	p := lacking()
	p.claims[2].DeletionTimestamp = ptr.To(metav1.Now())
	if must(t, p.keepDisks(t.Context())); p.unkept != "" {
		t.Errorf("the volume is of another claim: %q", p.unkept)
	}
	p.Live = cluster{volume: local(), err: apierrors.NewInternalError(forbidden)}
	if p.keepDisks(t.Context()) == nil {
		t.Error("what can't be read is taken for kept")
	}
}
