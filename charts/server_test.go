// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/yaml"

	"github.com/unibus/unibus/internal/crdtest"
	"github.com/unibus/unibus/internal/natstest"
)

const limit = 2 * time.Minute

// mustServe starts an API server without anything in it.
func mustServe(t *testing.T) (api client.Client, kubeconfig string) {
	t.Helper()
	env := envtest.Environment{BinaryAssetsDirectory: filepath.Dir(newest(t, "components-*/kube-apiserver")),
		ControlPlaneStartTimeout: limit, ControlPlaneStopTimeout: limit}
	config, err := env.Start()
	must(t, err)
	t.Cleanup(func() { must(t, env.Stop()) })
	api, err = client.New(config, client.Options{Scheme: mustScheme(t)})
	must(t, err)
	kubeconfig = filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(kubeconfig, env.KubeConfig, 0o600))
	return api, kubeconfig
}

// TestServer: a real API server takes the chart with all values, every sample, and a cluster's wish not to be deleted; and what is
// uninstalled leaves clusters alone.
func TestServer(t *testing.T) {
	api, kubeconfig := mustServe(t)
	run := func(args ...string) {
		t.Helper()
		out, err := helm(t, append(args, "--kubeconfig", kubeconfig, "--namespace", namespace)...)
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	run("install", release, chart, "--create-namespace")
	for _, o := range mustRender(t) {
		if o.GetAnnotations()["helm.sh/hook"] != "" {
			continue // made when it is asked for
		}
		must(t, api.Get(t.Context(), client.ObjectKeyFromObject(o), o))
	}
	var all []*unstructured.Unstructured
	files, err := filepath.Glob(filepath.Join(crdtest.Root(), "config", "samples", "*.yaml"))
	must(t, err)
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		b, err := os.ReadFile(file)
		must(t, err)
		c := new(unstructured.Unstructured)
		must(t, yaml.Unmarshal(b, &c.Object))
		c.SetNamespace("default")
		must(t, api.Create(t.Context(), c))
		all = append(all, c)
	}
	for _, c := range all {
		expectDeletion(t, api, c)
	}

	run("upgrade", release, chart, "--set", "watchNamespace=default")
	one(t, mustRender(t, `watchNamespace="default"`), func(r *rbacv1.Role) bool { return api.Get(t.Context(), client.ObjectKeyFromObject(r), r) == nil })
	kept := all[0].DeepCopy()
	kept.SetResourceVersion("")
	must(t, api.Create(t.Context(), kept))
	run("uninstall", release)
	must(t, api.Get(t.Context(), client.ObjectKeyFromObject(kept), kept))
	run("install", release, chart)
}

// TestAlone: a release that would look after clusters which another looks after is refused, with what there is to do. One with clusters of
// its own is not.
func TestAlone(t *testing.T) {
	_, kubeconfig := mustServe(t)
	run := func(command, name, in string, set ...string) error {
		args := []string{command, name, "--kubeconfig", kubeconfig, "--namespace", in}
		if command == "install" {
			args = append(args, chart, "--create-namespace")
		}
		for _, s := range set {
			args = append(args, "--set", s)
		}
		_, err := helm(t, args...)
		return err
	}
	expectRefused := func(says string, err error) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}
	const definitionStays = "crds.install=false"
	must(t, run("install", "ops", "one"))
	all := "release ops in namespace one looks after the clusters of all namespaces already"
	expectRefused(all, run("install", "ops", "two", definitionStays))
	expectRefused(all, run("install", "ops", "two", definitionStays, "watchNamespace=two"))
	must(t, run("uninstall", "ops", "one"))

	expectRefused("the definition of UnibusCluster is that of release ops in namespace one", run("install", "ops", "two", "watchNamespace=two"))
	must(t, run("install", "ops", "two", definitionStays, "watchNamespace=two"))
	must(t, run("install", "ops", "three", definitionStays, "watchNamespace=three"))
	expectRefused("release ops in namespace two looks after the clusters of namespace two already",
		run("install", "other", "four", definitionStays, "watchNamespace=two"))
	expectRefused("and this one would look after all", run("install", "ops", "one"))
}

// expectDeletion deletes a cluster, which takes two tries if it is protected. A policy takes effect a moment after it is made.
func expectDeletion(t *testing.T, api client.Client, c *unstructured.Unstructured) {
	t.Helper()
	field := []string{"spec", "deletionProtection"}
	if protected, _, _ := unstructured.NestedBool(c.Object, field...); protected {
		natstest.Within(t, limit, "deletion of "+c.GetName()+" is refused", func() bool {
			err := api.Delete(t.Context(), c, client.DryRunAll)
			return apierrors.IsForbidden(err) && strings.Contains(err.Error(), "kubectl patch ubc -n default "+c.GetName())
		})
		must(t, unstructured.SetNestedField(c.Object, false, field...))
		must(t, api.Update(t.Context(), c))
	}
	must(t, api.Delete(t.Context(), c))
}
