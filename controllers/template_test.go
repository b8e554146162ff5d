// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	applyappsv1 "k8s.io/client-go/applyconfigurations/apps/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/natstest"
	"github.com/unibus/unibus/internal/scaling"
)

// TestKeepTemplate: what pods are made of is written down when all is at rest, before any is replaced, and once; a stray hand's change is not.
func TestKeepTemplate(t *testing.T) {
	p := seen(3)
	roll(p, 0)
	p.c.UID, p.identity = "u", new(corev1.ConfigMap)
	p.set.Annotations[annotationNote] = "4/a"
	p.set.Spec.Template.Spec.NodeName = "was"
	done, waits := scaling.Step{Action: scaling.Done}, scaling.Step{Action: scaling.Wait}
	keep := func() { p.identity.Annotations = map[string]string{annotationPods: p.templateText(p.set)} }
	expect := func(when string, step scaling.Step, want scaling.Action) {
		t.Helper()
		if got := p.roll(step); got.Action != want {
			t.Errorf("%s: %s, want %s", when, got.Action, want)
		}
	}
	expect("at rest", done, keepTemplate)
	expect("while something is awaited", waits, scaling.Wait)
	keep()
	expect("written down", done, replacePod)
	p.set.Spec.Template.Spec.NodeName = "stray"
	expect("changed by a stray hand", done, replacePod)
	p.set.Annotations[annotationNote] = "5/a"
	expect("another note", done, keepTemplate)
	if keep(); p.keptPods() == nil || p.keptPods().Note != "5/a" || p.keptPods().Template.Spec.NodeName != "was" {
		t.Errorf("written down of a stray hand: %+v", p.keptPods())
	}
	p.set.Annotations[annotationTemplate] = "c"
	expect("another template", done, keepTemplate)
	if keep(); p.keptPods() == nil || p.keptPods().Template.Spec.NodeName != "stray" {
		t.Errorf("written down of another: %+v", p.keptPods())
	}
	p.c.UID = "v"
	if p.keptPods() != nil {
		t.Error("what was a cluster's before was taken")
	}
	p.set.Spec.Template.Annotations = map[string]string{"a": strings.Repeat("a", mostKept)}
	expect("too long", done, replacePod)
	p.identity = nil
	expect("before there is a record", done, replacePod)
}

// TestBegin: a StatefulSet that is made anew makes pods as the one before it, and says of none that runs that it is of its template.
func TestBegin(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*pass)
		// image is that of the template, rolled whether all pods are said to be of it.
		image  string
		rolled bool
	}{
		"the first":                              {func(p *pass) { p.identity, p.pods = nil, nil }, "new", true},
		"anew":                                   {func(*pass) {}, "old", false},
		"anew, and no pod is left":               {func(p *pass) { p.pods = nil }, "old", false},
		"around pods, with nothing written down": {func(p *pass) { p.identity = nil }, "new", false},
		"beside what was a cluster's of that name": {func(p *pass) { p.c.UID, p.pods = "v", nil }, "new", true},
		"around pods, beside what can't be read":   {func(p *pass) { p.identity.Annotations[annotationPods] = "{" }, "new", false},
	} {
		p := seen(3)
		roll(p)
		p.c.UID, p.identity = "u", new(corev1.ConfigMap)
		p.set.Annotations[annotationNote] = "4/a"
		p.set.Spec.Template.Spec.Containers = []corev1.Container{{Name: v1alpha1.NodeContainer, Image: "old"}}
		p.identity.Annotations = map[string]string{annotationPods: p.templateText(p.set)}
		p.set = nil
		c.change(p)
		set := applyappsv1.StatefulSet("demo", "talk").WithSpec(applyappsv1.StatefulSetSpec().WithTemplate(applycorev1.PodTemplateSpec().WithSpec(
			applycorev1.PodSpec().WithContainers(applycorev1.Container().WithName(v1alpha1.NodeContainer).WithImage("new")))))
		hash, note := digest(set.Spec.Template), p.note()
		must(t, p.begin(set))
		if c.image == "old" {
			hash, note = "b", "4/a"
		}
		has := set.Annotations
		if image := *set.Spec.Template.Spec.Containers[0].Image; image != c.image || has[annotationTemplate] != hash || has[annotationNote] != note || has[annotationWish] != "3" ||
			(has[annotationRolled] == hash) != c.rolled {
			t.Errorf("%s: pods of %s, %v", name, image, has)
		}
	}
}

// TestSetDeleted: whoever deletes the StatefulSet, with its pods or without, changes nothing of what pods are: a newer operator still asks.
func TestSetDeleted(t *testing.T) {
	l := mustLab(t, sample(t, "one"))
	l.within("a cluster of one", ready)
	said := l.mustSay(0, 0, 10)
	l.version.Store("0.0.1")
	(*l.end.Load())()
	l.within("a question", asked)
	for pods, how := range []client.DeleteOption{client.PropagationPolicy("Orphan"), client.PropagationPolicy("Background")} {
		set, key := new(appsv1.StatefulSet), client.ObjectKeyFromObject(l.cluster)
		must(t, l.api.Get(t.Context(), key, set))
		before := set.UID
		must(t, l.api.Delete(t.Context(), set, how))
		natstest.Within(t, limit, "another StatefulSet, all pods of it", func() bool {
			return l.api.Get(t.Context(), key, set) == nil && set.UID != before && set.Annotations[annotationRolled] == set.Annotations[annotationTemplate]
		})
		l.within("the question again", asked)
		old := func(p corev1.Pod) bool { return strings.HasSuffix(p.Spec.Containers[0].Image, ":0.0.0") }
		if got := len(l.uids(old)); got != 1 || pods == 0 && l.pods() != 1 {
			t.Errorf("%d pods are of the older version, want 1; %d were made", got, l.pods())
		}
	}
	l.expectHeard(0, said)
	l.expectRest()
}
