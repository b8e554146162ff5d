// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
)

// TestOwns: a Secret is the cluster's if it controls it, or if nobody does and the labels say so.
func TestOwns(t *testing.T) {
	p := seen(1)
	p.c.UID = "u"
	before := []metav1.OwnerReference{{Kind: "UnibusCluster", Name: "demo", UID: "x", Controller: ptr.To(true)}}
	for name, c := range map[string]struct {
		meta metav1.ObjectMeta
		want bool
	}{
		"made":                  {p.meta("demo-keys"), true},
		"the first admin's":     {p.meta(p.c.AdminSecretName()), true},
		"of a cluster before":   {metav1.ObjectMeta{Labels: manifests.Labels(p.c), OwnerReferences: before}, false},
		"restored":              {metav1.ObjectMeta{Labels: manifests.Labels(p.c)}, true},
		"of somebody else":      {metav1.ObjectMeta{Labels: map[string]string{"app": "x"}}, false},
		"of somebody, unmarked": {metav1.ObjectMeta{}, false},
	} {
		if got := p.owns(&corev1.Secret{ObjectMeta: c.meta}); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	if left := p.meta(p.c.AdminSecretName()).OwnerReferences; left != nil {
		t.Errorf("the first admin's key ends with the cluster: %v", left)
	}
	if len(p.meta("demo-keys").OwnerReferences) != 1 {
		t.Error("the keys outlive the cluster")
	}
}

// TestAdminKeptElsewhere: who has the first admin's seed in a safe may delete its Secret, and the bus goes on with that admin, however it scales.
func TestAdminKeptElsewhere(t *testing.T) {
	l := mustLab(t, sample(t, "one"))
	l.within("a cluster of one", func(c *v1alpha1.UnibusCluster) bool { return ready(c) && c.Status.Endpoints.AdminSecret != "" })
	l.expectRest() // the key is noted by now
	secret, identity := l.mustSecret(l.cluster.AdminSecretName()), new(corev1.ConfigMap)
	must(t, l.api.Get(t.Context(), client.ObjectKey{Namespace: l.cluster.Namespace, Name: l.cluster.IdentityName()}, identity))
	want, err := publicKey(secret, adminSeed)
	if must(t, err); identity.Annotations[annotationAdmin] != want {
		t.Fatalf("noted is %q, want %s", identity.Annotations[annotationAdmin], want)
	}
	must(t, l.api.Delete(t.Context(), secret))
	l.within("a status without the Secret", func(c *v1alpha1.UnibusCluster) bool { return ready(c) && c.Status.Endpoints.AdminSecret == "" })
	processes := l.processes()
	l.scale(3)
	l.within("a cluster of three", func(c *v1alpha1.UnibusCluster) bool { return ready(c) && c.Status.ReadyReplicas == 3 })
	l.expectRest()
	if l.pods() != 3 || l.processes()[0] != processes[0] {
		t.Error("pods were made anew")
	}
	if err := l.api.Get(t.Context(), client.ObjectKeyFromObject(secret), new(corev1.Secret)); !apierrors.IsNotFound(err) {
		t.Errorf("a Secret with the admin's key was made without one: %v", err)
	}
}

// TestAdminKey: a seed that is there says who the first admin is, and what was noted of it only stands in for one that is not.
func TestAdminKey(t *testing.T) {
	p := seen(1)
	made, err := newAdmin()
	must(t, err)
	other, err := newAdmin()
	must(t, err)
	secret, noted := &corev1.Secret{Data: made}, &corev1.Secret{Data: other}
	there, err := publicKey(secret, adminSeed)
	must(t, err)
	elsewhere, err := publicKey(noted, adminSeed)
	must(t, err)
	for name, c := range map[string]struct {
		secret     *corev1.Secret
		note, want string
	}{
		"there":                   {secret, elsewhere, there},
		"there, not noted":        {secret, "", there},
		"deleted":                 {nil, elsewhere, elsewhere},
		"the seed taken out":      {&corev1.Secret{}, elsewhere, elsewhere},
		"deleted, not noted":      {nil, "", ""},
		"deleted, nonsense noted": {nil, "U", ""},
		"damaged":                 {&corev1.Secret{Data: map[string][]byte{adminSeed: []byte("x")}}, elsewhere, ""},
	} {
		p.secrets[p.c.AdminSecretName()] = c.secret
		p.identity = &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{annotationAdmin: c.note}}}
		if got, err := p.adminKey(); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: %q, %v, want %q", name, got, err, c.want)
		}
	}
}
