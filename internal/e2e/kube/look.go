// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"

	"github.com/unibus/unibus/api/v1alpha1"
)

// status is the cluster as the API server has it.
func (l *lab) status() (c v1alpha1.UnibusCluster, err error) {
	err = l.read(&c, "-n "+l.Namespace+" ubc/"+l.bus)
	return c, err
}

// awaitReady waits until the cluster is as wished, with so many members, and says so itself.
func (l *lab) awaitReady(members int32) {
	l.Helper()
	l.within(fmt.Sprintf("of %d", members), func() error { return l.is(members) })
}

// is says why the cluster is not as wished with so many members.
func (l *lab) is(members int32) error {
	c, err := l.status()
	if err != nil {
		return err
	}
	if c.Status.ObservedGeneration != c.Generation {
		return errors.New("the operator has not seen the wish")
	}
	said := ""
	for _, condition := range c.Status.Conditions {
		if condition.Type != v1alpha1.ConditionReady {
			continue
		}
		if condition.Status == "True" && c.Status.ReadyReplicas == members && len(c.Status.Members) == int(members) {
			return nil
		}
		said = condition.Message
	}
	return fmt.Errorf("%d ready, %d members: %s", c.Status.ReadyReplicas, len(c.Status.Members), said)
}

// pods are those of a namespace.
func (l *lab) pods(namespace string) []corev1.Pod {
	l.Helper()
	var pods corev1.PodList
	l.must(l.read(&pods, "-n "+namespace+" pods"))
	return pods.Items
}

// restarts are how often the container of each pod was started anew, by the pod's name.
func (l *lab) restarts(namespace string) map[string]int32 {
	l.Helper()
	all := map[string]int32{}
	for _, p := range l.pods(namespace) {
		for _, c := range p.Status.ContainerStatuses {
			all[p.Name] += c.RestartCount
		}
	}
	return all
}

// expectRestarts fails when another pod was restarted than should have been, the operator's too, or made anew, or there are other pods.
func (l *lab) expectRestarts(want map[string]int32) {
	l.Helper()
	got := l.restarts(l.Namespace)
	if !maps.Equal(got, want) {
		l.Errorf("restarts %v, want %v", got, want)
	}
	for pod, n := range got {
		l.sum.Restarted += max(0, n-want[pod])
	}
	for pod, n := range l.restarts(l.Operators) {
		if n -= l.operators[pod]; n > 0 {
			l.sum.Restarted += n
			l.Errorf("the operator %s was restarted %d times", pod, n)
		}
	}
	l.expectSame()
}

// expectSame fails when a pod was made anew since pods were seen last: its count of restarts begins at 0 again. Those that have come are seen from now on.
func (l *lab) expectSame() {
	l.Helper()
	now := map[string]types.UID{}
	for _, p := range l.pods(l.Namespace) {
		now[p.Name] = p.UID
		if was, seen := l.uids[p.Name]; seen && was != p.UID {
			l.sum.Restarted++
			l.Errorf("the pod %s was made anew", p.Name)
		}
	}
	l.uids = now
}

// makesAnew says which pods are deleted on purpose, from now on until they are seen the next time.
func (l *lab) makesAnew(pods ...string) {
	for _, pod := range pods {
		delete(l.uids, pod)
	}
}

func (l *lab) uid(pod string) types.UID {
	l.Helper()
	var p corev1.Pod
	l.must(l.read(&p, "-n "+l.Namespace+" pod/"+pod))
	return p.UID
}

// kill ends the node in a pod as the kernel does that is short of memory. It is one of devcluster's, whose processes are this machine's.
func (l *lab) kill(pod string) {
	l.Helper()
	found := l.processes(pod)
	if len(found) != 1 {
		l.Fatalf("the processes in pod %s are %v", pod, found)
	}
	l.must(syscall.Kill(found[0], syscall.SIGKILL))
}

