// SPDX-License-Identifier: Apache-2.0

package command

import (
	"strings"
	"testing"
	"time"

	"k8s.io/client-go/kubernetes"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
)

// controller-runtime's envtest starts what a cluster is made of.
func TestEnvtest(t *testing.T) {
	build := devcluster(t, "build", "--assets")
	build.Stdout = nil
	said, err := build.Output()
	if err != nil {
		t.Fatal(err)
	}
	assets, ok := strings.CutPrefix(strings.TrimSpace(string(said)), "export KUBEBUILDER_ASSETS=")
	if !ok {
		t.Fatalf("got %q", said)
	}
	environment := &envtest.Environment{BinaryAssetsDirectory: assets, ControlPlaneStartTimeout: 4 * time.Minute, ControlPlaneStopTimeout: time.Minute}
	config, err := environment.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := environment.Stop(); err != nil {
			t.Error(err)
		}
	})
	client, err := kubernetes.NewForConfig(config)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := client.ServerVersion(); err != nil {
		t.Error(err)
	}
}
