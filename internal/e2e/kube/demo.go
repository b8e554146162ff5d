// SPDX-License-Identifier: Apache-2.0

package kube

import (
	_ "embed"
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// Sum is what a demo comes to.
type Sum struct {
	// Acknowledged writes, those of them that are not there any more, and the longest time between two.
	Acknowledged, Lost int
	Gap                time.Duration
	// Restarted is how many restarts there were of pods that the demo did not cause.
	Restarted int32
}

//go:embed testdata/writer.yaml
var writer string

// Demo installs the operator and takes the sample cluster from one node to three, back to one and to three again, while people talk and a
// pod writes; a node is killed in between, and the routes get another CA in the end. It fails when something that was acknowledged is missing, or something was restarted or made anew but what was
// killed.
func Demo(t T, p Place) Sum { return newLab(t, p).demo() }

func (l *lab) demo() Sum {
	l.step("helm install, helm test: the operator is at work", l.install)
	l.step("kubectl apply: a bus of one node is ready", func() {
		l.run("kubectl apply -n " + l.Namespace + " -f " + filepath.Join(l.Root, "config", "samples", "one.yaml"))
		l.awaitReady(1)
	})
	l.expectSame()
	l.step("unibus user add, room create: two people and a room", l.people)
	l.step("unibus send, unibus history: they talk", l.talk)
	l.step("unibus writer: a pod writes 50 messages a second, with a ledger", l.write)
	grow := func() {
		l.run("kubectl scale -n " + l.Namespace + " ubc/demo --replicas 3")
		l.awaitReady(3)
		l.awaitWrites()
	}
	l.step("kubectl scale: one node becomes three", grow)
	l.expectRestarts(map[string]int32{"demo-0": 0, "demo-1": 0, "demo-2": 0, "writer": 0})
	l.step("kill: the node in demo-1 is dead, and back", l.lose)
	l.step("kubectl scale: three become one", func() {
		l.run("kubectl scale -n " + l.Namespace + " ubc/demo --replicas 1")
		l.awaitReady(1)
		l.within("only demo-0 is left", func() error {
			if all := l.restarts(l.Namespace); len(all) != 2 {
				return fmt.Errorf("%v", all)
			}
			return nil
		})
		l.awaitWrites()
	})
	l.expectRestarts(map[string]int32{"demo-0": 0, "writer": 0})
	l.step("kubectl scale: one becomes three again, with the volumes of before", grow)
	l.expectRestarts(map[string]int32{"demo-0": 0, "demo-1": 0, "demo-2": 0, "writer": 0})
	l.step("unibus.dev/rotate: the routes get another CA", func() {
		l.rotate(2)
		l.awaitReady(3)
		l.awaitWrites()
	})
	l.expectRestarts(map[string]int32{"demo-0": 0, "demo-1": 0, "demo-2": 0, "writer": 0})
	l.step("unibus verify: every acknowledged message is there, once and in order", l.verify)
	return l.sum
}

// Clear removes what a demo has made, but for keys and the like; nothing if there is nothing.
func Clear(t T, p Place) {
	l := newLab(t, p)
	l.step("what an earlier demo has left is removed", func() {
		l.run(fmt.Sprintf(`helm uninstall %s -n %s --ignore-not-found --wait
			kubectl delete namespace %[2]s %[3]s --ignore-not-found
			# The definition stays when somebody else installed it, or has a cluster.
			if [ "$(kubectl get crd unibusclusters.unibus.dev --ignore-not-found -o 'jsonpath={.metadata.annotations.meta\.helm\.sh/release-namespace}')" = %[2]s ] &&
				[ -z "$(kubectl get ubc -A -o name)" ]; then kubectl delete crd unibusclusters.unibus.dev; fi`, release, l.Operators, l.Namespace))
	})
}

// install installs the operator, where nothing may run that "restricted" does not allow.
func (l *lab) install() {
	l.space(l.Operators)
	l.space(l.Namespace)
	l.operate("install", l.Root, l.Version)
	l.run("helm test " + release + " -n " + l.Operators + " --timeout 4m")
}

// space makes a namespace.
func (l *lab) space(name string) {
	l.run(fmt.Sprintf("kubectl create namespace %s && kubectl label namespace %[1]s pod-security.kubernetes.io/enforce=restricted", name))
}

// operate installs or upgrades the operator of a version, with the chart of a repository.
func (l *lab) operate(verb, root, version string) {
	l.run(fmt.Sprintf("helm %s %s %s -n %s --set image.repository=%s/unibus-operator,nodeImage=%[5]s/membershipd --set-string image.tag=%[6]s --wait --timeout 4m", verb, release,
		filepath.Join(root, "charts", "unibus-operator"), l.Operators, l.Images, version))
}

// indented are the commands of the notes.
var indented = regexp.MustCompile(`(?m)^    (.*)$`)

// people does what the chart's notes say, up to the point where they tell how to grow, and adds another one.
func (l *lab) people() {
	notes, _, ok := strings.Cut(l.run("helm get notes -n "+l.Operators+" "+release), "\nThree nodes")
	var script strings.Builder
	ways := 0
	for _, command := range indented.FindAllStringSubmatch(notes, -1) {
		if strings.HasPrefix(command[1], "kubectl port-forward ") {
			ways++ // forwarded is another, to ports that are free
			continue
		}
		fmt.Fprintln(&script, command[1])
	}
	told := script.String()
	if !ok || ways != 1 || !strings.Contains(told, "context add") {
		l.Fatalf("the notes lead nowhere: %s", notes)
	}
	l.forwarded(strings.NewReplacer("-n default", "-n "+l.Namespace, "127.0.0.1:4222", fmt.Sprintf("127.0.0.1:%d", l.ports[0]),
		"127.0.0.1:8223", fmt.Sprintf("127.0.0.1:%d", l.ports[1])).Replace(told) + `
		unibus user add bob "$(unibus key new --out bob.nk)"
		unibus member add kitchen bob`)
}

// talk has each read what the other says.
func (l *lab) talk() {
	said := l.forwarded(`unibus send kitchen 'is there coffee?' --key ann.nk >&2
		unibus send kitchen 'in five minutes' --key bob.nk >&2
		unibus history kitchen --key ann.nk
		unibus history kitchen --key bob.nk`)
	for _, text := range []string{"is there coffee?", "in five minutes"} {
		if strings.Count(said, text) != 2 {
			l.Errorf("%q was not read by both: %s", text, said)
		}
	}
}

// write lets a writer in that has a key of its own.
func (l *lab) write() {
	l.forwarded(`unibus class set lab --messages 1000000 --bytes 128MiB --full refuse
		unibus room create lab --class lab
		unibus user add writer "$(unibus key new --out writer.nk)"
		unibus member add lab writer
		kubectl create secret generic -n ` + l.Namespace + ` ` + l.writer + ` --from-file=seed=writer.nk`)
	selector := ""
	if l.machine != "" {
		selector = "kubernetes.io/hostname: " + l.machine
	}
	_, err := l.shell(l.Context(), "kubectl apply -n "+l.Namespace+" -f -", strings.NewReplacer("IMAGE", l.Images+"/unibus:"+l.Version,
		"NAMESPACE", l.Namespace, "WRITER", l.writer, "CLUSTER", l.bus, "SELECTOR", selector).Replace(writer))
	l.must(err)
	l.awaitWrites()
}

// lose kills the node in demo-1, or where that can't be done has its pod deleted without a word, and waits until all is as before.
func (l *lab) lose() {
	want := map[string]int32{"demo-0": 0, "demo-1": 1, "demo-2": 0, "writer": 0}
	was := l.uid("demo-1")
	if l.Devcluster != "" {
		l.kill("demo-1")
		l.within("kubelet has seen it", func() error {
			if n := l.restarts(l.Namespace)["demo-1"]; n != 1 {
				return fmt.Errorf("%d restarts", n)
			}
			return nil
		})
	} else {
		want["demo-1"] = 0
		l.makesAnew("demo-1")
		l.run("kubectl delete -n " + l.Namespace + " pod/demo-1 --grace-period=0 --force")
		l.within("the pod is made anew", func() error {
			out, err := l.shell(l.Context(), "kubectl get -n "+l.Namespace+" pod/demo-1 -o jsonpath={.metadata.uid}", "")
			if err == nil && out == string(was) {
				err = fmt.Errorf("the old one is there")
			}
			return err
		})
	}
	l.run("kubectl wait -n " + l.Namespace + " pod/demo-1 --for=condition=Ready --timeout=4m")
	l.awaitReady(3)
	l.awaitWrites()
	l.expectRestarts(want)
}
