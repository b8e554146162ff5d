// SPDX-License-Identifier: Apache-2.0

package command

import (
	"bytes"
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

var (
	program = flag.String("devcluster", "", "the program, with all built that it builds: tests of up and down run it as root")
	kills   = flag.Int("kills", 6, "how often up is killed after its first second")
)

// name is that of the cluster; those of others begin alike.
const name = "leaves"

// traces returns all that a cluster could leave on the machine, a line each.
func traces(t *testing.T) []string {
	t.Helper()
	var all []string
	for what, args := range map[string][]string{
		"netns": {"ip", "netns"}, "link": {"ip", "-oneline", "link"}, "route": {"ip", "route", "show", "table", "all"},
		"nft": {"nft", "list", "ruleset"}, "loop": {"losetup", "--list", "--noheadings", "--output", "NAME,BACK-FILE"},
		// Below those of the first level there are those of others, that come and go.
		"cgroup": {"sh", "-c", "find /sys/fs/cgroup -maxdepth 2 -type d"},
		"file":   {"sh", "-c", "ls -d /run/* /run/*/* /var/lib/* /var/log/* 2>/dev/null || true"},
		"folder": {"sh", "-c", "find /etc /opt /usr/libexec -maxdepth 4 2>/dev/null || true"},
		// Others have files there that come and go.
		"temporary": {"sh", "-c", "ls -d /tmp/*devcluster-* /tmp/*kube* /tmp/*containerd* /tmp/*runc* /tmp/*cni* 2>/dev/null || true"},
		"sysctl":    {"sh", "-c", "sysctl -a 2>/dev/null | grep -E '^(vm.overcommit_memory|vm.panic|kernel.panic|kernel.keys|net.ipv4.ip_forward|net.netfilter.nf_conntrack_max)' || true"},
	} {
		out, err := exec.Command(args[0], args[1:]...).Output()
		if err != nil {
			t.Fatalf("%v: %v", args, err)
		}
		for line := range strings.Lines(string(out)) {
			all = append(all, what+": "+strings.TrimSpace(line))
		}
	}
	mounts, err := os.ReadFile("/proc/self/mounts")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		all = append(all, "mount: "+strings.TrimSpace(line))
	}
	return append(all, processes(t, name)...)
}

// processes returns those that have the name of a cluster, or the beginning of it, in their program's path, arguments,
// environment or cgroup: the machine has others that come and go.
func processes(t *testing.T, name string) []string {
	t.Helper()
	dir, err := cache()
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err != nil || pid == os.Getpid() {
			continue
		}
		exe, _ := os.Readlink(filepath.Join("/proc", e.Name(), "exe"))
		text := exe
		for _, file := range []string{"cmdline", "environ", "cgroup"} {
			part, _ := os.ReadFile(filepath.Join("/proc", e.Name(), file))
			text += " " + strings.ReplaceAll(string(part), "\x00", " ")
		}
		if strings.Contains(text, filepath.Join(dir, "run", name)) || strings.Contains(text, "devcluster."+name) {
			all = append(all, "process: "+e.Name()+" "+exe)
		}
	}
	return all
}

// others lists kinds of traces of which nothing may be missing either: what was there before is the machine's own.
var others = regexp.MustCompile("^(netns|link|route|nft|sysctl|mount): ")

// expectNoTrace waits: the kernel takes a moment to remove what nobody has any more, and other tests that run on this
// machine make things of their own for a while.
func expectNoTrace(t *testing.T, before []string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for {
		after := traces(t)
		gone := slices.DeleteFunc(slices.Clone(before), func(line string) bool { return !others.MatchString(line) || slices.Contains(after, line) })
		left := slices.DeleteFunc(after, func(line string) bool { return slices.Contains(before, line) })
		if len(left)+len(gone) == 0 {
			break
		}
		select {
		case <-ctx.Done():
			t.Fatalf("left behind:\n%s\nmissing:\n%s", strings.Join(left, "\n"), strings.Join(gone, "\n"))
		case <-tick.C:
		}
	}
	dir, err := cache()
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []string{".", "run"} {
		if left, err := filepath.Glob(filepath.Join(dir, where, name+"*")); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	}
}

func devcluster(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	return on(t, name, args...)
}

