// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestHelm(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	helm := func(args ...string) {
		t.Helper()
		mustDevcluster(t, append([]string{"helm", "--namespace", s.name}, args...)...)
	}
	expectWord := func(want string) {
		t.Helper()
		got, err := client.CoreV1().ConfigMaps(s.name).Get(t.Context(), "small", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if got.Data["word"] != want {
			t.Errorf("the release has %q, want %q", got.Data["word"], want)
		}
		deployment, err := client.AppsV1().Deployments(s.name).Get(t.Context(), "small", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if deployment.Spec.Template.Annotations["word"] != want || deployment.Status.UpdatedReplicas != 1 || deployment.Status.ReadyReplicas != 1 {
			t.Errorf("--wait returned before the pods are: %+v", deployment.Status)
		}
	}
	const chart = "testdata/chart"
	helm("install", "small", chart, "--set", "image="+image, "--wait", "--timeout", "3m")
	expectWord("first")
	helm("upgrade", "small", chart, "--reuse-values", "--set", "word=second", "--wait", "--timeout", "3m")
	expectWord("second")
	helm("rollback", "small", "1", "--wait", "--timeout", "3m")
	expectWord("first")
	helm("uninstall", "small", "--wait", "--timeout", "3m")
	if _, err := client.CoreV1().ConfigMaps(s.name).Get(t.Context(), "small", metav1.GetOptions{}); !apierrors.IsNotFound(err) {
		t.Errorf("after uninstall: %v", err)
	}
}
