// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/util/workqueue"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/handler"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"
	"sigs.k8s.io/controller-runtime/pkg/source"

	"github.com/unibus/unibus/api/v1alpha1"
)

// workers is how many clusters are worked on at a time. Most of a pass is waiting for answers.
const workers = 16

// Scheme knows all kinds that a Reconciler reads and writes.
func Scheme() (*runtime.Scheme, error) {
	s := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, v1alpha1.AddToScheme, certmanagerv1.AddToScheme} {
		if err := add(s); err != nil {
			return nil, fmt.Errorf("make the scheme: %w", err)
		}
	}
	// Its types are not known here, but what is asked of it has options.
	metav1.AddToGroupVersion(s, schema.GroupVersion{Group: "monitoring.coreos.com", Version: "v1"})
	return s, nil
}

// CacheOptions has the manager's cache hold clusters, and of all else only what the operator has made. Nobody asks the cache who manages
// which field.
func CacheOptions() cache.Options {
	return cache.Options{
		DefaultTransform:     cache.TransformStripManagedFields(),
		DefaultLabelSelector: labels.SelectorFromSet(labels.Set{v1alpha1.LabelManagedBy: v1alpha1.LabelManagedByValue}),
		ByObject: map[client.Object]cache.ByObject{
			&v1alpha1.UnibusCluster{}: {Label: labels.Everything()},
			// The StatefulSet makes these, with the labels that it finds its pods by.
			&corev1.PersistentVolumeClaim{}: {Label: labels.SelectorFromSet(labels.Set{v1alpha1.LabelName: v1alpha1.LabelNameValue})},
		},
	}
}

// SetupWithManager has the manager call Reconcile for whatever happens to a cluster or to one of its objects. Only metadata is watched and
// kept: a pass reads live what it goes by. Client, Live and Events that are nil are taken from the manager.
func (r *Reconciler) SetupWithManager(m manager.Manager) error {
	if r.Client == nil {
		r.Client = m.GetClient()
	}
	if r.Live == nil {
		r.Live = m.GetAPIReader()
	}
	if r.Events == nil {
		r.Events = m.GetEventRecorder(v1alpha1.FieldOwner)
	}
	// A report changes neither generation nor annotations: it is no reason for a pass.
	changed := predicate.Or[client.Object](predicate.GenerationChangedPredicate{}, predicate.AnnotationChangedPredicate{})
	b := builder.ControllerManagedBy(m).
		Named("unibuscluster").
		For(&v1alpha1.UnibusCluster{}, builder.OnlyMetadata, builder.WithPredicates(changed)).
		WithOptions(controller.Options{MaxConcurrentReconciles: workers,
			RateLimiter: workqueue.NewTypedItemExponentialFailureRateLimiter[reconcile.Request](soon, latest)})
	for _, o := range []client.Object{&corev1.ConfigMap{}, &corev1.Pod{}, &corev1.PersistentVolumeClaim{}, &corev1.Service{}, &corev1.ServiceAccount{},
		&appsv1.StatefulSet{}, &policyv1.PodDisruptionBudget{}, &networkingv1.NetworkPolicy{}} {
		b.WatchesMetadata(o, handler.EnqueueRequestsFromMapFunc(clusterOf))
	}
	c, err := b.Build(r)
	if err != nil {
		return fmt.Errorf("set the controller up: %w", err)
	}
	r.watchCertificates = func() error {
		certificate := new(metav1.PartialObjectMetadata)
		certificate.SetGroupVersionKind(certificates.WithVersion("v1"))
		return c.Watch(source.Kind[client.Object](m.GetCache(), certificate, handler.EnqueueRequestsFromMapFunc(clusterOf)))
	}
	return nil
}

// clusterOf returns the cluster that an object is of. Labels tell it: the record of names has no owner.
func clusterOf(_ context.Context, o client.Object) []reconcile.Request {
	name := o.GetLabels()[v1alpha1.LabelInstance]
	if name == "" {
		return nil
	}
	return []reconcile.Request{{NamespacedName: types.NamespacedName{Namespace: o.GetNamespace(), Name: name}}}
}

// watch begins to watch certificates, once cert-manager is there.
func (r *Reconciler) watch() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.watchCertificates == nil {
		return nil
	}
	if err := r.watchCertificates(); err != nil {
		return fmt.Errorf("watch certificates: %w", err)
	}
	r.watchCertificates = nil
	return nil
}
