// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/types"

	"github.com/unibus/unibus/api/v1alpha1"
)

// TestStorageGrow: the volumes of three nodes grow while a pod writes. The StatefulSet is made anew around its pods, the nodes are rolled so that
// they store more, and nothing that was acknowledged is missing.
func TestStorageGrow(t *testing.T) {
	l := mustBus(t, 3)
	var before, after appsv1.StatefulSet
	l.must(l.read(&before, "-n "+l.Namespace+" sts/demo"))
	pods := map[string]types.UID{}
	for _, pod := range l.nodes(3) {
		pods[pod] = l.uid(pod)
	}
	l.makesAnew(l.nodes(3)...)
	want := resource.MustParse("2Gi")
	l.step("storage.size: 1Gi -> 2Gi, volumes, StatefulSet and what nodes may store", func() {
		l.run("kubectl patch -n " + l.Namespace + ` ubc/demo --type merge -p '{"spec":{"storage":{"size":"2Gi"}}}'`)
		l.within("larger volumes, and pods that know", func() error {
			if err := l.read(&after, "-n "+l.Namespace+" sts/demo"); err != nil {
				return err
			}
			var claims corev1.PersistentVolumeClaimList
			if err := l.read(&claims, "-n "+l.Namespace+" pvc"); err != nil {
				return err
			}
			for _, c := range claims.Items {
				if has := c.Status.Capacity[corev1.ResourceStorage]; has.Cmp(want) < 0 {
					return fmt.Errorf("%s has %v", c.Name, &has)
				}
			}
			if size := after.Spec.VolumeClaimTemplates[0].Spec.Resources.Requests[corev1.ResourceStorage]; after.UID == before.UID || size.Cmp(want) < 0 {
				return fmt.Errorf("the StatefulSet makes volumes of %v", &size)
			}
			for pod, uid := range pods {
				var p corev1.Pod
				if err := l.read(&p, "-n "+l.Namespace+" pod/"+pod); err != nil {
					return err
				}
				if p.UID == uid {
					return fmt.Errorf("%s is not replaced yet", pod)
				}
			}
			return nil
		})
		l.arrive(3)
	})
	l.conclude()
}

// TestStorageLost: a volume whose claim is deleted is replaced by an empty one. When all are lost a person is told, and nothing is founded in
// their place.
func TestStorageLost(t *testing.T) {
	l := mustBus(t, 3)
	before := l.disks()
	l.step("the claim of demo-2 is deleted, and its pod", func() {
		l.makesAnew("demo-2")
		l.run("kubectl delete -n " + l.Namespace + " pvc/data-demo-2 --wait=false; kubectl delete -n " + l.Namespace + " pod/demo-2")
		l.within("another member in its place", func() error {
			if said := l.phases(); said != "demo-0-0=member demo-1-0=member demo-2-1=member" {
				return fmt.Errorf("%s", said)
			}
			return nil
		})
		l.arrive(3)
	})
	after := l.disks()
	if after["demo-0-0"] != before["demo-0-0"] || after["demo-1-0"] != before["demo-1-0"] || after["demo-2-1"] == before["demo-2-0"] {
		t.Errorf("disks were %v, are %v", before, after)
	}
	l.conclude()
	cluster, err := l.status()
	l.must(err)
	record := l.run("kubectl get -n " + l.Namespace + " configmap/demo-identity -o jsonpath={.data}")
	l.step("all claims are deleted, and all pods", func() {
		l.run("kubectl delete -n " + l.Namespace + " pvc --all --wait=false; kubectl delete -n " + l.Namespace + " pods --all")
		l.within("a person is told", func() error {
			now, err := l.status()
			if err != nil {
				return err
			}
			stalled := meta.FindStatusCondition(now.Status.Conditions, v1alpha1.ConditionStalled)
			if stalled == nil || stalled.Status != "True" || stalled.Reason != v1alpha1.ReasonAllDisksLost {
				return fmt.Errorf("%+v", stalled)
			}
			if now.Status.ClusterID != cluster.Status.ClusterID || now.Status.ReadyReplicas != 0 {
				t.Errorf("cluster id %s, was %s, %d ready", now.Status.ClusterID, cluster.Status.ClusterID, now.Status.ReadyReplicas)
			}
			return nil
		})
	})
	if now := l.run("kubectl get -n " + l.Namespace + " configmap/demo-identity -o jsonpath={.data}"); now != record {
		t.Errorf("the record was %s, is %s", record, now)
	}
}

// TestStorageAgain: a cluster that is deleted and made again under its name takes up its volumes: it is the same one, for its writer too.
func TestStorageAgain(t *testing.T) {
	l := mustBus(t, 3)
	before, disks := l.run("kubectl get -n "+l.Namespace+" ubc/demo -o jsonpath={.status.clusterID}"), l.disks()
	l.step("kubectl delete ubc, its pods go", func() {
		l.makesAnew(l.nodes(3)...)
		l.run("kubectl delete -n " + l.Namespace + " ubc/demo")
		l.within("no pods", func() error {
			if all := l.restarts(l.Namespace); len(all) != 1 {
				return fmt.Errorf("%v", all)
			}
			return nil
		})
	})
	l.step("kubectl apply, the same name", func() {
		l.apply(3, "")
		l.arrive(3)
	})
	after := l.run("kubectl get -n " + l.Namespace + " ubc/demo -o jsonpath={.status.clusterID}")
	if diff := cmp.Diff(disks, l.disks()); diff != "" || after != before || before == "" {
		t.Errorf("cluster %q, was %q; disks: %s", after, before, diff)
	}
	l.conclude()
}
