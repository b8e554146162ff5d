// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"

	"github.com/unibus/unibus/api/v1alpha1"
)

// TestScaleFive: from one node to five and back, and turned back in the middle, nothing that was acknowledged is lost and no node is restarted.
func TestScaleFive(t *testing.T) {
	l := mustBus(t, 1)
	for _, n := range []int32{3, 5, 3, 1} {
		l.step(fmt.Sprintf("kubectl scale: %d nodes", n), func() {
			l.scale(n)
			l.arrive(n)
		})
	}
	l.step("3 are wished, and 1 again before they have joined", func() {
		l.scale(3)
		l.within("a node on its way in", func() error {
			if said := l.phases(); !strings.Contains(said, " ") {
				return fmt.Errorf("%s", said)
			}
			return nil
		})
		l.scale(1)
		l.arrive(1)
	})
	l.conclude()
}

// TestScaleStray: whoever scales the StatefulSet by hand loses nothing, whatever the number, and it is put right.
func TestScaleStray(t *testing.T) {
	l := mustBus(t, 3)
	before := l.disks()
	for _, n := range []int{5, 1, 0} {
		l.step(fmt.Sprintf("kubectl scale sts: %d, put right", n), func() {
			l.makesAnew(l.nodes(3)[min(n, 3):]...)
			l.run(fmt.Sprintf("kubectl scale -n %s sts/demo --replicas %d", l.Namespace, n))
			l.within("a StatefulSet of 3", func() error {
				var set appsv1.StatefulSet
				if err := l.read(&set, "-n "+l.Namespace+" sts/demo"); err != nil {
					return err
				}
				if *set.Spec.Replicas != 3 || set.Status.ReadyReplicas != 3 || set.Status.Replicas != 3 {
					return fmt.Errorf("%d wished, %d there, %d ready", *set.Spec.Replicas, set.Status.Replicas, set.Status.ReadyReplicas)
				}
				return nil
			})
			l.arrive(3)
		})
	}
	if diff := cmp.Diff(before, l.disks()); diff != "" {
		t.Errorf("members and disks: %s", diff)
	}
	l.conclude()
}

// TestScaleNames: clusters grow at the same time, two in one namespace, one of them with the longest name that there may be, and one of the same
// name in another namespace. None gets into the way of another.
func TestScaleNames(t *testing.T) {
	one, other := mustSpace(t, "demo", ""), mustSpace(t, "demo", "-other")
	long := mustLab(t)
	long.Namespace, long.bus, long.writer = one.Namespace, "a"+strings.Repeat("-b", (v1alpha1.MaxNameLength-2)/2)+"c", "long"
	long.operators = one.operators
	all := []*lab{one, other, long}
	one.step("three of one node, each with a writer", func() {
		for _, l := range all {
			l.apply(1, "")
			l.enter()
		}
	})
	one.step("all grow to three, and shrink to one", func() {
		for _, n := range []int32{3, 1} {
			for _, l := range all {
				l.scale(n)
			}
			for _, l := range all {
				l.awaitReady(n)
				l.awaitWrites()
			}
		}
	})
	for _, l := range all {
		l.conclude()
	}
	one.within("no pods but those", func() error {
		if here, there := one.restarts(one.Namespace), other.restarts(other.Namespace); len(here) != 4 || len(there) != 2 {
			return fmt.Errorf("%v, %v", here, there)
		}
		return nil
	})
	one.expectRestarts(map[string]int32{"demo-0": 0, "writer": 0, long.bus + "-0": 0, "long": 0})
	other.expectRestarts(map[string]int32{"demo-0": 0, "writer": 0})
}
