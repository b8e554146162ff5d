// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// mustBus is a bus of so many nodes in a namespace of the test's own, with a pod that writes, on the machine of the first node. What the test
// made goes at its end; the operator stays for the next one.
func mustBus(t *testing.T, nodes int32) *lab {
	t.Helper()
	l := mustSpace(t, "demo", "")
	l.step(fmt.Sprintf("a bus of %d, and a writer", nodes), func() {
		l.apply(nodes, "")
		l.enter()
	})
	return l
}

// mustSpace is a place for a bus of some name, in the test's namespace or another one of its own; an operator is at work.
func mustSpace(t *testing.T, bus, more string) *lab {
	t.Helper()
	l := mustLab(t)
	l.bus, l.Namespace = bus, strings.ToLower(t.Name())+more
	l.step("an operator, and the namespace "+l.Namespace, func() {
		if _, err := l.shell(l.Context(), "helm status -n "+l.Operators+" "+release, ""); err != nil {
			l.space(l.Operators)
			l.operate("install", l.Root, l.Version)
		}
		l.space(l.Namespace)
	})
	l.operators = l.restarts(l.Operators)
	t.Cleanup(func() {
		if out, err := l.shell(context.WithoutCancel(t.Context()), "kubectl delete namespace "+l.Namespace+" --timeout=4m", ""); err != nil {
			t.Errorf("it can't be removed: %v: %s", err, out)
		}
	})
	t.Cleanup(func() {
		if t.Failed() {
			l.tell()
		}
	})
	return l
}

// apply wishes for a bus; more is what its spec has beside the least, with a comma in front.
func (l *lab) apply(nodes int32, more string) {
	l.run(fmt.Sprintf("echo '{apiVersion: unibus.dev/v1alpha1, kind: UnibusCluster, metadata: {name: %s}, spec: {replicas: %d, storage: {size: 1Gi}%s}}' | kubectl apply -n %s -f -",
		l.bus, nodes, more, l.Namespace))
	l.awaitReady(nodes)
}

// enter lets a writer in, as the first admin.
func (l *lab) enter() {
	l.machine = l.machineOf(l.bus + "-0")
	l.forwarded(fmt.Sprintf(`(umask 077 && kubectl get -n %s secret %s-admin -o jsonpath={.data.seed} | base64 -d > admin.nk)
		kubectl get -n %[1]s configmap %[2]s-client-ca -o jsonpath='{.data.ca\.crt}' > ca.crt
		unibus context add bus --server nats://127.0.0.1:%d --api https://127.0.0.1:%d --ca ca.crt --key admin.nk`, l.Namespace, l.bus, l.ports[0], l.ports[1]))
	l.write()
	l.expectSame()
}

// scale asks for so many nodes.
func (l *lab) scale(nodes int32) {
	l.run(fmt.Sprintf("kubectl scale -n %s ubc/%s --replicas %d", l.Namespace, l.bus, nodes))
}

// arrive waits until there are so many nodes and no others, none of which was restarted or made anew, and writes go on.
func (l *lab) arrive(nodes int32) {
	l.Helper()
	l.awaitReady(nodes)
	want := map[string]int32{l.writer: 0}
	for place := range nodes {
		want[fmt.Sprintf("%s-%d", l.bus, place)] = 0
	}
	l.within("no other pods", func() error {
		if all := l.restarts(l.Namespace); len(all) != len(want) {
			return fmt.Errorf("%v", all)
		}
		return nil
	})
	l.awaitWrites()
	l.expectRestarts(want)
}

// conclude verifies the ledger, and tells what all came to.
func (l *lab) conclude() {
	l.Helper()
	l.step("the ledger is verified", l.verify)
	l.expectSame()
	l.Logf("acknowledged %d, lost %d, longest gap %v, restarted %d", l.sum.Acknowledged, l.sum.Lost, l.sum.Gap, l.sum.Restarted)
}

// nodes are the names of the first pods of the bus.
func (l *lab) nodes(n int) (pods []string) {
	for place := range n {
		pods = append(pods, fmt.Sprintf("%s-%d", l.bus, place))
	}
	return pods
}

// disks are the server names with the ids of their disks, by name.
func (l *lab) disks() map[string]string {
	l.Helper()
	c, err := l.status()
	l.must(err)
	all := map[string]string{}
	for _, m := range c.Status.Members {
		all[m.ServerName] = m.DiskID
	}
	return all
}

// phases are the server names and what they are on their way to.
func (l *lab) phases() string {
	l.Helper()
	c, err := l.status()
	l.must(err)
	var all []string
	for _, m := range c.Status.Members {
		all = append(all, m.ServerName+"="+m.Phase)
	}
	return strings.Join(all, " ")
}

// machineOf is the machine that a pod was placed on, empty before.
func (l *lab) machineOf(pod string) string {
	l.Helper()
	var p corev1.Pod
	l.must(l.read(&p, "-n "+l.Namespace+" pod/"+pod))
	return p.Spec.NodeName
}

// victim is a machine whose loss hits neither the writer nor the operator.
func (l *lab) victim() string {
	l.Helper()
	machines := []string{"node1", "node2", "node3"}
	for _, p := range l.pods(l.Operators) {
		machines = slices.DeleteFunc(machines, func(m string) bool { return m == p.Spec.NodeName })
	}
	machines = slices.DeleteFunc(machines, func(m string) bool { return m == l.machine })
	return machines[len(machines)-1]
}
