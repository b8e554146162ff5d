// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
	corev1 "k8s.io/api/core/v1"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/crdtest"
	"github.com/unibus/unibus/internal/natstest"
)

// limit is how long a condition may take on a slow machine. What is waited for is named.
const limit = 4 * time.Minute

const (
	// release is the operator, in a namespace of its own; clusters are in another one. Both enforce "restricted".
	release           = "ops"
	operatorNamespace = "unibus-system"
	namespace         = "bus"
)

var (
	cluster = flag.String("cluster", "", "name of the devcluster that has the images; without it all tests are skipped")
	version = flag.String("version", "", "tag of the images")
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// lab is the Kubernetes of a test, with a folder for what people have in theirs.
type lab struct {
	*testing.T
	dir   string
	began time.Time
}

func mustLab(t *testing.T) *lab {
	t.Helper()
	if *cluster == "" {
		t.Skip("run by make e2e-short: it needs a Kubernetes")
	}
	l := &lab{T: t, dir: t.TempDir(), began: time.Now()}
	// People's commands, of this cluster.
	for _, tool := range []string{"kubectl", "helm"} {
		l.must(os.WriteFile(filepath.Join(l.dir, tool), fmt.Appendf(nil, "#!/bin/sh\nexec %s/bin/devcluster --name %s %s \"$@\"\n", crdtest.Root(), *cluster, tool), 0o700))
	}
	l.must(os.Symlink(filepath.Join(crdtest.Root(), "bin", "images", "amd64", "unibus"), filepath.Join(l.dir, "unibus")))
	t.Cleanup(func() {
		if t.Failed() {
			l.tell()
		}
	})
	return l
}

// tell shows what there is to see after a failure.
func (l *lab) tell() {
	for _, script := range []string{
		"kubectl get -n bus ubc,sts,pods,pvc,certificates,events -o wide",
		"kubectl get -n bus ubc -o yaml | sed -n '/^  status:/,$p'",
		"kubectl describe -n bus pods | tail -n 120",
		"kubectl logs -n unibus-system deployment/ops --tail 60",
		"for p in demo-0 demo-1 demo-2 writer; do echo \"--- $p\"; kubectl logs -n bus $p --tail 30; done",
	} {
		out, err := l.shell(context.WithoutCancel(l.Context()), script, "")
		l.Logf("--- %s (%v)\n%s", script, err, out)
	}
}

// shell runs a script with this cluster's kubectl and helm, and unibus, and returns what it says on its output.
func (l *lab) shell(ctx context.Context, script, input string) (string, error) {
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	cmd.Dir, cmd.Stdin = l.dir, strings.NewReader(input)
	cmd.Env = append(os.Environ(), "PATH="+l.dir+":"+os.Getenv("PATH"), "UNIBUS_CONTEXTS="+filepath.Join(l.dir, "contexts.json"), "UNIBUS_CONTEXT=")
	var out, wrong bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &wrong
	if err := cmd.Run(); err != nil {
		return out.String(), fmt.Errorf("%s: %w: %s", script, err, wrong.String())
	}
	return out.String(), nil
}

func (l *lab) run(script string) string {
	l.Helper()
	out, err := l.shell(l.Context(), script, "")
	l.must(err)
	return out
}

func (l *lab) must(err error) {
	l.Helper()
	if err != nil {
		l.Fatal(err)
	}
}

// within waits until nothing is wrong.
func (l *lab) within(what string, wrong func() error) {
	l.Helper()
	var last error
	if !natstest.Until(limit, func() bool { last = wrong(); return last == nil }) {
		l.Fatalf("not within %v: %s: %v", limit, what, last)
	}
}

// step is a part of a test whose time is told.
func (l *lab) step(what string, do func()) {
	l.Helper()
	began := time.Now()
	do()
	l.Logf("%6.1fs  %5.1fs  %s", time.Since(l.began).Seconds(), time.Since(began).Seconds(), what)
}

// read reads what kubectl shows of something.
func (l *lab) read(into any, args string) error {
	out, err := l.shell(l.Context(), "kubectl get -o json "+args, "")
	if err != nil {
		return err
	}
	return json.Unmarshal([]byte(out), into)
}

// awaitReady waits until the cluster is as wished, with so many members, and says so itself.
func (l *lab) awaitReady(members int32) {
	l.Helper()
	l.within(fmt.Sprintf("%d members", members), func() error {
		var c v1alpha1.UnibusCluster
		if err := l.read(&c, "-n bus ubc/demo"); err != nil {
			return err
		}
		if c.Status.ObservedGeneration != c.Generation {
			return errors.New("the operator has not seen the wish")
		}
		for _, condition := range c.Status.Conditions {
			if condition.Type == v1alpha1.ConditionReady && condition.Status == "True" && c.Status.ReadyReplicas == members && len(c.Status.Members) == int(members) {
				return nil
			}
		}
		return fmt.Errorf("%+v", c.Status.Conditions)
	})
}

// restarts are how often the container of each pod was started anew, by the pod's name.
func (l *lab) restarts(namespace string) map[string]int32 {
	l.Helper()
	var pods corev1.PodList
	l.must(l.read(&pods, "-n "+namespace+" pods"))
	all := map[string]int32{}
	for _, p := range pods.Items {
		for _, c := range p.Status.ContainerStatuses {
			all[p.Name] += c.RestartCount
		}
	}
	return all
}

// kill ends the node in a pod as the kernel does that is short of memory.
func (l *lab) kill(pod string) {
	l.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/environ")
	l.must(err)
	var found []int
	for _, file := range all {
		env, err := os.ReadFile(file) // processes come and go
		if err != nil || !bytes.Contains(env, []byte("\x00POD_NAME="+pod+"\x00")) || !bytes.Contains(env, []byte(pod+".demo-nodes."+namespace+".svc\x00")) {
			continue
		}
		var pid int
		_, err = fmt.Sscanf(file, "/proc/%d/environ", &pid)
		l.must(err)
		found = append(found, pid)
	}
	if len(found) != 1 {
		l.Fatalf("the processes in pod %s are %v", pod, found)
	}
	l.must(syscall.Kill(found[0], syscall.SIGKILL))
}
