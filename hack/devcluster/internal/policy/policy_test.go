// SPDX-License-Identifier: Apache-2.0

package policy

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes/fake"
	"sigs.k8s.io/yaml"
)

// Members of a bus take each other and those of the namespace apps on their client port; nobody else, and they call nobody
// but each other and a backup.
const policies = `
metadata: {namespace: bus, name: members}
spec:
  podSelector: {matchLabels: {app: member}}
  policyTypes: [Ingress, Egress]
  ingress:
  - from: [{podSelector: {matchLabels: {app: member}}}]
  - from: [{namespaceSelector: {matchLabels: {team: apps}}}]
    ports: [{port: client}]
  egress:
  - to: [{podSelector: {matchLabels: {app: member}}}]
  - to: [{ipBlock: {cidr: 192.0.2.0/24}}]
    ports: [{port: 443}]
---
metadata: {namespace: apps, name: silence}
spec:
  podSelector: {matchLabels: {app: mute}}
  policyTypes: [Egress]
`

func mustObjects(t *testing.T) []runtime.Object {
	t.Helper()
	var all []runtime.Object
	for namespace, labels := range map[string]map[string]string{"bus": nil, "apps": {"team": "apps"}, "other": nil} {
		all = append(all, &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: namespace, Labels: labels}})
	}
	for i, pod := range []string{"bus/member", "bus/another", "bus/stranger", "apps/caller", "apps/mute", "other/caller"} {
		namespace, name, _ := strings.Cut(pod, "/")
		app := strings.Replace(name, "another", "member", 1)
		all = append(all, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name, Labels: map[string]string{"app": app}},
			Spec:   corev1.PodSpec{Containers: []corev1.Container{{Ports: []corev1.ContainerPort{{Name: "client", ContainerPort: 4222}}}}},
			Status: corev1.PodStatus{PodIP: fmt.Sprintf("10.244.0.%d", 2+i)}})
	}
	all = append(all, &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "bus", Name: "waits"}})
	for text := range strings.SplitSeq(policies, "---\n") {
		policy := &networkingv1.NetworkPolicy{}
		if err := yaml.UnmarshalStrict([]byte(text), policy); err != nil {
			t.Fatal(err)
		}
		all = append(all, policy)
	}
	return all
}

func TestCheck(t *testing.T) {
	client := fake.NewClientset(mustObjects(t)...)
	for _, c := range []struct {
		from, to string
		port     int
		stops    string // the policy; empty if it passes
	}{
		{"bus/member", "bus/another", 6222, ""},
		{"bus/stranger", "bus/member", 4222, "bus/members"},
		{"apps/caller", "bus/member", 4222, ""},
		{"apps/caller", "bus/member", 6222, "bus/members"},
		{"other/caller", "bus/member", 4222, "bus/members"},
		{"198.51.100.1", "bus/member", 4222, "bus/members"},
		{"bus/member", "192.0.2.7", 443, ""},
		{"bus/member", "192.0.2.7", 80, "bus/members"},
		{"bus/member", "apps/caller", 443, "bus/members"},
		{"apps/mute", "bus/member", 4222, "apps/silence"},
		{"apps/caller", "other/caller", 80, ""},
	} {
		err := Check(t.Context(), client, Traffic{c.from, c.to, c.port, corev1.ProtocolTCP})
		if errors.Is(err, ErrDenied) != (c.stops != "") || err != nil && !strings.Contains(err.Error(), c.stops) {
			t.Errorf("from %s to port %d of %s: got %v, want it stopped by: %q", c.from, c.port, c.to, err, c.stops)
		}
	}
	for _, bad := range []string{"member", "bus/nobody", "bus/waits", "nowhere/member", ""} {
		if err := Check(t.Context(), client, Traffic{bad, "bus/member", 1, corev1.ProtocolTCP}); err == nil || errors.Is(err, ErrDenied) {
			t.Errorf("from %q: got %v, want an error that is no answer", bad, err)
		}
	}
}
