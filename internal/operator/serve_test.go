// SPDX-License-Identifier: Apache-2.0

package operator

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-logr/logr"
	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/yaml"

	"github.com/unibus/unibus/internal/crdtest"
	"github.com/unibus/unibus/internal/natstest"
)

const (
	limit     = 2 * time.Minute
	namespace = "unibus-system"
	account   = "system:serviceaccount:" + namespace + ":unibus-operator"
)

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// auditLog has what the API server was asked for, a line each: {"verb": ..., "user": {"username": ...}, "objectRef": {"resource": ...}}.
const auditLog = "audit.log"

// mustServe starts an API server with the definitions and with what is in config/rbac, and has KUBECONFIG be that of the operator. The API server's audit
// log is in dir.
func mustServe(t *testing.T, dir string) client.Client {
	t.Helper()
	log.SetLogger(logr.Discard())
	assets, config := os.Getenv("KUBEBUILDER_ASSETS"), filepath.Join(crdtest.Root(), "config")
	if assets == "" {
		natstest.Lacks(t, `no API server: eval "$(make --silent envtest-assets)"`)
	}
	env := envtest.Environment{BinaryAssetsDirectory: assets, ControlPlaneStartTimeout: limit, ControlPlaneStopTimeout: limit,
		CRDDirectoryPaths: []string{filepath.Join(config, "crd", "bases"), filepath.Join(assets, "crds")}, ErrorIfCRDPathMissing: true}
	policy := filepath.Join(dir, "policy.yaml")
	must(t, os.WriteFile(policy, []byte(`{"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [{"level": "Metadata"}]}`), 0o600))
	env.ControlPlane.GetAPIServer().Configure().Set("audit-policy-file", policy).Set("audit-log-path", filepath.Join(dir, auditLog))
	admin, err := env.Start()
	must(t, err)
	t.Cleanup(func() { must(t, env.Stop()) })
	api, err := client.New(admin, client.Options{})
	must(t, err)
	must(t, api.Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace}}))
	files, err := filepath.Glob(filepath.Join(config, "rbac", "*.yaml"))
	must(t, err)
	for _, file := range files {
		b, err := os.ReadFile(file)
		must(t, err)
		for _, doc := range bytes.Split(b, []byte("\n---\n")) {
			o := new(unstructured.Unstructured)
			must(t, yaml.Unmarshal(doc, &o.Object))
			if o.GetKind() != "" { // but for the kustomization
				must(t, api.Create(t.Context(), o))
			}
		}
	}
	operator, err := env.AddUser(envtest.User{Name: account, Groups: []string{"system:serviceaccounts", "system:authenticated"}}, new(rest.Config))
	must(t, err)
	kubeconfig, err := operator.KubeConfig()
	must(t, err)
	file := filepath.Join(t.TempDir(), "kubeconfig")
	must(t, os.WriteFile(file, kubeconfig, 0o600))
	t.Setenv("KUBECONFIG", file)
	return api
}

// mustToken makes a ServiceAccount and returns a token of it.
func mustToken(t *testing.T, api client.Client, name string) string {
	t.Helper()
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	must(t, api.Create(t.Context(), account))
	request := new(authenticationv1.TokenRequest)
	must(t, api.SubResource("token").Create(t.Context(), account, request))
	return request.Status.Token
}

// TestServes: with the rights of config/rbac the operator works, which check says while it is so, and shows its metrics to whom an
// administrator lets see them, and to nobody else.
func TestServes(t *testing.T) {
	dir := t.TempDir()
	api := mustServe(t, dir)
	port, err := natstest.FreePort()
	must(t, err)
	s := settings{operatorNamespace: namespace, labels: map[string]string{"a": "b"}, leaderElection: true, probes: "0", metrics: fmt.Sprintf("127.0.0.1:%d", port)}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- run(ctx, s) }()

	stranger, prometheus := mustToken(t, api, "stranger"), mustToken(t, api, "prometheus")
	must(t, api.Create(t.Context(), &rbacv1.ClusterRoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "prometheus"},
		RoleRef:  rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "unibus-operator.unibus-system.metrics"},
		Subjects: []rbacv1.Subject{{Kind: rbacv1.ServiceAccountKind, Namespace: namespace, Name: "prometheus"}}}))
	// The certificate is its own; who it is doesn't matter here.
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	defer transport.CloseIdleConnections()
	get := func(token string) (status int, body string) {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://"+s.metrics+"/metrics", nil)
		must(t, err)
		if token != "" {
			req.Header.Set("Authorization", "Bearer "+token)
		}
		resp, err := transport.RoundTrip(req)
		if err != nil {
			return 0, err.Error()
		}
		defer resp.Body.Close()
		b, err := io.ReadAll(resp.Body)
		return resp.StatusCode, fmt.Sprint(string(b), err)
	}
	natstest.Within(t, limit, "metrics are served", func() bool { status, _ := get(""); return status != 0 })
	natstest.Within(t, limit, "Prometheus is known, and let in", func() bool { status, _ := get(prometheus); return status == http.StatusOK })
	if _, body := get(prometheus); !strings.Contains(body, "controller_runtime_") {
		t.Errorf("metrics: %s", body)
	}
	// The API server calls a token that is none an error, and the filter takes that for one of its own.
	for token, want := range map[string]int{"": http.StatusUnauthorized, "nonsense": http.StatusInternalServerError, stranger: http.StatusForbidden} {
		if status, _ := get(token); status != want {
			t.Errorf("status %d with the token %q, want %d", status, token, want)
		}
	}

	must(t, check(t.Context(), s))
	stop()
	if err := <-ended; err != nil {
		t.Errorf("the operator ended with %v", err)
	}
	short, end := context.WithTimeout(t.Context(), time.Second)
	defer end()
	if err := check(short, s); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "no operator holds the lease") {
		t.Errorf("check says %v when no operator is at work", err)
	}
	expectNeeded(t, api, filepath.Join(dir, auditLog))
}

// expectNeeded expects that the operator has used every right of the role for its Lease. Package controllers has the same of the other role.
func expectNeeded(t *testing.T, api client.Client, audit string) {
	t.Helper()
	role := new(rbacv1.Role)
	must(t, api.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "unibus-operator-leader-election"}, role))
	log, err := os.ReadFile(audit)
	must(t, err)
	used := map[string]bool{}
	for line := range bytes.Lines(log) {
		var e struct {
			Verb      string
			User      authenticationv1.UserInfo
			ObjectRef struct{ Resource, APIGroup, Namespace string }
		}
		must(t, json.Unmarshal(line, &e))
		if e.User.Username == account && e.ObjectRef.Namespace == namespace {
			used[e.Verb+" "+e.ObjectRef.Resource+"."+e.ObjectRef.APIGroup] = true
		}
	}
	for _, rule := range role.Rules {
		for _, verb := range rule.Verbs {
			if right := verb + " " + rule.Resources[0] + "." + rule.APIGroups[0]; !used[right] {
				t.Errorf("the operator may %s, and has not needed it", right)
			}
		}
	}
}
