// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/unibus/unibus/internal/crdtest"
	"github.com/unibus/unibus/internal/natstest"
)

// TestShort: the sample cluster goes from one node to three and back while a pod writes, a node is killed in between, and at the end
// nothing that was acknowledged is missing and nothing was restarted but what was killed.
func TestShort(t *testing.T) {
	l := mustLab(t)
	l.step("the operator is installed", l.install)
	l.step("config/samples/one.yaml is applied and ready", func() {
		l.run("kubectl apply -n bus -f " + filepath.Join(crdtest.Root(), "config", "samples", "one.yaml"))
		l.awaitReady(1)
	})
	first := l.uid("demo-0")
	l.step("the chart's notes lead to a user in a room, and a writer writes", func() {
		l.enter()
		l.awaitWrites()
	})
	l.step("1 -> 3", func() {
		l.run("kubectl scale -n bus ubc/demo --replicas 3")
		l.awaitReady(3)
		l.awaitWrites()
	})
	l.expectRestarts(map[string]int32{"demo-0": 0, "demo-1": 0, "demo-2": 0, "writer": 0})
	l.step("the node in demo-1 is killed and is back", func() {
		l.kill("demo-1")
		l.within("kubelet has seen it", func() error {
			if n := l.restarts(namespace)["demo-1"]; n != 1 {
				return fmt.Errorf("%d restarts", n)
			}
			return nil
		})
		l.run("kubectl wait -n bus pod/demo-1 --for=condition=Ready --timeout=4m")
		l.awaitReady(3)
		l.awaitWrites()
	})
	l.expectRestarts(map[string]int32{"demo-0": 0, "demo-1": 1, "demo-2": 0, "writer": 0})
	l.step("3 -> 1", func() {
		l.run("kubectl scale -n bus ubc/demo --replicas 1")
		l.awaitReady(1)
		l.within("only demo-0 is left", func() error {
			if all := l.restarts(namespace); len(all) != 2 {
				return fmt.Errorf("%v", all)
			}
			return nil
		})
		l.awaitWrites()
	})
	l.expectRestarts(map[string]int32{"demo-0": 0, "writer": 0})
	if now := l.uid("demo-0"); now != first {
		t.Error("the pod demo-0 was made anew")
	}
	for pod, n := range l.restarts(operatorNamespace) {
		if n > 0 {
			t.Errorf("the operator %s was restarted %d times", pod, n)
		}
	}
	l.step("the ledger is verified", l.verify)
}

// install installs the operator, where nothing may run that "restricted" does not allow.
func (l *lab) install() {
	for _, ns := range []string{operatorNamespace, namespace} {
		l.run(fmt.Sprintf("kubectl create namespace %s && kubectl label namespace %[1]s pod-security.kubernetes.io/enforce=restricted", ns))
	}
	l.run(fmt.Sprintf("helm install %s %s -n %s --set image.tag=%s --wait --timeout 4m", release,
		filepath.Join(crdtest.Root(), "charts", "unibus-operator"), operatorNamespace, *version))
}

// indented are the commands of the notes.
var indented = regexp.MustCompile(`(?m)^    (.*)$`)

// enter does what the chart's notes say, up to the point where they tell how to grow, and lets a writer in.
func (l *lab) enter() {
	notes, _, ok := strings.Cut(l.run("helm get notes -n unibus-system ops"), "\nThree nodes")
	var script strings.Builder
	for _, command := range indented.FindAllStringSubmatch(notes, -1) {
		fmt.Fprintln(&script, command[1])
	}
	ports, err := natstest.FreePorts(2)
	l.must(err)
	told := script.String()
	said := strings.NewReplacer("-n default", "-n bus", " 4222 8223 &", fmt.Sprintf(` %d:4222 %d:8223 > forward.log & trap "kill $!" EXIT
		until grep -q %[2]d forward.log; do sleep 0.1; done`, ports[0], ports[1]),
		"127.0.0.1:4222", fmt.Sprintf("127.0.0.1:%d", ports[0]), "127.0.0.1:8223", fmt.Sprintf("127.0.0.1:%d", ports[1])).Replace(told)
	if !ok || !strings.Contains(told, "context add") {
		l.Fatalf("the notes lead nowhere: %s", notes)
	}
	l.run(said + `
		unibus send kitchen hello --key ann.nk
		unibus class set lab --messages 1000000 --bytes 128MiB --full refuse
		unibus room create lab --class lab
		unibus user add writer "$(unibus key new --out writer.nk)"
		unibus member add lab writer
		kubectl create secret generic -n bus writer --from-file=seed=writer.nk`)
	b, err := os.ReadFile(filepath.Join("testdata", "writer.yaml"))
	l.must(err)
	_, err = l.shell(l.Context(), "kubectl apply -n bus -f -", strings.Replace(string(b), "VERSION", *version, 1))
	l.must(err)
}

var written = regexp.MustCompile(`(\d+) written, [\d.]+/s, longest gap ([\d.]+) s`)

// writes is what the writer has said last: how many are acknowledged, and the longest time without one.
func (l *lab) writes() (n int, gap string, err error) {
	out, err := l.shell(l.Context(), "kubectl logs -n bus writer --tail 20 2>&1", "")
	if err != nil {
		return 0, "", err
	}
	all := written.FindAllStringSubmatch(out, -1)
	if len(all) == 0 {
		return 0, "", errors.New(out)
	}
	last := all[len(all)-1]
	n, err = strconv.Atoi(last[1])
	return n, last[2], err
}

// awaitWrites waits until more has been acknowledged than was so far.
func (l *lab) awaitWrites() {
	l.Helper()
	before, _, _ := l.writes() // none may be yet
	l.within("writes are acknowledged", func() error {
		n, _, err := l.writes()
		if err == nil && n < before+50 {
			err = fmt.Errorf("%d after %d", n, before)
		}
		return err
	})
}

func (l *lab) uid(pod string) string {
	l.Helper()
	var p corev1.Pod
	l.must(l.read(&p, "-n bus pod/"+pod))
	return string(p.UID)
}

func (l *lab) expectRestarts(want map[string]int32) {
	l.Helper()
	if got := l.restarts(namespace); !maps.Equal(got, want) {
		l.Errorf("restarts %v, want %v", got, want)
	}
}

// verify reads the room back against the ledger, within the writer's pod, where the ledger is.
func (l *lab) verify() {
	var verdicts []struct{ Acknowledged, Found, Missing, Duplicated, OutOfOrder, Changed int }
	out, err := l.shell(l.Context(), "kubectl exec -n bus writer -- /unibus verify lab --ledger /ledger/lab.jsonl -o json", "")
	if jsonErr := json.Unmarshal([]byte(out), &verdicts); err != nil || jsonErr != nil || len(verdicts) != 1 {
		l.Fatalf("%v %v: %s", err, jsonErr, out)
	}
	v := verdicts[0]
	if v.Acknowledged == 0 || v.Found != v.Acknowledged || v.Missing+v.Duplicated+v.OutOfOrder+v.Changed > 0 {
		l.Errorf("verdict %+v", v)
	}
	_, gap, err := l.writes()
	l.must(err)
	l.Logf("acknowledged %d, lost %d, longest gap %s s", v.Acknowledged, v.Missing, gap)
}
