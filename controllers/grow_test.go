// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	storagev1 "k8s.io/api/storage/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

// larger has a pass see volumes of 1Gi where 2Gi are wished.
func larger() *pass {
	p := seen(2)
	p.memory.refused = map[string]refused{}
	p.c.UID, p.c.Spec.Storage.Size.Quantity = "u", resource.MustParse("2Gi")
	p.set, p.identity, p.seen.Size = newSet("2"), new(corev1.ConfigMap), 2
	p.set.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(p.c, v1alpha1.GroupVersion.WithKind("UnibusCluster"))}
	p.set.Spec.VolumeClaimTemplates = []corev1.PersistentVolumeClaim{*volume("1Gi", "")}
	p.claims = map[int]*corev1.PersistentVolumeClaim{0: volume("1Gi", "1Gi"), 1: volume("1Gi", "1Gi")}
	p.claims[0].UID, p.claims[1].UID = "0", "1"
	return p
}

// TestGrow: claims grow one after the other, the StatefulSet is made anew once all of them ask for the size, and only as it was written down.
func TestGrow(t *testing.T) {
	asked := func(p *pass) { p.claims[0], p.claims[1] = volume("2Gi", "1Gi"), volume("2Gi", "2Gi") }
	kept := func(p *pass) {
		asked(p)
		p.identity.Annotations = map[string]string{annotationSet: text(p.anew(p.set))}
	}
	done := scaling.Done
	for name, c := range map[string]struct {
		see  func(*pass)
		step scaling.Action
		want scaling.Action
		at   int
		kept string // the condition that tells
	}{
		"as wished": {func(p *pass) { p.c.Spec.Storage.Size.Quantity = resource.MustParse("1Gi") }, done, done, 0, "Stable"},
		"larger":    {func(*pass) {}, done, growVolume, 0, "GrowingVolumes"},
		"the next":  {func(p *pass) { p.claims[0] = volume("2Gi", "1Gi") }, done, growVolume, 1, "GrowingVolumes"},
		"when it waits": {func(*pass) {}, scaling.Wait, growVolume, 0,
			"GrowingVolumes"},
		"not in a step":       {func(*pass) {}, scaling.SendOrder, scaling.SendOrder, 0, "Repairing"},
		"not bound yet":       {func(p *pass) { p.claims[0] = volume("1Gi", "") }, done, growVolume, 1, "GrowingVolumes"},
		"about to be deleted": {func(p *pass) { p.claims[0].DeletionTimestamp = ptr.To(metav1.Now()) }, done, growVolume, 1, "GrowingVolumes"},
		"refused": {func(p *pass) {
			asked(p)
			p.claims[0] = volume("1Gi", "1Gi")
			p.refused[""] = refused{"2Gi", time.Now(), errors.New("no")}
		}, done, done, 0, "Stable"},
		"refused less": {func(p *pass) {
			p.refused["0"] = refused{"1500Mi", time.Now(), errors.New("no")}
		}, done, growVolume, 0, "GrowingVolumes"},
		"refused long ago": {func(p *pass) {
			p.refused["0"] = refused{"2Gi", time.Now().Add(-time.Hour), errors.New("no")}
		}, done, growVolume, 0, "GrowingVolumes"},
		"all asked":     {asked, done, keepSet, 0, "GrowingVolumes"},
		"not formed":    {func(p *pass) { asked(p); p.identity = nil }, done, done, 0, "GrowingVolumes"},
		"written down":  {kept, done, releasePods, 0, "GrowingVolumes"},
		"since changed": {func(p *pass) { kept(p); p.set.Annotations[annotationWish] = "1" }, done, keepSet, 0, "GrowingVolumes"},
		"made anew": {func(p *pass) {
			kept(p)
			p.set.Spec.VolumeClaimTemplates[0] = *volume("2Gi", "")
		}, done, forgetSet, 0, "GrowingVolumes"},
		"all of it": {func(p *pass) {
			p.claims[0], p.claims[1], p.set.Spec.VolumeClaimTemplates[0] = volume("2Gi", "2Gi"), volume("2Gi", "2Gi"), *volume("2Gi", "")
		}, done, done, 0, "Stable"},
	} {
		p := larger()
		c.see(p)
		p.step = p.grow(scaling.Step{Action: c.step, Reason: "it is so"})
		if p.step.Action != c.want || p.step.Place != c.at {
			t.Errorf("%s: %s at %d, want %s at %d", name, p.step.Action, p.step.Place, c.want, c.at)
		}
		if got := p.facts(nil).progressing().reason; got != c.kept {
			t.Errorf("%s: Progressing is %s, want %s", name, got, c.kept)
		}
	}
}

