// SPDX-License-Identifier: Apache-2.0

package charts

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer/json"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/pod-security-admission/api"
	"k8s.io/pod-security-admission/policy"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/unibus/unibus/internal/crdtest"
	"github.com/unibus/unibus/internal/natstest"
)

const (
	chart     = "unibus-operator"
	release   = "ops"
	namespace = "unibus-system"
)

func TestMain(m *testing.M) {
	log.SetLogger(logr.Discard())
	goleak.VerifyTestMain(m)
}

// newest finds the newest file that was built for devcluster, by a pattern within its cache. Without it there is nothing to be tested.
func newest(t *testing.T, pattern string) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	must(t, err)
	all, err := filepath.Glob(filepath.Join(cache, "unibus-devcluster", pattern))
	must(t, err)
	if len(all) == 0 {
		natstest.Lacks(t, "no %s: make devcluster-build builds it, once", pattern)
	}
	return slices.MaxFunc(all, func(a, b string) int {
		one, err := os.Stat(a)
		must(t, err)
		other, err := os.Stat(b)
		must(t, err)
		return one.ModTime().Compare(other.ModTime())
	})
}

// helm runs Helm with folders of its own and returns what it says.
func helm(t *testing.T, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), newest(t, "helm-*/helm"), args...)
	cmd.Env = append(os.Environ(), "HELM_CACHE_HOME="+t.TempDir(), "HELM_CONFIG_HOME="+t.TempDir(), "HELM_DATA_HOME="+t.TempDir())
	var out, wrong bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &wrong
	if err := cmd.Run(); err != nil {
		return out.String(), errors.Join(err, errors.New(wrong.String()))
	}
	return out.String(), nil
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// mustScheme knows all kinds of objects in the chart.
func mustScheme(t *testing.T) *runtime.Scheme {
	t.Helper()
	scheme := runtime.NewScheme()
	must(t, clientgoscheme.AddToScheme(scheme))
	must(t, apiextensionsv1.AddToScheme(scheme))
	return scheme
}

// mustRender returns the chart's objects, each of a kind that Kubernetes has and without a field that it does not know.
func mustRender(t *testing.T, set ...string) []client.Object {
	t.Helper()
	args := []string{"template", release, chart, "--namespace", namespace}
	for _, s := range set {
		args = append(args, "--set-json", s)
	}
	text, err := helm(t, args...)
	must(t, err)
	return mustDecode(t, text)
}

func mustDecode(t *testing.T, text string) []client.Object {
	t.Helper()
	scheme := mustScheme(t)
	decoder := json.NewSerializerWithOptions(json.DefaultMetaFactory, scheme, scheme, json.SerializerOptions{Yaml: true, Strict: true})
	var all []client.Object
	for _, doc := range strings.Split(text, "\n---\n") {
		if strings.TrimSpace(strings.TrimPrefix(doc, "---\n")) == "" {
			continue
		}
		o, _, err := decoder.Decode([]byte(doc), nil, nil)
		if err != nil {
			t.Fatalf("%v:\n%s", err, doc)
		}
		all = append(all, o.(client.Object))
	}
	return all
}

// one is the first of a kind.
func one[T client.Object](t *testing.T, all []client.Object, is func(T) bool) T {
	t.Helper()
	for _, o := range all {
		if o, ok := o.(T); ok && (is == nil || is(o)) {
			return o
		}
	}
	var none T
	t.Fatalf("the chart has no such %T", none)
	return none
}

// everything is each value other than by default.
var everything = []string{
	`image={"repository":"registry.example.com:5000/unibus/unibus-operator","tag":"1.2.3","pullPolicy":"Always"}`,
	`imagePullSecrets=["one","two"]`, `nodeImage="registry.example.com:5000/unibus/membershipd"`, `watchNamespace="chat"`, `replicas=2`,
	`logLevel="debug"`, `clientCAGrace="1h30m"`, `crds={"install":false}`, `metrics={"enabled":false}`, `deletionProtection={"enabled":false}`, `resources={"limits":{"memory":"1Gi"}}`,
	`nodeSelector={"disk":"fast"}`, `tolerations=[{"key":"a","operator":"Exists"}]`, `affinity={"nodeAffinity":{}}`,
	`priorityClassName="high"`, `podLabels={"team":"chat"}`, `podAnnotations={"seen":"yes"}`,
}

// TestRights: the operator has the rights that its tests have run it with, in all namespaces or in one.
func TestRights(t *testing.T) {
	var want rbacv1.ClusterRole
	mustRead(t, "rbac/role.yaml", &want)
	var leader rbacv1.Role
	mustRead(t, "rbac/leader_election.yaml", &leader)
	const name, elects = "unibus-operator", "unibus-operator-leader-election"
	wide, narrow := mustRender(t), mustRender(t, everything...)
	inNamespaces := slices.DeleteFunc(slices.Clone(want.Rules), func(r rbacv1.PolicyRule) bool {
		return slices.Contains(r.Resources, "nodes") || slices.Contains(r.Resources, "persistentvolumes")
	})
	if len(inNamespaces) != len(want.Rules)-2 {
		t.Errorf("%d of %d rules are of namespaces", len(inNamespaces), len(want.Rules))
	}
	for _, c := range []struct{ want, got []rbacv1.PolicyRule }{
		{want.Rules, one(t, wide, func(r *rbacv1.ClusterRole) bool { return r.Name == name }).Rules},
		{inNamespaces, one(t, narrow, func(r *rbacv1.Role) bool { return r.Name == name && r.Namespace == "chat" }).Rules},
		{leader.Rules, one(t, wide, func(r *rbacv1.Role) bool { return r.Name == elects && r.Namespace == namespace }).Rules},
		{leader.Rules, one(t, narrow, func(r *rbacv1.Role) bool { return r.Name == elects && r.Namespace == "chat" }).Rules},
	} {
		if diff := cmp.Diff(c.want, c.got); diff != "" {
			t.Error(diff)
		}
	}
}

