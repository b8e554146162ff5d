// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/natstest"
)

// reason is that of a condition.
func reason(c *v1alpha1.UnibusCluster, kind string) string {
	if found := meta.FindStatusCondition(c.Status.Conditions, kind); found != nil {
		return found.Reason
	}
	return ""
}

// message is that of a condition.
func message(c *v1alpha1.UnibusCluster, kind string) string {
	if found := meta.FindStatusCondition(c.Status.Conditions, kind); found != nil {
		return found.Message
	}
	return ""
}

// TestNotOwned: what has a name that the cluster needs, and is somebody else's, is named and left as it is. Once it is gone the cluster is made.
func TestNotOwned(t *testing.T) {
	var theirs *corev1.Service
	l := mustLab(t, sample(t, "one"), func(l *lab) {
		theirs = &corev1.Service{ObjectMeta: metav1.ObjectMeta{Namespace: l.cluster.Namespace, Name: l.cluster.ServiceName()},
			Spec: corev1.ServiceSpec{Ports: []corev1.ServicePort{{Port: 80}}}}
		must(t, l.api.Create(t.Context(), theirs))
	})
	l.within("a word about the Service", func(c *v1alpha1.UnibusCluster) bool {
		return reason(c, v1alpha1.ConditionStalled) == v1alpha1.ReasonNotOwned && reason(c, v1alpha1.ConditionReady) == v1alpha1.ReasonNotOwned
	})
	now := new(corev1.Service)
	must(t, l.api.Get(t.Context(), client.ObjectKeyFromObject(theirs), now))
	if diff := cmp.Diff(theirs, now); diff != "" {
		t.Errorf("the Service was changed:\n%s", diff)
	}
	must(t, l.api.Delete(t.Context(), theirs))
	l.within("a cluster of one", ready)
}

// TestStrayHand: whoever changes what the operator has made loses nothing, and it is put right, also while a newer operator asks whether it may change
// pods itself.
func TestStrayHand(t *testing.T) {
	l := mustLab(t, sample(t, "one"))
	before := l.within("a cluster of one", ready)
	set := new(appsv1.StatefulSet)
	key := client.ObjectKeyFromObject(l.cluster)
	for _, stray := range []int32{0, 4} {
		must(t, l.api.Get(t.Context(), key, set))
		stop := client.MergeFrom(set.DeepCopy())
		set.Spec.Replicas = ptr.To(stray)
		must(t, l.api.Patch(t.Context(), set, stop))
		natstest.Within(t, limit, "the size put right", func() bool {
			must(t, l.api.Get(t.Context(), key, set))
			return *set.Spec.Replicas == 1 && set.Generation > 1
		})
	}
	l.strayTemplate(set)
	service := new(corev1.Service)
	must(t, l.api.Get(t.Context(), key, service))
	moved := client.MergeFrom(service.DeepCopy())
	service.Spec.Ports[0].Port = 4333
	must(t, l.api.Patch(t.Context(), service, moved))
	natstest.Within(t, limit, "the port put right", func() bool {
		must(t, l.api.Get(t.Context(), key, service))
		return service.Spec.Ports[0].Port == 4222
	})
	l.version.Store("0.0.1")
	(*l.end.Load())()
	l.within("a question", asked)
	l.strayTemplate(set)
	after := l.within("the same cluster of one", func(c *v1alpha1.UnibusCluster) bool { return asked(c) && c.Status.Replicas == 1 })
	if names(before) != names(after) || before.Status.ClusterID != after.Status.ClusterID {
		t.Errorf("it was %s of %s, and is %s of %s", names(before), before.Status.ClusterID, names(after), after.Status.ClusterID)
	}
}

// asked says whether all is well and a newer operator waits for consent.
func asked(c *v1alpha1.UnibusCluster) bool {
	return ready(c) && reason(c, v1alpha1.ConditionUpgrading) == v1alpha1.ReasonConsentNeeded
}

// strayTemplate changes of the StatefulSet, one after the other, what would make pods otherwise, replace them, or delete volumes.
func (l *lab) strayTemplate(set *appsv1.StatefulSet) {
	l.t.Helper()
	key := client.ObjectKeyFromObject(l.cluster)
	must(l.t, l.api.Get(l.t.Context(), key, set))
	before, made := set.Spec.DeepCopy(), l.pods()
	for what, stray := range map[string]func(){
		"template": func() {
			set.Spec.Template.Spec.Containers[0].Env = append(set.Spec.Template.Spec.Containers[0].Env, corev1.EnvVar{Name: "A", Value: "b"})
		},
		"update strategy": func() { set.Spec.UpdateStrategy.Type = appsv1.RollingUpdateStatefulSetStrategyType },
		"retention policy": func() {
			set.Spec.PersistentVolumeClaimRetentionPolicy.WhenDeleted = appsv1.DeletePersistentVolumeClaimRetentionPolicyType
		},
	} {
		must(l.t, l.api.Get(l.t.Context(), key, set))
		right, generation := client.MergeFrom(set.DeepCopy()), set.Generation
		stray()
		must(l.t, l.api.Patch(l.t.Context(), set, right))
		natstest.Within(l.t, limit, what+" put right", func() bool {
			must(l.t, l.api.Get(l.t.Context(), key, set))
			return set.Generation > generation+1 && cmp.Equal(before, &set.Spec)
		})
	}
	if l.pods() != made {
		l.t.Errorf("%d pods were made, want %d", l.pods(), made)
	}
}