// on returns a command for a cluster.
func on(t *testing.T, cluster string, args ...string) *exec.Cmd {
	t.Helper()
	if *program == "" || os.Geteuid() != 0 {
		t.Skip("it takes -devcluster PROGRAM, and root")
	}
	cmd := exec.Command(*program, append([]string{"--name", cluster}, args...)...)
	cmd.Stdout, cmd.Stderr = os.Stderr, os.Stderr
	return cmd
}

func mustDevcluster(t *testing.T, args ...string) {
	t.Helper()
	if err := devcluster(t, args...).Run(); err != nil {
		t.Fatalf("devcluster %v: %v", args, err)
	}
}

// mustBegin returns the traces of a machine without the cluster, and removes it after the test.
func mustBegin(t *testing.T) []string {
	t.Helper()
	mustDevcluster(t, "build")
	mustDevcluster(t, "down")
	t.Cleanup(func() { mustDevcluster(t, "down") })
	return traces(t)
}

const pod = `
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: data}
spec: {accessModes: [ReadWriteOnce], resources: {requests: {storage: 320Mi}}}
---
apiVersion: v1
kind: Pod
metadata: {name: pod}
spec:
  tolerations: [{operator: Exists}]
  containers:
  - {name: c, image: "docker.io/devcluster/pause:1", imagePullPolicy: Never, volumeMounts: [{name: data, mountPath: /data}]}
  volumes: [{name: data, persistentVolumeClaim: {claimName: data}}]
`

func TestDownLeavesNothing(t *testing.T) {
	before := mustBegin(t)
	mustDevcluster(t, "up", "--nodes", "2")
	apply := devcluster(t, "kubectl", "apply", "-f", "-")
	apply.Stdin = strings.NewReader(pod)
	if err := apply.Run(); err != nil {
		t.Fatal(err)
	}
	mustDevcluster(t, "kubectl", "wait", "--for=condition=Ready", "--timeout=120s", "pod/pod")
	mustDevcluster(t, "node", "cut", "2")
	expectRemedy(t, devcluster(t, "up", "--nodes", "2"), "node heal 2")
	mustDevcluster(t, "node", "pause", "1")
	expectRemedy(t, devcluster(t, "up", "--nodes", "2"), "node resume node1")
	mustDevcluster(t, "down")
	expectNoTrace(t, before)
	mustDevcluster(t, "down") // it may be said twice
}

// expectRemedy wants a command to fail, with what helps.
func expectRemedy(t *testing.T, cmd *exec.Cmd, remedy string) {
	t.Helper()
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Run(); err == nil || !strings.Contains(said.String(), remedy) {
		t.Errorf("%v: %v, %s, want %q", cmd.Args, err, &said, remedy)
	}
}

// Wherever up is killed, down removes what it did.
func TestDownAfterUpWasKilled(t *testing.T) {
	before := mustBegin(t)
	began := time.Now()
	mustDevcluster(t, "up", "--nodes", "2")
	whole := time.Since(began)
	mustDevcluster(t, "down")
	moments := early()
	for i := range *kills {
		moments = append(moments, whole*time.Duration(i+1)/time.Duration(*kills+1))
	}
	for _, after := range moments {
		t.Run(fmt.Sprintf("killed after %v", after.Round(time.Millisecond)), func(t *testing.T) {
			kill(t, after, "up", "--nodes", "2")
			mustDevcluster(t, "down")
			expectNoTrace(t, before)
		})
	}
}

// Wherever the start of a node is killed, up completes it.
func TestUpAfterNodeStartWasKilled(t *testing.T) {
	mustBegin(t)
	mustDevcluster(t, "up", "--nodes", "2", "--without", "cert-manager")
	for _, after := range early() {
		t.Run(fmt.Sprintf("killed after %v", after), func(t *testing.T) {
			mustDevcluster(t, "node", "kill9", "2")
			kill(t, after, "node", "start", "2")
			mustDevcluster(t, "up", "--nodes", "2", "--without", "cert-manager")
		})
	}
}

// early returns moments of the first second of a command: most is made there, one thing soon after the other.
func early() []time.Duration {
	var all []time.Duration
	for after := 5 * time.Millisecond; after < time.Second; after *= 2 {
		all = append(all, after)
	}
	return all
}

// kill runs a command, and kills it after a time.
func kill(t *testing.T, after time.Duration, args ...string) {
	t.Helper()
	cmd := devcluster(t, args...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	select {
	case <-time.After(after):
		if err := cmd.Process.Signal(syscall.SIGKILL); err != nil {
			t.Logf("%v was done before it could be killed", args)
		}
		<-ended
	case <-ended:
	}
}
