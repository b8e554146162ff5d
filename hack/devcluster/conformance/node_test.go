// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// fleet has a pod on each node, which keeps its name in a volume, and starts with a network in order.
type fleet struct {
	space
	nodes []string
	pods  map[string]*corev1.Pod // by node
}

func newFleet(t *testing.T) fleet {
	t.Helper()
	f := fleet{newSpace(t), mustNodes(t)[:3], map[string]*corev1.Pod{}}
	var names []string
	for _, node := range f.nodes {
		f.mustClaim(node, "standard", "256Mi")
		f.mustPod(node, onNode(node), keeping(node))
		names = append(names, node)
	}
	f.pods = f.awaitReady(names...)
	for _, node := range f.nodes {
		f.mustExec(node, "put", "/data/name", node)
	}
	return f
}

// number is how `devcluster node` knows a node.
func number(node string) string { return strings.TrimPrefix(node, "node") }

func mustFault(t *testing.T, verb, node string, more ...string) {
	t.Helper()
	mustDevcluster(t, append([]string{"node", verb, number(node)}, more...)...)
}

// hears tells whether a pod gets an answer from the pod of another node.
func (f fleet) hears(from, to string) error {
	got, err := f.exec(from, "get", "http://"+f.pods[to].Status.PodIP+":8080")
	if err == nil && got != to {
		err = fmt.Errorf("%q answers for %s", got, to)
	}
	return err
}

func (f fleet) expectSilence(from, to string) {
	f.t.Helper()
	if err := f.hears(from, to); err == nil {
		f.t.Errorf("%s answers %s", to, from)
	}
}

func (f fleet) awaitAnswer(from, to string) {
	f.t.Helper()
	eventually(f.t, to+" answers "+from, func(context.Context) error { return f.hears(from, to) })
}

func awaitReadiness(t *testing.T, name string, want corev1.ConditionStatus) {
	t.Helper()
	eventually(t, fmt.Sprintf("Ready of %s is %s", name, want), func(ctx context.Context) error {
		node, err := client.CoreV1().Nodes().Get(ctx, name, metav1.GetOptions{})
		if err == nil && readiness(*node) != want {
			err = fmt.Errorf("it is %s", readiness(*node))
		}
		return err
	})
}

// expectBack wants the pod of a node to run again after its node came back, with what it had.
func (f fleet) expectBack(node string) {
	f.t.Helper()
	eventually(f.t, "the pod of "+node+" runs again", func(ctx context.Context) error {
		pod, err := client.CoreV1().Pods(f.name).Get(ctx, node, metav1.GetOptions{})
		if err != nil {
			return err
		}
		if pod.UID != f.pods[node].UID || len(pod.Status.ContainerStatuses) == 0 || !pod.Status.ContainerStatuses[0].Ready {
			return fmt.Errorf("%s: %+v", pod.Status.Phase, pod.Status.ContainerStatuses)
		}
		if pod.Status.ContainerStatuses[0].RestartCount == f.pods[node].Status.ContainerStatuses[0].RestartCount {
			return fmt.Errorf("its container has not restarted")
		}
		f.pods[node] = pod // with its new address
		return nil
	})
	eventually(f.t, "the volume of "+node+" is back", func(context.Context) error {
		got, err := f.exec(node, "cat", "/data/name")
		if err == nil && got != node {
			err = fmt.Errorf("it is that of %q", got)
		}
		return err
	})
}

// TestNodeFaults disturbs the second of three nodes; numbers count from 0. What the fault silences answers again when it
// is mended, and no other traffic is hit.
func TestNodeFaults(t *testing.T) {
	for _, c := range []struct {
		name   string
		fault  []string
		mend   string
		silent [][2]int // who does not hear whom
		hears  [][2]int
		lost   bool // the cluster takes the node for lost
		ends   bool // its pod ends, and is started again
	}{
		{"stop", []string{"stop"}, "start", [][2]int{{0, 1}, {2, 1}}, [][2]int{{0, 2}}, true, true},
		{"kill9", []string{"kill9"}, "start", [][2]int{{0, 1}, {2, 1}}, [][2]int{{0, 2}}, false, true},
		{"cut", []string{"cut"}, "heal", [][2]int{{0, 1}, {2, 1}}, [][2]int{{0, 2}}, true, false},
		// The control plane still reaches all three.
		{"cut from one", []string{"cut", "--from", "1"}, "heal", [][2]int{{0, 1}, {1, 0}}, [][2]int{{0, 2}, {1, 2}, {2, 1}}, false, false},
		// Its neighbours still reach it.
		{"cut from control", []string{"cut", "--from", "control"}, "heal", nil, [][2]int{{0, 1}, {2, 1}, {0, 2}}, true, false},
		{"pause", []string{"pause"}, "resume", [][2]int{{0, 1}, {2, 1}}, [][2]int{{0, 2}}, false, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := newFleet(t)
			hit := f.nodes[1]
			mustFault(t, c.fault[0], hit, c.fault[1:]...)
			t.Cleanup(func() { mustFault(t, c.mend, hit) })
			for _, pair := range c.silent {
				f.expectSilence(f.nodes[pair[0]], f.nodes[pair[1]])
			}
			for _, pair := range c.hears {
				f.awaitAnswer(f.nodes[pair[0]], f.nodes[pair[1]])
			}
			if c.lost {
				awaitReadiness(t, hit, corev1.ConditionUnknown) // nobody says that it is not: kubelet is not heard
			}
			mustFault(t, c.mend, hit)
			awaitReadiness(t, hit, corev1.ConditionTrue)
			if c.ends {
				f.expectBack(hit)
			}
			for _, pair := range c.silent {
				f.awaitAnswer(f.nodes[pair[0]], f.nodes[pair[1]])
			}
			if !c.ends {
				f.expectUntouched(hit)
			}
		})
	}
}

// expectUntouched wants the container that was there before the fault.
func (f fleet) expectUntouched(node string) {
	f.t.Helper()
	before, after := f.pods[node].Status.ContainerStatuses[0], f.mustGet(node).Status.ContainerStatuses[0]
	if before.ContainerID != after.ContainerID {
		f.t.Errorf("the container of %s is another: %s, before %s", node, after.ContainerID, before.ContainerID)
	}
}
