// SPDX-License-Identifier: Apache-2.0

// Package conformance proves that a cluster of devcluster does what is expected of Kubernetes. It brings up one of its own and takes it
// down, or uses the one that -cluster names. Tests that disturb nodes run one by one and before all others, which share the cluster.
package conformance

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
)

const (
	image = "devcluster/testpod:conformance"
	limit = 4 * time.Minute // for what happens at last
)

var (
	given = flag.String("cluster", "", "name of a cluster of three nodes that is up, and stays; without it the test has its own")
	own   = flag.String("own", "conformance", "name of its own cluster")

	name    string // of the cluster
	program string // devcluster
	client  *kubernetes.Clientset
	config  *rest.Config // of client
	custom  *dynamic.DynamicClient
)

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Geteuid() != 0 {
		fmt.Fprintln(os.Stderr, "run this as root, as devcluster is")
		os.Exit(1)
	}
	os.Exit(run(m))
}

func run(m *testing.M) (code int) {
	dir, err := os.MkdirTemp("", "conformance-")
	if err == nil {
		defer os.RemoveAll(dir)
		name, program = *given, filepath.Join(dir, "devcluster")
		err = compile("..", program)
	}
	if err == nil && name == "" {
		name = *own
		down := func() {
			if _, err := devcluster("down"); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
		defer down()
		interrupted := make(chan os.Signal, 1)
		signal.Notify(interrupted, syscall.SIGINT, syscall.SIGTERM)
		go func() {
			<-interrupted
			down()
			os.RemoveAll(dir)
			os.Exit(130)
		}()
		_, err = devcluster("up", "--nodes", "3", "--install")
	}
	if err == nil {
		err = prepare(dir)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// prepare connects, and puts the image of the pods into every node.
func prepare(dir string) error {
	if err := compile("./testpod", filepath.Join(dir, "testpod")); err != nil {
		return err
	}
	if _, err := devcluster("image", filepath.Join(dir, "testpod"), "--tag", image); err != nil {
		return err
	}
	text, err := devcluster("kubectl", "config", "view", "--raw")
	if err != nil {
		return err
	}
	if config, err = clientcmd.RESTConfigFromKubeConfig([]byte(text)); err != nil {
		return err
	}
	config.QPS, config.Burst = -1, -1
	config.NextProtos = []string{"http/1.1"} // a client of HTTP/2 gives a connection up that is slow on a busy machine
	if client, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	custom, err = dynamic.NewForConfig(config)
	return err
}

func compile(source, to string) error {
	cmd := exec.Command("go", "build", "-trimpath", "-o", to, source)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w: %s", source, err, out)
	}
	return nil
}

// devcluster returns what the command prints; its progress goes to the error output.
func devcluster(args ...string) (string, error) {
	return feed("", args...)
}

func feed(input string, args ...string) (string, error) {
	cmd := exec.Command(program, append([]string{"--name", name}, args...)...)
	cmd.Env = append(os.Environ(), "KUBECONFIG=/exported/for/another") // as up asks for, of the last one
	var said, wrong strings.Builder
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(input), &said, &wrong
	if args[0] == "up" || args[0] == "down" {
		cmd.Stderr = os.Stderr // takes a while
	}
	if err := cmd.Run(); err != nil {
		return said.String(), fmt.Errorf("devcluster %s: %w: %s", strings.Join(args, " "), err, wrong.String())
	}
	return said.String(), nil
}

func mustDevcluster(t *testing.T, args ...string) string {
	t.Helper()
	out, err := devcluster(args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// eventually tries until there is no error; the last one tells what was missing.
func eventually(t *testing.T, what string, try func(ctx context.Context) error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	for {
		err := try(ctx)
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			t.Fatalf("%s: %v", what, err)
		case <-tick.C:
		}
	}
}

// mustNodes returns the names of all nodes, once all are ready.
func mustNodes(t *testing.T) []string {
	t.Helper()
	var names []string
	eventually(t, "all nodes are ready", func(ctx context.Context) error {
		nodes, err := client.CoreV1().Nodes().List(ctx, metav1.ListOptions{})
		if err != nil {
			return err
		}
		names = nil
		for _, node := range nodes.Items {
			if state := readiness(node); state != "True" || node.Spec.Unschedulable {
				return fmt.Errorf("%s: ready %s, unschedulable %t", node.Name, state, node.Spec.Unschedulable)
			}
			names = append(names, node.Name)
		}
		return nil
	})
	if len(names) < 3 {
		t.Fatalf("the cluster has the nodes %v: give one of three, devcluster up --nodes 3", names)
	}
	return names
}

// TestMemory is not parallel: little but the cluster runs.
func TestMemory(t *testing.T) {
	for line := range strings.Lines(mustDevcluster(t, "status")) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "memory" {
			t.Log(line)
			if mib, err := strconv.Atoi(f[1]); err != nil || mib < 100 || mib >= 2048 {
				t.Errorf("the cluster takes %s MiB (%v), want less than 2 GiB", f[1], err)
			}
			return
		}
	}
	t.Error("status tells no memory")
}