// TestCannotGrow: the StorageClass and the remedy are named, and all else goes on.
func TestCannotGrow(t *testing.T) {
	p := larger()
	p.claims[0].Spec.StorageClassName = ptr.To("fixed")
	p.refused["0"] = refused{"2Gi", time.Now(), errors.New("it must support resize")}
	f := p.facts(nil)
	for kind, got := range map[string]verdict{v1alpha1.ConditionReady: f.ready(&v1alpha1.UnibusClusterStatus{ReadyReplicas: 2}), v1alpha1.ConditionStalled: f.stalled()} {
		if got.ok != (kind == v1alpha1.ConditionStalled) || got.reason != v1alpha1.ReasonVolumesCannotGrow || !strings.Contains(got.message, "StorageClass fixed") ||
			!strings.Contains(got.message, "it must support resize") || !strings.Contains(got.message, "allowVolumeExpansion") {
			t.Errorf("%s: %+v", kind, got)
		}
	}
}

// TestKept: only what is this cluster's own is made anew.
func TestKept(t *testing.T) {
	p := larger()
	p.identity.Annotations = map[string]string{annotationSet: text(p.anew(p.set))}
	if set := p.kept(); set == nil || set.Annotations[annotationWish] != "2" || asks(&set.Spec.VolumeClaimTemplates[0]) != resource.MustParse("2Gi") {
		t.Errorf("kept: %+v", set)
	}
	p.identity.Annotations[annotationSet] += "}"
	if p.kept() != nil {
		t.Error("what is damaged was taken")
	}
	if p = larger(); p.kept() != nil {
		t.Error("nothing was kept")
	}
	p.identity.Annotations = map[string]string{annotationSet: text(p.anew(p.set))}
	if p.c.UID = "v"; p.kept() != nil {
		t.Error("what was a cluster's before was taken")
	}
	if p.identity = nil; p.kept() != nil {
		t.Error("nothing is there")
	}
}

// TestVolumesGrow: what a StorageClass does not allow is told. Once it does, volumes grow though operators end after everything that they write,
// and no pod is restarted for it; what nodes may store follows once the volume is that large.
func TestVolumesGrow(t *testing.T) {
	class := &storagev1.StorageClass{ObjectMeta: metav1.ObjectMeta{Name: "volumes-grow"}, Provisioner: "unibus.dev/none"}
	c := sample(t, "one")
	c.Spec.Storage.Class = ptr.To(class.Name)
	l := mustLab(t, c, withFuse, func(l *lab) { must(t, l.api.Create(t.Context(), class)) })
	l.within("a cluster of one", ready)
	said := l.mustSay(0, 0, 20)
	set := new(appsv1.StatefulSet)
	key := client.ObjectKeyFromObject(l.cluster)
	must(t, l.api.Get(t.Context(), key, set))
	made, template, wish := set.UID, set.Spec.Template.DeepCopy(), resource.MustParse("3Gi")

	l.holds.Store(true)
	l.change(func(c *v1alpha1.UnibusCluster) { c.Spec.Storage.Size.Quantity = wish })
	told := l.within("a word about the StorageClass", func(c *v1alpha1.UnibusCluster) bool {
		return reason(c, v1alpha1.ConditionStalled) == v1alpha1.ReasonVolumesCannotGrow && reason(c, v1alpha1.ConditionReady) == v1alpha1.ReasonVolumesCannotGrow
	})
	if said := message(told, v1alpha1.ConditionStalled); !strings.Contains(said, class.Name) {
		t.Errorf("it says %q", said)
	}
	l.fuse.always.Store(true)
	class.AllowVolumeExpansion = ptr.To(true)
	must(t, l.api.Update(t.Context(), class))
	l.within("volumes that are asked to grow", func(c *v1alpha1.UnibusCluster) bool {
		err := l.api.Get(t.Context(), key, set)
		return client.IgnoreNotFound(err) == nil && err == nil && set.UID != made && ready(c) &&
			strings.Contains(message(c, v1alpha1.ConditionProgressing), "data-demo-0 has 1Gi and asks for 3Gi")
	})
	if size := asks(&set.Spec.VolumeClaimTemplates[0]); size.Cmp(wish) != 0 || l.pods() != 1 || digest(set.Spec.Template) != digest(template) {
		t.Errorf("the StatefulSet makes volumes of %v, %d pods were made; want %v, 1", &size, l.pods(), &wish)
	}
	l.holds.Store(false)
	grown := l.within("a node that may store more", func(c *v1alpha1.UnibusCluster) bool {
		must(t, l.api.Get(t.Context(), key, set))
		return ready(c) && l.pods() == 2 && digest(set.Spec.Template) != digest(template) && reason(c, v1alpha1.ConditionUpgrading) == v1alpha1.ReasonUpToDate &&
			reason(c, v1alpha1.ConditionProgressing) == v1alpha1.ReasonStable
	})
	if want := "demo-0-0=member"; names(grown) != want {
		t.Errorf("members: %s, want %s", names(grown), want)
	}
	l.fuse.always.Store(false)
	l.expectHeard(0, said)
	l.expectRest()
}
