// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"slices"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycore "k8s.io/client-go/applyconfigurations/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

func TestCELValidation(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	group := s.name + ".example.org" // kinds are the cluster's
	t.Cleanup(func() { mustDevcluster(t, "kubectl", "delete", "crd", "boxes."+group) })
	s.mustApply(`
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: boxes.` + group + `}
spec:
  group: ` + group + `
  scope: Namespaced
  names: {kind: Box, plural: boxes, singular: box}
  versions:
  - name: v1
    served: true
    storage: true
    schema:
      openAPIV3Schema:
        type: object
        properties:
          spec:
            type: object
            properties: {least: {type: integer}, most: {type: integer}, name: {type: string}}
            x-kubernetes-validations:
            - {rule: "self.least <= self.most", message: least is more than most}
            - {rule: "self.name == oldSelf.name", message: the name stays}
`)
	mustDevcluster(t, "kubectl", "wait", "--for=condition=Established", "--timeout=1m", "crd/boxes."+group)
	box := func(name, spec string) string {
		return "{apiVersion: " + group + "/v1, kind: Box, metadata: {name: " + name + "}, spec: {" + spec + "}}"
	}
	eventually(t, "a valid object is taken", func(context.Context) error { return s.apply(box("a", "least: 1, most: 2, name: x")) })
	expectFailure(t, s.apply(box("b", "least: 3, most: 2, name: x")), "least is more than most")
	expectFailure(t, s.apply(box("a", "least: 1, most: 2, name: z")), "the name stays")
}

func TestServerSideApply(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	maps := client.CoreV1().ConfigMaps(s.name)
	apply := func(owner, key, value string, force bool) error {
		_, err := maps.Apply(t.Context(), applycore.ConfigMap("shared", s.name).WithData(map[string]string{key: value}),
			metav1.ApplyOptions{FieldManager: owner, Force: force})
		return err
	}
	for _, err := range []error{apply("one", "a", "1", false), apply("two", "b", "2", false)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := apply("two", "a", "3", false); !apierrors.IsConflict(err) {
		t.Errorf("a field of another owner: error %v, want a conflict", err)
	}
	if err := apply("two", "a", "3", true); err != nil {
		t.Fatal(err)
	}
	got, err := maps.Get(t.Context(), "shared", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if _, left := got.Data["b"]; left || got.Data["a"] != "3" {
		t.Errorf("got %v: a field that its owner applies no more goes", got.Data)
	}
}

func (s space) mustAccount(name string) string {
	s.t.Helper()
	_, err := client.CoreV1().ServiceAccounts(s.name).Create(s.t.Context(), &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return "system:serviceaccount:" + s.name + ":" + name
}

func TestSubjectAccessReview(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	user := s.mustAccount("reader")
	allowed := func(verb string) bool {
		t.Helper()
		review, err := client.AuthorizationV1().SubjectAccessReviews().Create(t.Context(), &authorizationv1.SubjectAccessReview{
			Spec: authorizationv1.SubjectAccessReviewSpec{User: user, ResourceAttributes: &authorizationv1.ResourceAttributes{
				Namespace: s.name, Verb: verb, Resource: "pods"}},
		}, metav1.CreateOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return review.Status.Allowed
	}
	if allowed("list") {
		t.Error("allowed without a role")
	}
	s.mustKubectl("create", "role", "reader", "--verb=list", "--resource=pods")
	s.mustKubectl("create", "rolebinding", "reader", "--role=reader", "--serviceaccount="+s.name+":reader")
	eventually(t, "the role gives access", func(context.Context) error {
		if !allowed("list") {
			return errNotYet
		}
		return nil
	})
	if allowed("delete") {
		t.Error("allowed more than the role gives")
	}
}

func TestTokens(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	user := s.mustAccount("caller")
	token, err := client.CoreV1().ServiceAccounts(s.name).CreateToken(t.Context(), "caller", &authenticationv1.TokenRequest{
		Spec: authenticationv1.TokenRequestSpec{Audiences: []string{"bus"}}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	s.expectToken(token.Status.Token, "bus", user)
	if got := s.review(token.Status.Token, "other"); got.Authenticated {
		t.Error("a token counts for an audience that it is not for")
	}
	s.mustPod("caller", func(p *corev1.PodSpec) {
		p.ServiceAccountName = "caller"
		p.Volumes = append(p.Volumes, corev1.Volume{Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
			Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{Audience: "bus", Path: "token"}}}}}})
		p.Containers[0].VolumeMounts = append(p.Containers[0].VolumeMounts, corev1.VolumeMount{Name: "token", MountPath: "/bus"})
	})
	s.awaitReady("caller")
	projected := s.mustExec("caller", "cat", "/bus/token")
	status := s.expectToken(projected, "bus", user)
	if got := status.User.Extra["authentication.kubernetes.io/pod-name"]; !slices.Equal(got, []string{"caller"}) {
		t.Errorf("a projected token is bound to pod %v", got)
	}
	s.mustKubectl("delete", "pod", "caller")
	eventually(t, "the token of a pod goes with it", func(context.Context) error {
		if s.review(projected, "bus").Authenticated {
			return errNotYet
		}
		return nil
	})
}

// TestAudit: what a ServiceAccount changes is written down, and nothing that it reads.
func TestAudit(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	user := s.mustAccount("writer")
	s.mustKubectl("create", "role", "writer", "--verb=create,get", "--resource=configmaps")
	s.mustKubectl("create", "rolebinding", "writer", "--role=writer", "--serviceaccount="+s.name+":writer")
	token, err := client.CoreV1().ServiceAccounts(s.name).CreateToken(t.Context(), "writer", &authenticationv1.TokenRequest{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	as := rest.AnonymousClientConfig(config)
	as.BearerToken = token.Status.Token
	writer, err := kubernetes.NewForConfig(as)
	if err != nil {
		t.Fatal(err)
	}
	maps := writer.CoreV1().ConfigMaps(s.name)
	eventually(t, "the account may write", func(ctx context.Context) error {
		_, err := maps.Create(ctx, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "written"}}, metav1.CreateOptions{})
		return err
	})
	if _, err := maps.Get(t.Context(), "written", metav1.GetOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the audit log has it", func(context.Context) error {
		log := mustDevcluster(t, "logs", "audit")
		written := strings.Contains(log, `"verb":"create","user":{"username":"`+user+`"`)
		if strings.Contains(log, `"verb":"get"`) {
			t.Error("the audit log has what was read")
		}
		if !written {
			return errNotYet
		}
		return nil
	})
}

func (s space) review(token, audience string) authenticationv1.TokenReviewStatus {
	s.t.Helper()
	got, err := client.AuthenticationV1().TokenReviews().Create(s.t.Context(), &authenticationv1.TokenReview{
		Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: []string{audience}}}, metav1.CreateOptions{})
	if err != nil {
		s.t.Fatal(err)
	}
	return got.Status
}