// processes are those of the node in a pod: one, while it runs.
func (l *lab) processes(pod string) (found []int) {
	l.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	l.must(err)
	for _, file := range all {
		env, err := os.ReadFile(file) // processes come and go
		if err != nil || !bytes.Contains(env, []byte("\x00POD_NAME="+pod+"\x00")) || !bytes.Contains(env, []byte(pod+"."+l.bus+"-nodes."+l.Namespace+".svc\x00")) {
			continue
		}
		var pid int
		_, err = fmt.Sscanf(file, "/proc/%d/environ", &pid)
		l.must(err)
		found = append(found, pid)
	}
	return found
}

var written = regexp.MustCompile(`(\d+) written, [\d.]+/s, longest gap ([\d.]+) s`)

// writes is what the writer has said last: how many are acknowledged, and the longest time without one.
func (l *lab) writes() (n int, gap time.Duration, err error) {
	out, err := l.shell(l.Context(), "kubectl logs -n "+l.Namespace+" "+l.writer+" --tail 20 2>&1", "")
	if err != nil {
		return 0, 0, err
	}
	all := written.FindAllStringSubmatch(out, -1)
	if len(all) == 0 {
		return 0, 0, errors.New(out)
	}
	last := all[len(all)-1]
	n, err = strconv.Atoi(last[1])
	gap, gapErr := time.ParseDuration(last[2] + "s")
	return n, gap, errors.Join(err, gapErr)
}

// awaitWrites waits until more has been acknowledged than was so far.
func (l *lab) awaitWrites() {
	l.Helper()
	before, _, _ := l.writes() // none may be yet
	l.within("writes go on", func() error {
		n, _, err := l.writes()
		if err == nil && n < before+50 {
			err = fmt.Errorf("%d acknowledged, %d before", n, before)
		}
		return err
	})
}

// verify reads the room back against the ledger, within the writer's pod, where the ledger is.
func (l *lab) verify() {
	l.Helper()
	var verdicts []struct{ Acknowledged, Found, Missing, Duplicated, OutOfOrder, Changed int }
	out, err := l.shell(l.Context(), "kubectl exec -n "+l.Namespace+" "+l.writer+" -- /unibus verify lab --ledger /ledger/lab.jsonl -o json", "")
	if jsonErr := json.Unmarshal([]byte(out), &verdicts); err != nil || jsonErr != nil || len(verdicts) != 1 {
		l.Fatalf("%v %v: %s", err, jsonErr, out)
	}
	v := verdicts[0]
	if v.Acknowledged == 0 || v.Found != v.Acknowledged || v.Missing+v.Duplicated+v.OutOfOrder+v.Changed > 0 {
		l.Errorf("verdict %+v", v)
	}
	_, l.sum.Gap, err = l.writes()
	l.must(err)
	l.sum.Acknowledged, l.sum.Lost = v.Acknowledged, v.Missing
}

// rotate has the CA of routes replaced by that of a generation, and waits until every node has followed.
func (l *lab) rotate(generation int64) {
	l.Helper()
	l.run(fmt.Sprintf("kubectl annotate --overwrite -n %s ubc/%s unibus.dev/rotate=route-ca/%d", l.Namespace, l.bus, generation))
	l.within("certificates of the new CA are used", func() error { return l.rotated(generation, "Switching", "DroppingOld", "Stable") })
	l.within("every node has followed", func() error { return l.rotated(generation, "Stable") })
}

// rotated says how far the CA of routes is, unless it is of a generation and in one of the phases; in the last one of all, certificates are ready.
func (l *lab) rotated(generation int64, phases ...string) error {
	c, err := l.status()
	if err != nil {
		return err
	}
	said, there := "", false
	for _, s := range c.Status.Certificates {
		there = there || s.Name == "route-ca" && s.Generation == generation && slices.Contains(phases, s.Phase)
		said += fmt.Sprintf("%s %d %s; ", s.Name, s.Generation, s.Phase)
	}
	ready := meta.FindStatusCondition(c.Status.Conditions, v1alpha1.ConditionCertificatesReady)
	if !there || ready == nil || len(phases) == 1 && ready.Status != "True" {
		return fmt.Errorf("%s%+v", said, ready)
	}
	return nil
}
