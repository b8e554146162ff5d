// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	admissionv1 "k8s.io/api/admissionregistration/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/natstest"
)

// TestFailureKeepsWhatWasSeen: an error tells nothing about the bus, whose status stays as it was, a person's task included; and the same one
// is told once, whatever it counts.
func TestFailureKeepsWhatWasSeen(t *testing.T) {
	p := seen(3)
	p.pods[1] = pod(corev1.PodStatus{})
	before := status(p.facts(notOwned("Service", "demo")))
	p.c.Status = before
	blind := &pass{Reconciler: p.Reconciler, memory: p.memory, c: p.c}
	failed := func(why string) v1alpha1.UnibusClusterStatus {
		o := failure(errors.New(why))
		o.steady(p.c.Status.Conditions)
		return status(blind.facts(o))
	}
	first := failed("read tcp 10.0.0.1:40001->10.0.0.2:443: reset at 12:00:01.5")
	for _, kind := range []string{v1alpha1.ConditionDegraded, v1alpha1.ConditionFormed, v1alpha1.ConditionStalled, v1alpha1.ConditionUpgrading} {
		if diff := cmp.Diff(meta.FindStatusCondition(before.Conditions, kind), meta.FindStatusCondition(first.Conditions, kind)); diff != "" {
			t.Errorf("%s:\n%s", kind, diff)
		}
	}
	if c := meta.FindStatusCondition(first.Conditions, v1alpha1.ConditionReady); c.Reason != v1alpha1.ReasonReconcileError || !strings.Contains(c.Message, "reset") {
		t.Errorf("ready: %+v", c)
	}
	kept := first.DeepCopy()
	kept.Conditions = before.Conditions
	if diff := cmp.Diff(before, *kept); diff != "" {
		t.Errorf("beside conditions:\n%s", diff)
	}
	p.c.Status = first
	if diff := cmp.Diff(first, failed("read tcp 10.0.0.1:40002->10.0.0.2:443: reset at 12:00:02")); diff != "" {
		t.Errorf("told anew:\n%s", diff)
	}
	if other := failed("it is full"); cmp.Equal(first, other) {
		t.Error("another failure is not told")
	}
}

// TestFailure: what is refused for good is for a person, all else is tried again, and told when it lasts.
func TestFailure(t *testing.T) {
	secrets := schema.GroupResource{Resource: "secrets"}
	for err, want := range map[error]string{
		apierrors.NewForbidden(secrets, "a", nil):            v1alpha1.ReasonApplyRefused,
		apierrors.NewInternalError(errors.New("no webhook")): v1alpha1.ReasonReconcileError,
		apierrors.NewTimeoutError("slow", 1):                 v1alpha1.ReasonReconcileError,
	} {
		if o := failure(err); o.reason != want || o.stalled != (want == v1alpha1.ReasonApplyRefused) || !errors.Is(o.failed, err) {
			t.Errorf("%v: %+v", err, o)
		}
	}
	m, now := new(memory), time.Now()
	if m.failsLong(now) || m.failsLong(now.Add(passing-1)) || !m.failsLong(now.Add(passing)) {
		t.Error("an error is told once it has lasted, and not before")
	}
}

// TestWebhookDown: a webhook that does not run is told, once, and what it held up goes on soon after it is back.
func TestWebhookDown(t *testing.T) {
	hook := &admissionv1.ValidatingWebhookConfiguration{Webhooks: []admissionv1.ValidatingWebhook{{
		Name: "down.example.org", SideEffects: ptr.To(admissionv1.SideEffectClassNone), AdmissionReviewVersions: []string{"v1"},
		ClientConfig: admissionv1.WebhookClientConfig{URL: ptr.To("https://127.0.0.1:1/")}, // nobody is there
		Rules: []admissionv1.RuleWithOperations{{Operations: []admissionv1.OperationType{admissionv1.Create},
			Rule: admissionv1.Rule{APIGroups: []string{certificates.Group}, APIVersions: []string{"*"}, Resources: []string{"*"}}}},
	}}}
	l := mustLab(t, sample(t, "one"), func(l *lab) {
		hook.Name = l.cluster.Namespace
		hook.Webhooks[0].NamespaceSelector = &metav1.LabelSelector{MatchLabels: map[string]string{corev1.LabelMetadataName: l.cluster.Namespace}}
		must(t, l.api.Create(t.Context(), hook))
	})
	told := l.within("a word about the webhook", func(c *v1alpha1.UnibusCluster) bool {
		return reason(c, v1alpha1.ConditionReady) == v1alpha1.ReasonReconcileError && reason(c, v1alpha1.ConditionProgressing) == v1alpha1.ReasonReconcileError
	})
	if said := message(told, v1alpha1.ConditionReady); !strings.Contains(said, "down.example.org") {
		t.Errorf("it says %q", said)
	}
	passes := l.passes.Load()
	natstest.Within(t, limit, "more passes", func() bool { return l.passes.Load() > passes+1 })
	if now := l.now(); now.ResourceVersion != told.ResourceVersion {
		t.Errorf("it is told anew: %+v", now.Status.Conditions)
	}
	must(t, l.api.Delete(t.Context(), hook))
	l.within("a cluster of one", ready)
}