func mustRead(t *testing.T, file string, into any) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(crdtest.Root(), "config", file))
	must(t, err)
	first, _, _ := bytes.Cut(bytes.TrimPrefix(b, []byte("---\n")), []byte("\n---\n"))
	must(t, yaml.UnmarshalStrict(first, into))
}

// TestDefinition: it is the generated one, and it stays when the chart goes.
func TestDefinition(t *testing.T) {
	var want apiextensionsv1.CustomResourceDefinition
	mustRead(t, "crd/bases/unibus.dev_unibusclusters.yaml", &want)
	got := one[*apiextensionsv1.CustomResourceDefinition](t, mustRender(t), nil)
	if got.Annotations["helm.sh/resource-policy"] != "keep" {
		t.Errorf("annotations %v", got.Annotations)
	}
	delete(got.Annotations, "helm.sh/resource-policy")
	if diff := cmp.Diff(&want, got); diff != "" {
		t.Error(diff)
	}
}

// TestNamespaced: an operator of one namespace needs nothing that is in none.
func TestNamespaced(t *testing.T) {
	for _, o := range mustRender(t, everything...) {
		if o.GetNamespace() == "" {
			t.Errorf("%T %s is in no namespace", o, o.GetName())
		}
	}
}

// TestRestricted: the operator runs where the Pod Security Standard "restricted" is enforced.
func TestRestricted(t *testing.T) {
	judge, err := policy.NewEvaluator(policy.DefaultChecks(), nil)
	must(t, err)
	restricted := api.LevelVersion{Level: api.LevelRestricted, Version: api.LatestVersion()}
	for _, set := range [][]string{nil, everything} {
		all := mustRender(t, set...)
		pod, test := one[*appsv1.Deployment](t, all, nil).Spec.Template, one[*corev1.Pod](t, all, nil)
		for _, r := range append(judge.EvaluatePod(restricted, &pod.ObjectMeta, &pod.Spec), judge.EvaluatePod(restricted, &test.ObjectMeta, &test.Spec)...) {
			if !r.Allowed {
				t.Errorf("%s: %s", r.ForbiddenReason, r.ForbiddenDetail)
			}
		}
	}
}

// TestLabels: what the network policies of clusters let in is the operator's pods, and its Deployment finds no other's.
func TestLabels(t *testing.T) {
	for _, set := range [][]string{nil, everything} {
		d := one[*appsv1.Deployment](t, mustRender(t, set...), nil)
		var said []string
		for _, arg := range d.Spec.Template.Spec.Containers[0].Args {
			if told, ok := strings.CutPrefix(arg, "--operator-labels="); ok {
				said = strings.Split(told, ",")
			}
		}
		var want []string
		for key, value := range d.Spec.Selector.MatchLabels {
			want = append(want, key+"="+value)
			if d.Spec.Template.Labels[key] != value {
				t.Errorf("pods have the labels %v, without %s=%s", d.Spec.Template.Labels, key, value)
			}
		}
		slices.Sort(want)
		if slices.Sort(said); !slices.Equal(said, want) {
			t.Errorf("the operator is told the labels %v, its pods are chosen by %v", said, want)
		}
		test := one[*corev1.Pod](t, mustRender(t, set...), nil)
		if labels.SelectorFromSet(d.Spec.Selector.MatchLabels).Matches(labels.Set(test.Labels)) {
			t.Errorf("the pod of helm test, with the labels %v, is taken for the operator", test.Labels)
		}
	}
	// Labels of the user's never replace those.
	d := one[*appsv1.Deployment](t, mustRender(t, `podLabels={"app.kubernetes.io/name":"other"}`), nil)
	if got := d.Spec.Template.Labels["app.kubernetes.io/name"]; got != "unibus-operator" {
		t.Errorf("name %q", got)
	}
}

// TestRefusedValues: a value that can't be right is refused before anything is installed.
func TestRefusedValues(t *testing.T) {
	for _, c := range []struct{ set, says string }{
		{`image={"repository":"UPPER"}`, "repository"},
		{`image={"repository":"unibus/unibus-operator:1"}`, "repository"},
		{`nodeImage="unibus/membershipd:1.2.0"`, "nodeImage"},
		{`watchNamespace=["a","b"]`, "watchNamespace"},
		{`replicas=-1`, "replicas"},
		{`logLevel="loud"`, "logLevel"},
		{`clientCAGrace="30s"`, "clientCAGrace"},
		{`crds={"instal":true}`, "instal"},
		{`watchNamespaces="a"`, "watchNamespaces"},
	} {
		if _, err := helm(t, "template", release, chart, "--set-json", c.set); err == nil || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: %v, want that it names %s", c.set, err, c.says)
		}
	}
}

func TestLint(t *testing.T) {
	if out, err := helm(t, "lint", "--strict", chart); err != nil {
		t.Errorf("%v: %s", err, out)
	}
}
