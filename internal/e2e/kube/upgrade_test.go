// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/unibus/unibus/api/v1alpha1"
)

// TestUpgradeOperator: an operator of an earlier commit is upgraded, which restarts nothing; a pod that is deleted comes back as it was; and by
// consent the nodes become what the new operator has.
func TestUpgradeOperator(t *testing.T) {
	l := mustLab(t)
	earlier := filepath.Join(l.Root, "bin", "earlier")
	if _, err := os.Stat(earlier); err != nil {
		t.Fatalf("%v: make e2e SUITE=upgrade makes it", err)
	}
	if _, err := l.shell(l.Context(), "helm status -n "+l.Operators+" "+release, ""); err == nil {
		t.Fatal("an operator is there; this test installs its own")
	}
	const was = "unibus/membershipd:old"
	is := "unibus/membershipd:" + l.Version
	l.step("an operator of an earlier commit", func() {
		l.run(fmt.Sprintf("for name in membershipd unibus-operator; do devcluster load %s/bin/images/$name.tar; done", earlier))
		l.space(l.Operators)
		l.operate("install", earlier, "old")
	})
	l = mustBus(t, 3)
	l.step("helm upgrade: consent is asked for", func() {
		l.operate("upgrade", l.Root, l.Version)
		l.within("a word about it", func() error {
			c, err := l.status()
			if err != nil {
				return err
			}
			if u := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionUpgrading); u == nil || u.Reason != v1alpha1.ReasonConsentNeeded {
				return fmt.Errorf("%+v", u)
			}
			return nil
		})
		l.arrive(3)
	})
	l.step("kubectl delete pod: it comes back as it was", func() {
		l.makesAnew("demo-1")
		l.run("kubectl delete -n " + l.Namespace + " pod/demo-1")
		l.arrive(3)
		l.must(l.images(3, was))
	})
	l.step("operatorChanges: Roll, the nodes are the new operator's", func() {
		l.makesAnew(l.nodes(3)...)
		l.run("kubectl patch -n " + l.Namespace + ` ubc/demo --type merge -p '{"spec":{"updateStrategy":{"operatorChanges":"Roll"}}}'`)
		l.within("pods of it", func() error { return l.images(3, is) })
		l.arrive(3)
	})
	l.conclude()
}
