// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
)

func uids(pods map[string]*corev1.Pod) map[string]types.UID {
	all := map[string]types.UID{}
	for name, pod := range pods {
		all[name] = pod.UID
	}
	return all
}

// lookup returns what a pod resolves of this namespace, sorted; empty if there is no such name.
func (s space) lookup(pod, name string) ([]string, error) {
	out, err := s.exec(pod, "lookup", name+"."+s.name+".svc.cluster.local")
	if err != nil && strings.Contains(err.Error(), "no such host") {
		return nil, nil
	}
	return strings.Fields(out), err
}

func (s space) awaitLookup(pod, name string, want ...string) {
	s.t.Helper()
	slices.Sort(want)
	eventually(s.t, name+" resolves", func(context.Context) error {
		got, err := s.lookup(pod, name)
		if err == nil && !slices.Equal(got, want) {
			err = fmt.Errorf("got %v, want %v", got, want)
		}
		return err
	})
}

func addresses(pods map[string]*corev1.Pod) []string {
	var all []string
	for _, pod := range pods {
		all = append(all, pod.Status.PodIP)
	}
	return all
}

func TestStatefulSet(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	members := []string{"db-0", "db-1", "db-2"}
	s.mustService("members", "app", "db", headless(true))
	s.mustService("ready", "app", "db", headless(false))
	s.mustSet("db", 1, appsv1.ParallelPodManagement)
	first := s.awaitPods(false, nil, "db-0")

	s.mustScale("db", 3) // in place, and at once although none is ready
	pods := s.awaitPods(false, nil, members...)
	if pods["db-0"].UID != first["db-0"].UID {
		t.Error("scaling replaced the pod that was there")
	}
	nodes := map[string]bool{}
	for _, pod := range pods {
		nodes[pod.Spec.NodeName] = true
	}
	if len(nodes) != 3 {
		t.Errorf("anti-affinity: pods are on %v", nodes)
	}

	s.awaitLookup("db-0", "members", addresses(pods)...)
	s.awaitLookup("db-0", "db-1.members", pods["db-1"].Status.PodIP)
	s.awaitLookup("db-0", "ready")
	for _, pod := range members {
		s.mustExec(pod, "put", "/data/name", pod)
		s.mustExec(pod, "put", "/data/ready", "")
	}
	pods = s.awaitReady(members...)
	s.awaitLookup("db-2", "ready", addresses(pods)...)

	if err := client.CoreV1().Pods(s.name).Delete(t.Context(), "db-1", metav1.DeleteOptions{}); err != nil {
		t.Fatal(err)
	}
	pods["db-1"] = s.awaitPods(true, uids(pods), "db-1")["db-1"]
	s.expectKept(pods)
	s.expectPartition(pods)

	s.mustScale("db", 2)
	eventually(t, "db-2 is gone", func(ctx context.Context) error {
		left, err := client.CoreV1().Pods(s.name).List(ctx, metav1.ListOptions{LabelSelector: "app=db"})
		if err == nil && len(left.Items) != 2 {
			err = fmt.Errorf("there are %d pods", len(left.Items))
		}
		return err
	})
	s.mustScale("db", 3)
	s.expectKept(s.awaitReady(members...))
}

// expectKept wants in every volume the name of its pod.
func (s space) expectKept(pods map[string]*corev1.Pod) {
	s.t.Helper()
	for name := range pods {
		if got := s.mustExec(name, "cat", "/data/name"); got != name {
			s.t.Errorf("the volume of %s is that of %q", name, got)
		}
	}
}

// expectPartition updates the pods of db in two steps.
func (s space) expectPartition(pods map[string]*corev1.Pod) {
	s.t.Helper()
	patch := func(partition int) {
		s.mustKubectl("patch", "statefulset", "db", "-p", fmt.Sprintf(`{"spec":{"updateStrategy":{"rollingUpdate":{"partition":%d}},
			"template":{"metadata":{"annotations":{"round":"two"}}}}}`, partition))
	}
	patch(2)
	updated := s.awaitPods(true, uids(pods), "db-2")
	if updated["db-2"].Annotations["round"] != "two" {
		s.t.Error("db-2 came back as it was")
	}
	for _, name := range []string{"db-0", "db-1"} {
		if s.mustGet(name).UID != pods[name].UID {
			s.t.Errorf("%s is below the partition, and was replaced", name)
		}
	}
	patch(0)
	maps.Copy(updated, s.awaitPods(true, uids(pods), "db-0", "db-1"))
	if s.mustGet("db-2").UID != updated["db-2"].UID {
		s.t.Error("db-2 was updated twice")
	}
	s.expectKept(updated)
}

