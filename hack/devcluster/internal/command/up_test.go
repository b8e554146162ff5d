// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/unibus/unibus/hack/devcluster/internal/machine"
)

// trial is a cluster as it is asked for.
type trial struct {
	name        string
	nodes       int
	certManager bool
}

func (c trial) up() []string {
	args := []string{"up", "--nodes", fmt.Sprint(c.nodes)}
	if !c.certManager {
		args = append(args, "--without", "cert-manager")
	}
	return args
}

// Clusters of any size come up beside each other, and one goes without the others.
func TestClustersAtOnce(t *testing.T) {
	before := mustBegin(t)
	small, large := trial{name + "-small", 1, false}, trial{name + "-large", 5, true}
	var coming sync.WaitGroup
	for _, c := range []trial{small, large} {
		t.Cleanup(func() { c.mustRun(t, "down") })
		coming.Go(func() {
			if err := on(t, c.name, c.up()...).Run(); err != nil {
				t.Errorf("%s: %v", c.name, err)
			}
		})
	}
	if coming.Wait(); t.Failed() {
		return
	}
	small.expect(t)
	large.expect(t)
	small.expectMended(t)
	small.mustRun(t, "down")
	large.mustRun(t, "status") // fails if something is not well
	large.mustRun(t, "down")
	expectNoTrace(t, before)
}

func (c trial) mustRun(t *testing.T, args ...string) string {
	t.Helper()
	var said bytes.Buffer
	cmd := on(t, c.name, args...)
	cmd.Stdout = &said
	if err := cmd.Run(); err != nil {
		t.Fatalf("devcluster --name %s %v: %v: %s", c.name, args, err, &said)
	}
	return said.String()
}

// expect wants the cluster to be what was asked for, and to stay what it is.
func (c trial) expect(t *testing.T) {
	t.Helper()
	ready := c.mustRun(t, "kubectl", "get", "nodes", "-o", `jsonpath={range .items[*]}{.status.conditions[?(@.type=="Ready")].status}{" "}{end}`)
	if want := strings.Repeat("True ", c.nodes); ready != want {
		t.Errorf("%s: its nodes are ready: %q, want %q", c.name, ready, want)
	}
	kinds := c.mustRun(t, "kubectl", "api-resources", "--api-group=cert-manager.io", "--no-headers")
	if got := strings.Contains(kinds, "issuers"); got != c.certManager {
		t.Errorf("%s has kinds of cert-manager: %q, want: %t", c.name, kinds, c.certManager)
	}
	was := c.lasting(t)
	c.mustRun(t, c.up()...)
	if is := c.lasting(t); is != was {
		t.Errorf("a second up of %s changed what runs from\n%s\nto\n%s", c.name, was, is)
	}
	other := trial{c.name, c.nodes%5 + 1, c.certManager}
	expectRemedy(t, on(t, other.name, other.up()...), "devcluster down --name "+c.name)
}

// expectMended kills the machine of the control plane, and wants the next up to bring a cluster that works.
func (c trial) expectMended(t *testing.T) {
	t.Helper()
	dir, err := cache()
	if err != nil {
		t.Fatal(err)
	}
	control := filepath.Join(dir, "run", c.name, "control")
	pid := machine.Find(control)
	if pid == 0 {
		t.Fatalf("%s has no control plane", c.name)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for machine.Find(control) != 0 {
		<-tick.C
	}
	c.mustRun(t, c.up()...)
	if got := c.mustRun(t, "kubectl", "get", "nodes", "--output", "name"); strings.Count(got, "node/") != c.nodes {
		t.Errorf("%s has the nodes %q, want %d", c.name, got, c.nodes)
	}
}

// lasting returns the processes of the cluster that run for as long as it does.
func (c trial) lasting(t *testing.T) string {
	t.Helper()
	var all []string
	for _, line := range processes(t, c.name) {
		switch filepath.Base(line) {
		case "components", "containerd", "devcluster":
			all = append(all, line)
		}
	}
	if len(all) < 4*c.nodes {
		t.Errorf("%s: only %v run", c.name, all)
	}
	return strings.Join(all, "\n")
}
