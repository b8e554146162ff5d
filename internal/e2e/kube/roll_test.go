// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"
)

// mostGap is the longest time that a planned change of one node after the other may leave a writer without an acknowledgement.
const mostGap = time.Second

// TestRollImage: the nodes get another image, one after the other, while a pod writes.
func TestRollImage(t *testing.T) {
	l := mustBus(t, 3)
	const next = "unibus/membershipd:next"
	l.run(fmt.Sprintf("devcluster image %s/bin/images/%s/membershipd --tag %s -o next.tar && devcluster load next.tar", l.Root, architecture, next))
	before := l.disks()
	l.step("spec.image: all nodes have it", func() {
		l.makesAnew(l.nodes(3)...)
		l.run(fmt.Sprintf(`kubectl patch -n %s ubc/demo --type merge -p '{"spec":{"image":"%s"}}'`, l.Namespace, next))
		l.within("pods of it", func() error { return l.images(3, next) })
		l.arrive(3)
	})
	if now := l.disks(); fmt.Sprint(now) != fmt.Sprint(before) {
		t.Errorf("members and disks were %v, are %v", before, now)
	}
	l.conclude()
	switch load, err := os.ReadFile("/proc/loadavg"); {
	case err != nil:
		t.Error(err)
	case l.sum.Gap <= mostGap:
	case busy(string(load)):
		t.Logf("the gap is not judged, the machine has too much to do: %s", load)
	default:
		t.Errorf("the longest gap is %v, want %v at most", l.sum.Gap, mostGap)
	}
}

// busy says whether more waits for the machine in the last five minutes than such a cluster alone makes.
func busy(loadavg string) bool {
	var one, five float64
	_, err := fmt.Sscan(loadavg, &one, &five)
	return err == nil && five > 4*float64(runtime.NumCPU())
}

// images says which image pods have, unless so many have that one.
func (l *lab) images(nodes int, want string) error {
	has := 0
	said := ""
	for _, p := range l.pods(l.Namespace) {
		image := p.Spec.Containers[0].Image
		if image == want {
			has++
		}
		said += " " + p.Name + "=" + image
	}
	if has != nodes {
		return fmt.Errorf("%d of %s:%s", has, want, said)
	}
	return nil
}

// TestRollDrain: two machines are drained, one right after the other, while a pod writes on the third. The second one is let
// go when all are in sync again.
func TestRollDrain(t *testing.T) {
	l := mustBus(t, 3)
	machines := []string{l.machineOf("demo-1"), l.machineOf("demo-2")}
	for i, m := range machines {
		if m == l.machine || i > 0 && m == machines[0] {
			t.Fatalf("the nodes share machines: %s and %v", l.machine, machines)
		}
	}
	t.Cleanup(func() {
		if _, err := l.shell(context.WithoutCancel(t.Context()), "kubectl uncordon "+strings.Join(machines, " "), ""); err != nil {
			t.Error(err)
		}
	})
	l.step("kubectl drain: two machines", func() {
		l.makesAnew("demo-1", "demo-2")
		for _, m := range machines {
			// Their volumes stay where they are, so that pods wait for their machines.
			l.run(fmt.Sprintf("kubectl drain %s --ignore-daemonsets --delete-emptydir-data --timeout=4m && kubectl uncordon %[1]s", m))
		}
		l.awaitReady(3)
		l.awaitWrites()
	})
	l.operators = l.restarts(l.Operators) // it may have been there
	l.arrive(3)
	l.conclude()
}