func TestOrderedPods(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.mustService("members", "app", "db", headless(true))
	s.mustSet("db", 3, appsv1.OrderedReadyPodManagement)
	pods := map[string]*corev1.Pod{}
	for _, name := range []string{"db-0", "db-1", "db-2"} {
		s.awaitPods(false, nil, name)
		s.mustExec(name, "put", "/data/ready", "")
		maps.Copy(pods, s.awaitReady(name))
	}
	for before, after := range map[string]string{"db-0": "db-1", "db-1": "db-2"} {
		for _, c := range pods[before].Status.Conditions {
			if c.Type == corev1.PodReady && pods[after].CreationTimestamp.Before(&c.LastTransitionTime) {
				t.Errorf("%s was made at %s, before %s was ready at %s", after, pods[after].CreationTimestamp, before, c.LastTransitionTime)
			}
		}
	}
}

// TestDrain is not parallel: it takes a node away from all.
func TestDrain(t *testing.T) {
	mustNodes(t)
	s := newSpace(t)
	members := []string{"db-0", "db-1", "db-2"}
	s.mustService("members", "app", "db", headless(true))
	s.mustSet("db", 3, appsv1.ParallelPodManagement)
	most := intstr.FromInt32(1)
	_, err := client.PolicyV1().PodDisruptionBudgets(s.name).Create(t.Context(), &policyv1.PodDisruptionBudget{
		ObjectMeta: metav1.ObjectMeta{Name: "db"},
		Spec:       policyv1.PodDisruptionBudgetSpec{MaxUnavailable: &most, Selector: &metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}},
	}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.awaitPods(false, nil, members...)
	for _, name := range members {
		s.mustExec(name, "put", "/data/name", name)
		s.mustExec(name, "put", "/data/ready", "")
	}
	pods := s.awaitReady(members...)
	s.mustExec("db-0", "rm", "/data/ready")
	s.awaitDisruptions(0)

	node := pods["db-1"].Spec.NodeName
	eventually(t, "pods of an earlier test, which no controller has and drain would stop at, have ended", func(ctx context.Context) error {
		left, err := client.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=" + node})
		if err != nil {
			return err
		}
		for _, p := range left.Items {
			if metav1.GetControllerOf(&p) == nil && strings.HasPrefix(p.Namespace, spaces) {
				return fmt.Errorf("%s/%s is there", p.Namespace, p.Name)
			}
		}
		return nil
	})
	drain := func(timeout string) error {
		_, err := devcluster("kubectl", "drain", node, "--delete-emptydir-data", "--timeout="+timeout)
		return err
	}
	t.Cleanup(func() { mustDevcluster(t, "kubectl", "uncordon", node) })
	expectFailure(t, drain("5s"), "disruption budget")
	if s.mustGet("db-1").UID != pods["db-1"].UID {
		t.Fatal("drained against the budget")
	}
	s.mustExec("db-0", "put", "/data/ready", "")
	s.awaitDisruptions(1)
	if err := drain("2m"); err != nil {
		t.Fatal(err)
	}
	mustDevcluster(t, "kubectl", "uncordon", node)
	s.expectKept(s.awaitPods(true, map[string]types.UID{"db-1": pods["db-1"].UID}, "db-1"))
}

func (s space) awaitDisruptions(want int32) {
	s.t.Helper()
	eventually(s.t, fmt.Sprintf("the budget allows %d disruptions", want), func(ctx context.Context) error {
		budget, err := client.PolicyV1().PodDisruptionBudgets(s.name).Get(ctx, "db", metav1.GetOptions{})
		if err == nil && (budget.Status.DisruptionsAllowed != want || budget.Status.ExpectedPods != 3) {
			err = fmt.Errorf("it allows %d, of %d pods", budget.Status.DisruptionsAllowed, budget.Status.ExpectedPods)
		}
		return err
	})
}