func (s space) expectToken(token, audience, user string) authenticationv1.TokenReviewStatus {
	s.t.Helper()
	got := s.review(token, audience)
	if !got.Authenticated || got.User.Username != user {
		s.t.Errorf("the token is of %q, authenticated: %t, %s; want %q", got.User.Username, got.Authenticated, got.Error, user)
	}
	return got
}

func TestRestrictedIsEnforced(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.mustPod("fits")
	yes := true
	for what, change := range map[string]func(*corev1.PodSpec){
		"privileged":               func(p *corev1.PodSpec) { p.Containers[0].SecurityContext.Privileged = &yes },
		"hostNetwork":              func(p *corev1.PodSpec) { p.HostNetwork = true },
		"runAsNonRoot":             func(p *corev1.PodSpec) { p.SecurityContext.RunAsNonRoot = nil },
		"seccompProfile":           func(p *corev1.PodSpec) { p.SecurityContext.SeccompProfile = nil },
		"capabilities":             func(p *corev1.PodSpec) { p.Containers[0].SecurityContext.Capabilities = nil },
		"hostPath":                 hostPath,
		"allowPrivilegeEscalation": func(p *corev1.PodSpec) { p.Containers[0].SecurityContext.AllowPrivilegeEscalation = nil },
	} {
		_, err := client.CoreV1().Pods(s.name).Create(t.Context(), &corev1.Pod{
			ObjectMeta: metav1.ObjectMeta{Name: "breaks"}, Spec: podSpec(change)}, metav1.CreateOptions{})
		if !apierrors.IsForbidden(err) && !apierrors.IsInvalid(err) || !strings.Contains(err.Error(), what) {
			t.Errorf("a pod against %s: %v", what, err)
		}
	}
}

func hostPath(p *corev1.PodSpec) {
	p.Volumes = append(p.Volumes, corev1.Volume{Name: "host", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: "/"}}})
}
