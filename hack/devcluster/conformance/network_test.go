// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestServices(t *testing.T) {
	t.Parallel()
	nodes := mustNodes(t)
	s := newSpace(t)
	var pods []string
	for _, node := range nodes {
		pods = append(pods, "on-"+node)
		s.mustPod("on-"+node, onNode(node))
	}
	// Frames between pods of one node pass what turns the address of a Service into that of a pod, too.
	pods = append(pods, "beside")
	s.mustPod("beside", onNode(nodes[0]))
	inside := s.mustService("inside", "all", "pods", func(*corev1.ServiceSpec) {})
	outside := s.mustService("outside", "app", pods[0], func(spec *corev1.ServiceSpec) { spec.Type = corev1.ServiceTypeNodePort })
	s.awaitReady(pods...)
	for _, url := range []string{"http://inside", "http://" + inside.Spec.ClusterIP} {
		seen := map[string]bool{}
		eventually(t, url+" leads to all pods", func(context.Context) error {
			name, err := s.exec(pods[0], "get", url)
			seen[name] = true
			if err == nil && len(seen) < len(pods) {
				err = fmt.Errorf("so far it leads to %v", seen)
			}
			return err
		})
	}
	for _, node := range nodes {
		address := mustNodeAddress(t, node)
		for _, pod := range pods {
			eventually(t, "port of "+node+" from "+pod, func(context.Context) error {
				name, err := s.exec(pod, "get", fmt.Sprintf("http://%s:%d", address, outside.Spec.Ports[0].NodePort))
				if err == nil && name != pods[0] {
					err = fmt.Errorf("it leads to %q", name)
				}
				return err
			})
		}
	}
}

// Nothing enforces a policy; what one would stop can be asked.
func TestNetworkPolicies(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	for _, name := range []string{"friend", "stranger", "server"} {
		s.mustPod(name)
	}
	s.awaitReady("friend", "stranger", "server")
	s.mustApply(`
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: friends-only}
spec:
  podSelector: {matchLabels: {app: server}}
  ingress: [{from: [{podSelector: {matchLabels: {app: friend}}}], ports: [{port: 8080}]}]
`)
	if got := mustDevcluster(t, "allows", s.name+"/friend", s.name+"/server", "8080"); got != "allowed\n" {
		t.Errorf("got %q", got)
	}
	for from, port := range map[string]string{"friend": "80", "stranger": "8080"} {
		_, err := devcluster("allows", s.name+"/"+from, s.name+"/server", port)
		expectFailure(t, err, "denied by NetworkPolicy "+s.name+"/friends-only")
	}
}

func mustNodeAddress(t *testing.T, name string) string {
	t.Helper()
	node, err := client.CoreV1().Nodes().Get(t.Context(), name, metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range node.Status.Addresses {
		if a.Type == corev1.NodeInternalIP {
			return a.Address
		}
	}
	t.Fatalf("%s has no address", name)
	return ""
}

func TestKubectl(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.mustPod("server")
	s.awaitReady("server")

	t.Run("exec", func(t *testing.T) {
		if got, err := s.exec("server", "get", "http://127.0.0.1:8080"); err != nil || got != "server" {
			t.Errorf("got %q, error %v", got, err)
		}
		_, err := s.exec("server", "no-such-command")
		expectFailure(t, err, `no command "no-such-command"`)
	})
	t.Run("logs", func(t *testing.T) {
		if got, err := s.kubectl("logs", "server"); err != nil || got != "testpod serves serve\n" {
			t.Errorf("got %q, error %v", got, err)
		}
	})
	t.Run("cp", func(t *testing.T) {
		here := filepath.Join(t.TempDir(), "there")
		if err := os.WriteFile(here, []byte("and back"), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, way := range [][2]string{{here, "server:/tools/file"}, {"server:/tools/file", here + " again"}} {
			if out, err := s.kubectl("cp", way[0], way[1]); err != nil {
				t.Fatalf("%v: %v: %s", way, err, out)
			}
		}
		if got, err := os.ReadFile(here + " again"); err != nil || string(got) != "and back" {
			t.Errorf("got %q, error %v", got, err)
		}
	})
	t.Run("port-forward", func(t *testing.T) { s.expectForward(t, "server") })
	t.Run("top", func(t *testing.T) {
		_, err := s.kubectl("top", "pods")
		expectFailure(t, err, "Metrics API not available") // as everywhere without metrics-server
		node := s.mustGet("server").Spec.NodeName
		if got, err := s.kubectl("get", "--raw", "/api/v1/nodes/"+node+"/proxy/stats/summary"); err != nil || !strings.Contains(got, `"name": "server"`) {
			t.Errorf("kubelet's summary: %q, error %v", got, err)
		}
	})
}

func (s space) expectForward(t *testing.T, pod string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program, "--name", name, "kubectl", "-n", s.name, "port-forward", "pod/"+pod, ":8080")
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatalf("port-forward ends: %v", err)
	}
	// Forwarding from 127.0.0.1:41234 -> 8080
	address, _, _ := strings.Cut(strings.TrimPrefix(line, "Forwarding from "), " ")
	response, err := http.Get("http://" + address)
	if err != nil {
		t.Fatalf("%q: %v", line, err)
	}
	defer response.Body.Close()
	if body, err := io.ReadAll(response.Body); err != nil || string(body) != pod+"\n" {
		t.Errorf("got %q, error %v", body, err)
	}
}
