// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"errors"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
)

func TestAPIServerFaults(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	for _, name := range []string{"hit", "spared"} {
		s.mustAccount(name)
		s.mustPod(name, func(p *corev1.PodSpec) { p.ServiceAccountName = name })
	}
	s.awaitReady("hit", "spared")
	fault := func(args ...string) {
		t.Helper()
		mustDevcluster(t, append(append([]string{"apiserver"}, args...), "--service-account", s.name+"/hit")...)
	}
	ask := func(pod string) error {
		_, err := s.exec(pod, "api", "/version")
		return err
	}
	expectSpared := func() {
		t.Helper()
		if err := ask("spared"); err != nil {
			t.Errorf("another ServiceAccount: %v", err)
		}
	}
	if err := errors.Join(ask("hit"), ask("spared")); err != nil {
		t.Fatal(err)
	}
	for status, reason := range map[string]string{"429": "TooManyRequests", "500": "InternalError", "503": "ServiceUnavailable"} {
		fault("reject", "--status", status, "--for", "10m")
		err := ask("hit")
		expectFailure(t, err, "status "+status)
		expectFailure(t, err, reason)
		expectSpared()
	}
	fault("down", "--for", "10m")
	expectFailure(t, ask("hit"), "EOF")
	expectSpared()
	fault("slow", "--latency", "1m", "--for", "10m") // more than testpod waits
	expectFailure(t, ask("hit"), "deadline exceeded")
	expectSpared()
	fault("heal")
	if err := ask("hit"); err != nil {
		t.Errorf("healed: %v", err)
	}

	fault("down", "--for", "3s")
	eventually(t, "a fault ends by itself", func(context.Context) error { return ask("hit") })
	for _, args := range [][]string{{"reject", "--status", "200"}, {"down", "--for", "-1s"}, {"slow", "--latency", "0s"},
		{"down", "--service-account", s.name + "/nobody"}} {
		if out, err := devcluster(append([]string{"apiserver"}, args...)...); err == nil {
			t.Errorf("%v is taken: %s", args, out)
		}
	}
}

// TestAPIServerFaultsSpareKubelets is not parallel: the fault is for all that is inside.
func TestAPIServerFaultsSpareKubelets(t *testing.T) {
	mustNodes(t)
	s := newSpace(t)
	s.mustPod("before")
	s.awaitReady("before")
	mustDevcluster(t, "apiserver", "down", "--for", "10m")
	t.Cleanup(func() { mustDevcluster(t, "apiserver", "heal") })
	if out, err := s.exec("before", "api", "/version"); err == nil {
		t.Errorf("the API server answers: %s", strings.TrimSpace(out))
	}
	s.mustPod("during")
	s.awaitReady("during") // scheduled, started and reported
}