// TestQuota: what a quota refuses is told in its words, and made once there is space.
func TestQuota(t *testing.T) {
	quota := &corev1.ResourceQuota{ObjectMeta: metav1.ObjectMeta{Name: "few"},
		Spec: corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{"count/secrets": resource.MustParse("0")}}}
	l := mustLab(t, sample(t, "one"), func(l *lab) {
		quota.Namespace = l.cluster.Namespace
		must(t, l.api.Create(t.Context(), quota))
		quota.Status.Hard, quota.Status.Used = quota.Spec.Hard, quota.Spec.Hard // as its controller does
		must(t, l.api.Status().Update(t.Context(), quota))
	})
	told := l.within("a word about the quota", func(c *v1alpha1.UnibusCluster) bool {
		return reason(c, v1alpha1.ConditionStalled) == v1alpha1.ReasonApplyRefused && reason(c, v1alpha1.ConditionReady) == v1alpha1.ReasonApplyRefused
	})
	if said := message(told, v1alpha1.ConditionReady); !strings.Contains(said, "exceeded quota: few") {
		t.Errorf("it says %q", said)
	}
	must(t, l.api.Delete(t.Context(), quota))
	l.within("a cluster of one", ready)
}

// TestSecretLost: keys that are gone while nodes run with them are not made anew.
func TestSecretLost(t *testing.T) {
	l := mustLab(t, sample(t, "one"))
	l.within("a cluster of one", ready)
	key := client.ObjectKey{Namespace: l.cluster.Namespace, Name: l.cluster.KeysSecretName()}
	lost := new(corev1.Secret)
	must(t, l.api.Get(t.Context(), key, lost))
	must(t, l.api.Delete(t.Context(), lost))
	l.within("a word about the Secret", func(c *v1alpha1.UnibusCluster) bool {
		return reason(c, v1alpha1.ConditionStalled) == v1alpha1.ReasonSecretLost
	})
	lost.ObjectMeta = metav1.ObjectMeta{Namespace: lost.Namespace, Name: lost.Name, Labels: lost.Labels}
	must(t, l.api.Create(t.Context(), lost)) // from a backup, which has no owners
	l.within("a cluster of one", ready)
}

// withPodMonitors has the API server know PodMonitors, as where the Prometheus operator is, for as long as the test. The lab must be a lone one.
func withPodMonitors(l *lab) {
	options := podMonitorAPI()
	_, err := envtest.InstallCRDs(plane.config, options)
	must(l.t, err)
	l.t.Cleanup(func() { must(l.t, envtest.UninstallCRDs(plane.config, options)) })
}

func podMonitorAPI() envtest.CRDInstallOptions {
	monitor := &apiextensionsv1.CustomResourceDefinition{ObjectMeta: metav1.ObjectMeta{Name: "podmonitors.monitoring.coreos.com"},
		Spec: apiextensionsv1.CustomResourceDefinitionSpec{Group: "monitoring.coreos.com", Scope: apiextensionsv1.NamespaceScoped,
			Names: apiextensionsv1.CustomResourceDefinitionNames{Plural: "podmonitors", Singular: "podmonitor", Kind: "PodMonitor", ListKind: "PodMonitorList"},
			Versions: []apiextensionsv1.CustomResourceDefinitionVersion{{Name: "v1", Served: true, Storage: true,
				Schema: &apiextensionsv1.CustomResourceValidation{OpenAPIV3Schema: &apiextensionsv1.JSONSchemaProps{Type: "object", XPreserveUnknownFields: ptr.To(true)}}}}}}
	return envtest.CRDInstallOptions{CRDs: []*apiextensionsv1.CustomResourceDefinition{monitor}, MaxTime: limit}
}

// TestMonitoringUninstalled: a bus is looked after as before when the Prometheus operator goes, by an operator that has found it and by the one after.
func TestMonitoringUninstalled(t *testing.T) {
	l := mustLoneLab(t, sample(t, "one"), withPodMonitors)
	l.within("a cluster of one", ready)
	must(t, envtest.UninstallCRDs(plane.config, podMonitorAPI()))
	for _, more := range []func(){func() {}, func() { (*l.end.Load())() }} {
		more()
		l.change(func(c *v1alpha1.UnibusCluster) { c.Spec.NetworkPolicy.Enabled = ptr.To(!*c.Spec.NetworkPolicy.Enabled) })
		l.within("a cluster of one, as it is wished now", ready)
		l.expectRest()
	}
}

// TestSwitchedOff: what the spec switches off goes, and comes again with it.
func TestSwitchedOff(t *testing.T) {
	l := mustLoneLab(t, sample(t, "one"), withPodMonitors)
	l.within("a cluster of one", ready)
	for _, on := range []bool{true, false, true} {
		l.change(func(c *v1alpha1.UnibusCluster) { c.Spec.NetworkPolicy.Enabled, c.Spec.Monitoring.PodMonitor = &on, &on })
		for kind, name := range map[schema.GroupVersionKind]string{
			networkingv1.SchemeGroupVersion.WithKind("NetworkPolicy"):           l.cluster.NetworkPolicyName(),
			{Group: "monitoring.coreos.com", Version: "v1", Kind: "PodMonitor"}: l.cluster.PodMonitorName(),
		} {
			o := new(metav1.PartialObjectMetadata)
			o.SetGroupVersionKind(kind)
			natstest.Within(t, limit, fmt.Sprintf("%s is there: %v", kind.Kind, on), func() bool {
				err := l.api.Get(t.Context(), client.ObjectKey{Namespace: l.cluster.Namespace, Name: name}, o)
				must(t, client.IgnoreNotFound(err))
				return on == (err == nil)
			})
		}
	}
}
