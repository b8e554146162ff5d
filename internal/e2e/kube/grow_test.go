// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"path/filepath"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/unibus/unibus/internal/crdtest"
)

// TestGrowVolume: the volumes of three nodes grow while a pod writes. The StatefulSet is made anew around its pods, the nodes are rolled so that
// they store more, and nothing that was acknowledged is missing.
func TestGrowVolume(t *testing.T) {
	l := mustLab(t)
	l.step("the operator is installed", l.install)
	l.step("three nodes are ready, and a writer writes", func() {
		l.run("kubectl apply -n bus -f " + filepath.Join(crdtest.Root(), "config", "samples", "one.yaml"))
		l.awaitReady(1)
		l.enter()
		l.run("kubectl scale -n bus ubc/demo --replicas 3")
		l.awaitReady(3)
		l.awaitWrites()
	})
	var before, after appsv1.StatefulSet
	l.must(l.read(&before, "-n bus sts/demo"))
	pods := map[string]string{}
	for place := range 3 {
		pods[fmt.Sprintf("demo-%d", place)] = l.uid(fmt.Sprintf("demo-%d", place))
	}
	want := resource.MustParse("2Gi")
	l.step("storage.size: 1Gi -> 2Gi, volumes, StatefulSet and what nodes may store", func() {
		l.run(`kubectl patch -n bus ubc/demo --type merge -p '{"spec":{"storage":{"size":"2Gi"}}}'`)
		l.within("larger volumes, and pods that know", func() error {
			if err := l.read(&after, "-n bus sts/demo"); err != nil {
				return err
			}
			var claims corev1.PersistentVolumeClaimList
			if err := l.read(&claims, "-n bus pvc"); err != nil {
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
				if err := l.read(&p, "-n bus pod/"+pod); err != nil {
					return err
				}
				if string(p.UID) == uid {
					return fmt.Errorf("%s is not replaced yet", pod)
				}
			}
			return nil
		})
		l.awaitReady(3)
		l.awaitWrites()
	})
	l.expectRestarts(map[string]int32{"demo-0": 0, "demo-1": 0, "demo-2": 0, "writer": 0})
	l.step("the ledger is verified", l.verify)
}
