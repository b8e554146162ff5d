// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"math"
	"strings"
	"syscall"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// TestFaultNode: while a bus grows and shrinks, at every step another of its nodes is killed or its pod deleted without a word.
func TestFaultNode(t *testing.T) {
	l := mustBus(t, 1)
	hits := 0
	for _, n := range []int32{3, 1, 3} {
		l.step(fmt.Sprintf("kubectl scale: %d nodes, one hit at every step", n), func() {
			l.scale(n)
			seen := ""
			l.within("of "+fmt.Sprint(n), func() error {
				now := l.phases()
				if now == seen {
					return l.is(n)
				}
				seen = now
				place := hits % (strings.Count(now, " ") + 1)
				if l.hit(fmt.Sprintf("demo-%d", place), hits%3 == 2) {
					hits++
					l.Logf("         hit demo-%d: %s", place, now)
				}
				return fmt.Errorf("%s", now)
			})
			l.awaitReady(n)
			l.awaitWrites()
		})
	}
	restarts := int32(0)
	for pod, n := range l.restarts(l.Namespace) {
		restarts += n
		if pod == l.writer && n > 0 {
			t.Errorf("the writer was restarted %d times", n)
		}
	}
	if restarts > int32(hits) || hits < 6 {
		t.Errorf("%d restarts by %d hits", restarts, hits)
	}
	l.conclude()
}

// hit kills the node in a pod, or has the pod deleted without a word, and says whether there was one.
func (l *lab) hit(pod string, deleted bool) bool {
	if deleted {
		l.makesAnew(pod)
		_, err := l.shell(l.Context(), "kubectl delete -n "+l.Namespace+" pod/"+pod+" --grace-period=0 --force", "")
		return err == nil
	}
	found := l.processes(pod)
	return len(found) == 1 && syscall.Kill(found[0], syscall.SIGKILL) == nil
}

// TestFaultMachine: a machine loses its power while a bus grows, and another one is cut off while it shrinks. What was on it is waited for.
func TestFaultMachine(t *testing.T) {
	l := mustBus(t, 1)
	victim := l.victim()
	number := strings.TrimPrefix(victim, "node")
	t.Cleanup(func() {
		_, err := l.shell(context.WithoutCancel(t.Context()), fmt.Sprintf("devcluster node heal %s && devcluster node start %[1]s", number), "")
		if err != nil {
			t.Error(err)
		}
	})
	l.step("kubectl scale: 3 nodes, and "+victim+" loses its power", func() {
		l.scale(3)
		l.within("a node on "+victim, func() error {
			for _, p := range l.pods(l.Namespace) {
				if p.Spec.NodeName == victim && p.Status.Phase == corev1.PodRunning {
					return nil
				}
			}
			return fmt.Errorf("none")
		})
		l.run("devcluster node kill9 " + number)
		l.silent(victim)
	})
	l.step(victim+" has power again", func() {
		l.run("devcluster node start " + number)
		l.awaitReady(3)
		l.awaitWrites()
	})
	l.step("kubectl scale: 1 node, and "+victim+" is cut off", func() {
		l.scale(1)
		l.run("devcluster node cut " + number)
		l.silent(victim)
	})
	l.step(victim+" is heard again", func() {
		l.run("devcluster node heal " + number)
		l.awaitReady(1)
		l.awaitWrites()
	})
	l.step("kubectl scale: 3 nodes, and "+victim+" is cut off", func() {
		l.scale(3)
		l.within("a node on its way in", func() error {
			if said := l.phases(); !strings.Contains(said, " ") {
				return fmt.Errorf("%s", said)
			}
			return nil
		})
		l.run("devcluster node cut " + number)
		l.silent(victim)
		l.run("devcluster node heal " + number)
		l.awaitReady(3)
		l.awaitWrites()
	})
	l.conclude()
}

// silent waits until Kubernetes says that it does not hear of a machine.
func (l *lab) silent(machine string) {
	l.Helper()
	l.within(machine+" is silent", func() error {
		var n corev1.Node
		if err := l.read(&n, "node/"+machine); err != nil {
			return err
		}
		for _, c := range n.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status == corev1.ConditionTrue {
				return fmt.Errorf("it is %s", c.Reason)
			}
		}
		return nil
	})
}

// TestFaultAPIServer: the API server is slow, refuses and is gone for the operator while a bus grows and shrinks. Nodes and writes have nothing to
// do with it.
func TestFaultAPIServer(t *testing.T) {
	l := mustBus(t, 1)
	for pod := range l.operators {
		l.operators[pod] = math.MaxInt32 // one that can't renew its lease ends, and is started again
	}
	n := int32(1)
	for _, fault := range []string{"slow --latency 500ms", "reject", "reject --status 429", "down"} {
		n = 4 - n
		l.step(fmt.Sprintf("kubectl scale: %d nodes, API server: %s", n, fault), func() {
			before := l.phases()
			l.scale(n)
			l.within("the operator is at it", func() error {
				if now := l.phases(); now == before {
					return fmt.Errorf("%s", now)
				}
				return nil
			})
			l.run("devcluster apiserver " + fault + " --for 25s --service-account " + l.Operators + "/" + release)
			began := time.Now()
			l.awaitReady(n)
			l.awaitWrites()
			l.Logf("         ready %.1fs after the fault began", time.Since(began).Seconds())
			l.run("devcluster apiserver heal")
		})
		l.arrive(n)
	}
	l.conclude()
}
