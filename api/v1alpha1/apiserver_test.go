// SPDX-License-Identifier: Apache-2.0

package v1alpha1_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/unibus/unibus/internal/crdtest"
	"github.com/unibus/unibus/internal/natstest"
)

// TestAPIServer: a kube-apiserver refuses what the tables say, as kubectl apply is told, and takes what they take.
func TestAPIServer(t *testing.T) {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	if assets == "" {
		natstest.Lacks(t, "no API server: %s", `eval "$(make --silent envtest-assets)"`)
	}
	log.SetLogger(logr.Discard())
	env := envtest.Environment{BinaryAssetsDirectory: assets, ControlPlaneStartTimeout: 2 * time.Minute, ControlPlaneStopTimeout: 2 * time.Minute,
		CRDDirectoryPaths: []string{filepath.Join(crdtest.Root(), "config", "crd", "bases")}, ErrorIfCRDPathMissing: true}
	config, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := env.Stop(); err != nil {
			t.Error(err)
		}
	})
	api, err := client.New(config, client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	api = client.WithFieldValidation(client.NewDryRunClient(api), "Strict")
	for _, c := range slices.Concat(taken, refusedTop, refusedStore, refusedNetwork, refusedPods) {
		t.Run(c.name, func(t *testing.T) {
			o := new(unstructured.Unstructured)
			if err := yaml.Unmarshal([]byte(laid(t, laid(t, least, "metadata: {namespace: default}"), c.over)), &o.Object); err != nil {
				t.Fatal(err)
			}
			c.judgeError(t, api.Create(t.Context(), o))
		})
	}
}

// judgeError judges what an API server says, which names all fields in one text; a rule for the whole object has no field but in its words.
func (c change) judgeError(t *testing.T, err error) {
	t.Helper()
	if c.field == "" {
		if err != nil {
			t.Errorf("refused: %v", err)
		}
		return
	}
	where := strings.TrimPrefix(c.field, "<nil>")
	if err == nil || !strings.Contains(err.Error(), where) || !strings.Contains(err.Error(), c.says) {
		t.Errorf("got %v\nwant %s that says %q", err, c.field, c.says)
	}
}
