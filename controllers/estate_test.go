// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
	"github.com/unibus/unibus/internal/natstest"
)

// TestDeletes: volumes are deleted where it is wished and nowhere else, and only those that were made for the cluster.
func TestDeletes(t *testing.T) {
	for name, c := range map[string]struct {
		policy v1alpha1.VolumePolicy
		place  int
		labels bool
		want   bool
	}{
		"kept": {v1alpha1.VolumeRetain, 1, true, false}, "deleted": {v1alpha1.VolumeDelete, 1, true, true},
		"somebody else's": {v1alpha1.VolumeDelete, 1, false, false}, "restored, in use": {v1alpha1.VolumeDelete, 0, false, true},
	} {
		p := seen(1)
		p.c.Spec.Storage.WhenScaled = c.policy
		p.claims = map[int]*corev1.PersistentVolumeClaim{c.place: volume("1Gi", "1Gi")}
		if c.labels {
			p.claims[c.place].Labels = manifests.Selector(p.c)
		}
		if got := p.deletes(); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}

// TestGoes: a doomed volume that is deleted, and that no pod mounts, holds nothing up.
func TestGoes(t *testing.T) {
	for name, change := range map[string]func(*pass){
		"gone":       func(*pass) {},
		"there":      func(p *pass) { p.claims[1].DeletionTimestamp = nil },
		"mounted":    func(p *pass) { p.pods[1] = pod(corev1.PodStatus{}) },
		"not doomed": func(p *pass) { p.record.Doomed = nil },
		"no record":  func(p *pass) { p.record = nil },
	} {
		p := seen(1)
		p.claims = map[int]*corev1.PersistentVolumeClaim{1: volume("1Gi", "1Gi")}
		p.claims[1].UID, p.claims[1].DeletionTimestamp, p.record.Doomed = "v", ptr.To(metav1.Now()), []string{"v"}
		change(p)
		p.place()
		if got := p.seen.Places[1].Volume == ""; got != (name == "gone") {
			t.Errorf("%s: gone is %v", name, got)
		}
	}
}

// TestDelete: what is kept is taken up again by a cluster of the same name; what is to be deleted is gone, with the node that left as with the
// cluster, and one of the same name that comes at once builds on none of it.
func TestDelete(t *testing.T) {
	c := sample(t, "one")
	c.Spec.Replicas, c.Spec.Storage.WhenScaled = 3, v1alpha1.VolumeDelete
	l := mustLab(t, c, withFuse)
	first := l.within("three members", ready)
	said := l.mustSay(0, 0, 20)
	l.scale(1)
	l.within("one member, and one volume", func(c *v1alpha1.UnibusCluster) bool {
		return ready(c) && c.Status.Replicas == 1 && slices.Equal(l.volumes(), []string{"data-demo-0"})
	})
	l.expectHeard(0, said)
	l.expectRest()

	must(t, l.api.Delete(t.Context(), l.now()))
	natstest.Within(t, limit, "pods that are gone", func() bool { return len(l.uids(func(corev1.Pod) bool { return true })) == 0 })
	l.again(v1alpha1.VolumeDelete)
	second := l.within("the same cluster", ready)
	if second.Status.ClusterID != first.Status.ClusterID {
		t.Errorf("cluster id %s, want %s", second.Status.ClusterID, first.Status.ClusterID)
	}
	l.expectHeard(0, said)
	l.expectRest()

	must(t, l.api.Delete(t.Context(), l.now()))
	l.again(v1alpha1.VolumeRetain)
	third := l.within("another cluster", ready)
	if third.Status.ClusterID == first.Status.ClusterID || names(third) != "demo-0-0=member" {
		t.Errorf("it is %s of %s, and was %s", names(third), third.Status.ClusterID, first.Status.ClusterID)
	}
	must(t, l.api.Delete(t.Context(), l.now()))
	natstest.Within(t, limit, "pods that are gone", func() bool { return len(l.uids(func(corev1.Pod) bool { return true })) == 0 })
	if got := l.volumes(); !slices.Equal(got, []string{"data-demo-0"}) {
		t.Errorf("volumes %v", got)
	}
	must(t, l.api.Get(t.Context(), client.ObjectKey{Namespace: l.cluster.Namespace, Name: l.cluster.IdentityName()}, new(corev1.ConfigMap)))
}

// again makes the cluster anew once it is gone.
func (l *lab) again(whenDeleted v1alpha1.VolumePolicy) {
	l.t.Helper()
	key := client.ObjectKeyFromObject(l.cluster)
	natstest.Within(l.t, limit, "the cluster that is gone", func() bool {
		return apierrors.IsNotFound(l.api.Get(l.t.Context(), key, new(v1alpha1.UnibusCluster)))
	})
	c := sample(l.t, "one")
	c.Namespace, c.Spec.Storage.WhenDeleted = key.Namespace, whenDeleted
	must(l.t, l.api.Create(l.t.Context(), c))
}

// volumes are the names of the claims that there are.
func (l *lab) volumes() (names []string) {
	l.t.Helper()
	var claims corev1.PersistentVolumeClaimList
	must(l.t, l.api.List(l.t.Context(), &claims, client.InNamespace(l.cluster.Namespace)))
	for _, c := range claims.Items {
		names = append(names, c.Name)
	}
	return names
}
