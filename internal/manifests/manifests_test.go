// SPDX-License-Identifier: Apache-2.0

package manifests_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/yaml"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/crdtest"
	"github.com/unibus/unibus/internal/manifests"
)

var update = flag.Bool("update", false, "write the golden files anew")

const definition = "unibus.dev_unibusclusters"

// inputs are those of a cluster whose CAs are of their first generation.
func inputs() manifests.Inputs {
	return manifests.Inputs{
		Image: "registry.example.com/unibus/membershipd:1.0.0", Size: 1, MaxUnavailable: 1, Monitoring: true,
		OperatorKeys: []string{"UD" + strings.Repeat("A", 54)}, OrderKeys: []string{"OD" + strings.Repeat("A", 54)}, Admin: "UC" + strings.Repeat("B", 54),
		RouteCA:           manifests.Authority{1},
		ClientCA:          manifests.Authority{1},
		OperatorNamespace: "unibus-system", OperatorLabels: map[string]string{"app.kubernetes.io/name": "unibus-operator"},
	}
}

// sample reads a file of config/samples, with the API's defaults.
func sample(t *testing.T, name string) *v1alpha1.UnibusCluster {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(crdtest.Root(), "config", "samples", name+".yaml"))
	if err != nil {
		t.Fatal(err)
	}
	return cluster(t, string(b))
}

func cluster(t *testing.T, manifest string) *v1alpha1.UnibusCluster {
	t.Helper()
	c := new(v1alpha1.UnibusCluster)
	crdtest.MustLoad(t, definition).MustDecode(t, manifest, c)
	c.Namespace, c.UID = "talk", "8f2c1f0a-6a3c-4f0e-9f43-6d0f0f7f1a11"
	return c
}

func mustObjects(t *testing.T, c *v1alpha1.UnibusCluster, in manifests.Inputs) []manifests.Object {
	t.Helper()
	if in.Volume.IsZero() {
		in.Volume = c.Spec.Storage.Size.Quantity
	}
	objects, err := manifests.Objects(c, in)
	if err != nil {
		t.Fatal(err)
	}
	return objects
}

