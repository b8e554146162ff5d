// SPDX-License-Identifier: Apache-2.0

package kube

import (
	"context"
	"flag"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/unibus/unibus/internal/crdtest"
)

// The operator and clusters are in namespaces of their own. Both enforce "restricted".
const (
	operatorNamespace = "unibus-system"
	namespace         = "bus"
)

var (
	cluster = flag.String("cluster", "", "name of the devcluster that has the images; without it all tests are skipped")
	version = flag.String("version", "", "tag of the images")
)

// architecture is that of the images.
const architecture = runtime.GOARCH

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// mustLab is the Kubernetes of a test, with a folder for what people have in theirs.
func mustLab(t *testing.T) *lab {
	t.Helper()
	if *cluster == "" {
		t.Skip("run by make e2e and make e2e-short: it needs a Kubernetes")
	}
	root := crdtest.Root()
	dir := t.TempDir()
	if err := os.Symlink(filepath.Join(root, "bin", "images", architecture, "unibus"), filepath.Join(dir, "unibus")); err != nil {
		t.Fatal(err)
	}
	return newLab(t, Place{Devcluster: *cluster, Images: "unibus", Version: *version, Namespace: namespace, Operators: operatorNamespace,
		Root: root, Dir: dir})
}

// tell shows what there is to see after a failure.
func (l *lab) tell() {
	for _, script := range []string{
		"kubectl get -n NS ubc,sts,pods,pvc,certificates,events -o wide",
		"kubectl get -n NS ubc -o yaml | sed -n '/^  status:/,$p'",
		"kubectl describe -n NS pods | tail -n 120",
		"kubectl logs -n unibus-system deployment/ops --tail 60",
		"for p in $(kubectl get -n NS pods -o name); do echo \"--- $p\"; kubectl logs -n NS $p --tail 30; done",
	} {
		out, err := l.shell(context.WithoutCancel(l.Context()), strings.ReplaceAll(script, "NS", l.Namespace), "")
		l.Logf("--- %s (%v)\n%s", script, err, out)
	}
}
