// SPDX-License-Identifier: Apache-2.0

package kube

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	appsv1 "k8s.io/api/apps/v1"
)

//go:embed testdata/plain.yaml
var plain string

// TestReadyInTime: from apply to Ready, all in sync, a bus of three takes at most three times what a StatefulSet of three pods with volumes and
// nothing else takes in the same minute, and a client can enter then. The medians of a few pairs are compared.
func TestReadyInTime(t *testing.T) {
	const pairs, bound = 3, 3.0
	l := mustSpace(t, "demo", "")
	var ours, plains []time.Duration
	for n := range pairs {
		l.step(fmt.Sprintf("pair %d: a StatefulSet of three", n), func() { plains = append(plains, l.plain()) })
		l.step(fmt.Sprintf("pair %d: a bus of three", n), func() {
			began := time.Now()
			l.apply(3, "")
			ours = append(ours, time.Since(began))
		})
		l.forwarded(fmt.Sprintf(`(umask 077 && kubectl get -n %s secret demo-admin -o jsonpath={.data.seed} | base64 -d > admin.nk)
			kubectl get -n %[1]s configmap demo-client-ca -o jsonpath='{.data.ca\.crt}' > ca.crt
			unibus room list --server nats://127.0.0.1:%d --api https://127.0.0.1:%d --ca ca.crt --key admin.nk`, l.Namespace, l.ports[0], l.ports[1]))
		l.step("both are removed", func() {
			for _, gone := range []string{"ubc/demo sts/plain service/plain", "pvc --all", "configmap/demo-identity secret/demo-admin"} {
				l.run("kubectl delete -n " + l.Namespace + " --timeout=4m " + gone)
			}
			l.within("no pods", func() error {
				if all := l.pods(l.Namespace); len(all) > 0 {
					return fmt.Errorf("%s is there", all[0].Name)
				}
				return nil
			})
		})
	}
	slices.Sort(ours)
	slices.Sort(plains)
	ratio := ours[pairs/2].Seconds() / plains[pairs/2].Seconds()
	l.Logf("apply to Ready: %v, a plain StatefulSet %v: %.2f times", ours, plains, ratio)
	if ratio > bound {
		t.Errorf("%.2f times what a plain StatefulSet takes, want %v at most", ratio, bound)
	}
}

// plain makes the StatefulSet, and returns how long that took until all of its pods were ready.
func (l *lab) plain() time.Duration {
	began := time.Now()
	_, err := l.shell(l.Context(), "kubectl apply -n "+l.Namespace+" -f -", strings.ReplaceAll(plain, "IMAGE", l.Images+"/membershipd:"+l.Version))
	l.must(err)
	l.within("three pods", func() error {
		var set appsv1.StatefulSet
		if err := l.read(&set, "-n "+l.Namespace+" sts/plain"); err != nil {
			return err
		}
		if set.Status.ReadyReplicas != 3 {
			return fmt.Errorf("%d are ready", set.Status.ReadyReplicas)
		}
		return nil
	})
	return time.Since(began)
}