func TestGolden(t *testing.T) {
	longest := sample(t, "one")
	longest.Name, longest.Namespace = strings.Repeat("n", v1alpha1.MaxNameLength), strings.Repeat("s", 63)
	rotating := inputs()
	rotating.RouteCA, rotating.Size, rotating.MaxUnavailable = manifests.Authority{3, 4}, 3, 0
	rotating.Addresses = []string{"198.51.100.20", "bus.example.com", "lb.example.net"}
	off := sample(t, "one")
	no := false
	off.Spec.NetworkPolicy.Enabled, off.Spec.Monitoring.PodMonitor = &no, &no
	for _, g := range []struct {
		name string
		c    *v1alpha1.UnibusCluster
		in   manifests.Inputs
	}{
		{"one", sample(t, "one"), inputs()},
		{"three", sample(t, "three"), rotating},
		{"issuers", sample(t, "issuers"), inputs()},
		{"template", sample(t, "template"), inputs()},
		{"longest", longest, inputs()},
		{"off", off, inputs()},
	} {
		t.Run(g.name, func(t *testing.T) {
			var got bytes.Buffer
			for _, o := range mustObjects(t, g.c, g.in) {
				b, err := yaml.Marshal(o)
				if err != nil {
					t.Fatal(err)
				}
				got.WriteString("---\n")
				got.Write(b)
			}
			file := filepath.Join("testdata", g.name+".yaml")
			if *update {
				if err := os.WriteFile(file, got.Bytes(), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(string(want), got.String()); diff != "" {
				t.Errorf("differs from %s; if it is meant: go test ./internal/manifests -update\n%s", file, diff)
			}
		})
	}
}

// typed is an object as the API server reads it; unknown fields fail.
func typed[T any](t *testing.T, o manifests.Object) *T {
	t.Helper()
	b, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	out := new(T)
	if err := yaml.UnmarshalStrict(b, out); err != nil {
		t.Fatal(err)
	}
	return out
}

func find[T any](t *testing.T, objects []manifests.Object, kind string) *T {
	t.Helper()
	for _, o := range objects {
		if *o.GetKind() == kind {
			return typed[T](t, o)
		}
	}
	t.Fatalf("no %s", kind)
	return nil
}

// Scaling restarts nobody: of all objects only the number in the StatefulSet changes.
func TestScalingChangesReplicasOnly(t *testing.T) {
	one, three := sample(t, "one"), sample(t, "one")
	three.Spec.Replicas = 3
	in := inputs()
	before := mustObjects(t, one, in)
	in.Size = 3
	after := mustObjects(t, three, in)
	changed := 0
	for i := range before {
		if reflect.DeepEqual(before[i], after[i]) {
			continue
		}
		a, b := typed[appsv1.StatefulSet](t, before[i]), typed[appsv1.StatefulSet](t, after[i])
		if *a.Spec.Replicas != 1 || *b.Spec.Replicas != 3 {
			t.Errorf("replicas are %d and %d", *a.Spec.Replicas, *b.Spec.Replicas)
		}
		b.Spec.Replicas = a.Spec.Replicas
		if diff := cmp.Diff(a, b); diff != "" {
			t.Errorf("scaling changes more than replicas:\n%s", diff)
		}
		changed++
	}
	if changed != 1 || len(before) != len(after) {
		t.Errorf("%d of %d objects change", changed, len(before))
	}
}

// Each change of the configuration has a name of its own, and the same configuration has the same.
func TestConfigName(t *testing.T) {
	names := map[string]string{}
	for what, change := range map[string]func(*v1alpha1.UnibusCluster, *manifests.Inputs){
		"nothing": func(*v1alpha1.UnibusCluster, *manifests.Inputs) {},
		"log":     func(c *v1alpha1.UnibusCluster, _ *manifests.Inputs) { c.Spec.Log.Level = "Debug" },
		"order": func(_ *v1alpha1.UnibusCluster, in *manifests.Inputs) {
			in.OrderKeys = append([]string{"OB" + in.OrderKeys[0][2:]}, in.OrderKeys...)
		},
		"volume": func(_ *v1alpha1.UnibusCluster, in *manifests.Inputs) { in.Volume = resource.MustParse("512Mi") },
		"sync":   func(c *v1alpha1.UnibusCluster, _ *manifests.Inputs) { c.Spec.JetStream.SyncAlways = true },
	} {
		c, in := sample(t, "one"), inputs()
		change(c, &in)
		objects := mustObjects(t, c, in)
		config := find[corev1.ConfigMap](t, objects, "ConfigMap")
		if !*config.Immutable {
			t.Errorf("%s: the configuration can change", what)
		}
		if other, ok := names[config.Name]; ok {
			t.Errorf("%s and %s have the same name %s", what, other, config.Name)
		}
		names[config.Name] = what
		mounted := ""
		for _, v := range find[appsv1.StatefulSet](t, objects, "StatefulSet").Spec.Template.Spec.Volumes {
			if v.Name == "config" {
				mounted = v.ConfigMap.Name
			}
		}
		if mounted != config.Name {
			t.Errorf("%s: pods mount %s, not %s", what, mounted, config.Name)
		}
	}
}

func TestInputs(t *testing.T) {
	for what, change := range map[string]func(*manifests.Inputs){
		"image": func(in *manifests.Inputs) { in.Image = "" },
		"order": func(in *manifests.Inputs) { in.OrderKeys = nil },
		"admin": func(in *manifests.Inputs) { in.Admin = "" },
		"CA":    func(in *manifests.Inputs) { in.RouteCA = nil },
		"size":  func(in *manifests.Inputs) { in.Size = 6 },
	} {
		in := inputs()
		change(&in)
		if _, err := manifests.Objects(sample(t, "one"), in); !errors.Is(err, manifests.ErrInputs) || !strings.Contains(err.Error(), what) {
			t.Errorf("without %s: %v", what, err)
		}
	}
	bare := &v1alpha1.UnibusCluster{}
	bare.Name, bare.Namespace, bare.UID = "a", "b", "c"
	if _, err := manifests.Objects(bare, inputs()); !errors.Is(err, manifests.ErrInputs) {
		t.Errorf("without defaults: %v", err)
	}
}

func TestUnwanted(t *testing.T) {
	c, no := sample(t, "one"), false
	if off := manifests.Unwanted(c, inputs()); len(off) != 0 {
		t.Errorf("unwanted: %v", off)
	}
	c.Spec.NetworkPolicy.Enabled, c.Spec.Monitoring.PodMonitor = &no, &no
	var kinds []string
	for _, o := range manifests.Unwanted(c, inputs()) {
		kinds = append(kinds, *o.GetKind()+" "+*o.GetName())
	}
	if diff := cmp.Diff([]string{"NetworkPolicy demo-node", "PodMonitor demo-node"}, kinds); diff != "" {
		t.Error(diff)
	}
}
