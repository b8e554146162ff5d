// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
	"github.com/unibus/unibus/internal/scaling"
)

func newSet(wished string) *appsv1.StatefulSet {
	return &appsv1.StatefulSet{ObjectMeta: metav1.ObjectMeta{Annotations: map[string]string{annotationWish: wished}}, Spec: appsv1.StatefulSetSpec{Replicas: ptr.To[int32](0)}}
}

// TestDecide: a new wish is written down before anything is done for it, and a record that can't be read stops everything.
func TestDecide(t *testing.T) {
	p := seen(1)
	p.record, p.pods = nil, nil
	p.c.Status.ClusterID = ""
	p.place()
	for _, c := range []struct {
		wished string
		want   scaling.Action
	}{{"1", scaling.Resize}, {"3", takeWish}, {"", takeWish}, {"x", takeWish}} {
		p.set = newSet(c.wished)
		if got := p.decide(); got.Action != c.want {
			t.Errorf("wished %q: %s, want %s", c.wished, got.Action, c.want)
		}
	}
	_, p.damaged = recordOf(&corev1.ConfigMap{Data: map[string]string{manifests.IdentityKey: "{}"}})
	p.set = newSet("3")
	if got := p.decide(); got.Action != scaling.Wait || !got.Person {
		t.Errorf("damaged: %+v", got)
	}
}

func TestRecordOf(t *testing.T) {
	for text, ok := range map[string]bool{
		`{"clusterID":"a","names":{}}`:                                     true,
		`{"clusterID":"a","names":{"a-0-0":{"phase":"member","place":0}}}`: true,
		`{"clusterID":"a","names":{},"newer":1}`:                           false,
		`{"names":{}}`:                                                     false,
		`{"clusterID":"a"}`:                                                false,
		`{"clusterID":"a","names":{}`:                                      false,
		``:                                                                 false,
	} {
		if r, err := recordOf(&corev1.ConfigMap{Data: map[string]string{manifests.IdentityKey: text}}); (err == nil) != ok || (r != nil) != ok {
			t.Errorf("%s: %v, %v", text, r, err)
		}
	}
	if _, err := recordOf(&corev1.ConfigMap{}); err == nil {
		t.Error("nothing is a record")
	}
}

func TestOrdinal(t *testing.T) {
	for name, want := range map[string]int{"demo-0": 0, "demo-12": 12, "demo-01": -1, "demo--1": -1, "demo-": -1, "other-1": -1, "demo-x-1": -1, "demo-1000": -1} {
		got, ok := ordinal(name, "demo-")
		if !ok {
			got = -1
		}
		if got != want {
			t.Errorf("%s: %d, want %d", name, got, want)
		}
	}
}

func TestImage(t *testing.T) {
	o := Options{Repository: "registry/node", Version: "1.0.0"}
	for want, spec := range map[string]v1alpha1.UnibusClusterSpec{
		"registry/node:1.0.0": {}, "registry/node:2.0.0": {Version: "2.0.0"}, "own:3": {Image: "own:3"},
	} {
		if got := image(spec, o); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}

// TestFingerprint: what others change of an object is seen, but not its status where that can be told.
func TestFingerprint(t *testing.T) {
	object := func(change func(*metav1.PartialObjectMetadata)) string {
		m := &metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{UID: "u", ResourceVersion: "1", Generation: 1, Labels: map[string]string{"a": "b"}}}
		change(m)
		return fingerprint(m)
	}
	as := object(func(*metav1.PartialObjectMetadata) {})
	for what, c := range map[string]struct {
		change func(*metav1.PartialObjectMetadata)
		same   bool
	}{
		"status":     {func(m *metav1.PartialObjectMetadata) { m.ResourceVersion = "2" }, true},
		"spec":       {func(m *metav1.PartialObjectMetadata) { m.Generation = 2 }, false},
		"label":      {func(m *metav1.PartialObjectMetadata) { m.Labels["a"] = "c" }, false},
		"annotation": {func(m *metav1.PartialObjectMetadata) { m.Annotations = map[string]string{"a": "c"} }, false},
		"owner":      {func(m *metav1.PartialObjectMetadata) { m.OwnerReferences = []metav1.OwnerReference{{UID: "o"}} }, false},
		"object":     {func(m *metav1.PartialObjectMetadata) { m.UID = "v" }, false},
	} {
		if got := object(c.change) == as; got != c.same {
			t.Errorf("%s: same is %v", what, got)
		}
	}
	plain := func(version string) string {
		return object(func(m *metav1.PartialObjectMetadata) { m.Generation, m.ResourceVersion = 0, version })
	}
	if plain("1") == plain("2") {
		t.Error("what has no generation is told by its version")
	}
}

func TestPodTrouble(t *testing.T) {
	waits := func(reason, message, last string) *corev1.Pod {
		return pod(corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{Name: "unibus",
			State:                corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason, Message: message}},
			LastTerminationState: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{Message: last}}}}})
	}
	for _, c := range []struct {
		pod          *corev1.Pod
		reason, says string
	}{
		{pod(corev1.PodStatus{}), "", ""},
		{waits("ContainerCreating", "", ""), "", ""},
		{waits("ImagePullBackOff", "no such image", ""), v1alpha1.ReasonPodsFailing, "no such image"},
		{waits("CrashLoopBackOff", "back-off 5m0s", "--bind: no"), v1alpha1.ReasonPodsFailing, "--bind: no"},
		{pod(corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "0/3 nodes"}}}), v1alpha1.ReasonPodsPending, "0/3 nodes"},
	} {
		got := podTrouble(map[int]*corev1.Pod{0: c.pod})
		if got == nil {
			got = new(verdict)
		}
		if got.reason != c.reason || !strings.Contains(got.message, c.says) {
			t.Errorf("%+v, want %s with %q", got, c.reason, c.says)
		}
	}
}
