// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/unibus/unibus/internal/natstest"
)

// limit is how long a condition may take on a slow machine. What is waited for is named.
const limit = 4 * time.Minute

// release is the operator's.
const release = "ops"

// T is what is needed of a test; the demo, which is none, has its own. Fatal ends the goroutine.
type T interface {
	Context() context.Context
	Error(args ...any)
	Errorf(format string, args ...any)
	Fatal(args ...any)
	Fatalf(format string, args ...any)
	Helper()
	Logf(format string, args ...any)
}

// Place is a Kubernetes that has the images, and what a person has who uses it.
type Place struct {
	// Devcluster is its name; without one it is that of kubectl's current context.
	Devcluster string
	// Images is what the names of images begin with, before a slash, and Version is their tag.
	Images, Version string
	// Namespace is where clusters are, Operators where the operator is.
	Namespace, Operators string
	// Root is the folder of the repository, Dir the person's, which has the command line unibus, and gets keys and the like.
	Root, Dir string
}

// lab is a place in which something is tried.
type lab struct {
	T
	Place
	// bus is the name of the cluster, writer that of the pod that writes, and machine where that is to run, if this matters.
	bus, writer, machine string

	began time.Time
	ports []int
	// operators is how often pods of the operator had been restarted before.
	operators map[string]int32
	// uids are those of the bus's pods and the writer as they were seen last, by name, but for those that are to be made anew.
	uids map[string]types.UID
	// waits is what is waited for.
	waits atomic.Pointer[string]
	sum   Sum
}

// newLab makes the person's commands.
func newLab(t T, p Place) *lab {
	l := &lab{T: t, Place: p, bus: "demo", writer: "writer", began: time.Now()}
	if p.Devcluster != "" {
		for tool, command := range map[string]string{"kubectl": "kubectl ", "helm": "helm ", "devcluster": ""} {
			l.must(os.WriteFile(filepath.Join(p.Dir, tool), fmt.Appendf(nil, "#!/bin/sh\nexec %s/bin/devcluster --name %s %s\"$@\"\n", p.Root, p.Devcluster, command), 0o700))
		}
	}
	var err error
	l.ports, err = natstest.FreePorts(2)
	l.must(err)
	return l
}

// shell runs a script with this cluster's kubectl and helm, and unibus, and returns what it says on its output.
func (l *lab) shell(ctx context.Context, script, input string) (string, error) {
	cmd := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", script)
	// What it started ends with it.
	cmd.Cancel, cmd.WaitDelay = func() error { return cmd.Process.Signal(syscall.SIGTERM) }, 5*time.Second
	cmd.Dir, cmd.Stdin = l.Dir, strings.NewReader(input)
	cmd.Env = append(os.Environ(), "PATH="+l.Dir+":"+os.Getenv("PATH"), "UNIBUS_CONTEXTS="+filepath.Join(l.Dir, "contexts.json"), "UNIBUS_CONTEXT=")
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

// forwarded runs a script while the cluster can be reached from here.
func (l *lab) forwarded(script string) string {
	l.Helper()
	return l.run(fmt.Sprintf(`: > forward.log; kubectl port-forward -n %s service/%s %d:4222 %d:8223 > forward.log & trap "kill $!" EXIT
		until grep -q %[4]d forward.log; do kill -0 $!; sleep 0.1; done
		%s`, l.Namespace, l.bus, l.ports[0], l.ports[1], script))
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
	ctx, stop := context.WithTimeout(l.Context(), limit)
	defer stop()
	pause := time.NewTicker(300 * time.Millisecond) // Kubernetes is on the same machine
	defer pause.Stop()
	for {
		err := wrong()
		if err == nil {
			return
		}
		said := fmt.Sprintf("%s: %v", what, err)
		l.waits.Store(&said)
		select {
		case <-ctx.Done():
			l.Fatalf("not within %v: %s", limit, said)
		case <-pause.C:
		}
	}
}

// step is a part whose time is told, and what it waits for while it lasts.
func (l *lab) step(what string, do func()) {
	l.Helper()
	began := time.Now()
	l.waits.Store(&what)
	over, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(2 * time.Second)
		defer tick.Stop()
		told := ""
		for {
			select {
			case <-over:
				return
			case <-tick.C:
			}
			if now := *l.waits.Load(); now != told {
				l.Logf("         %5.1fs  ... %s", time.Since(began).Seconds(), now)
				told = now
			}
		}
	}()
	defer func() { close(over); <-ended }()
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
