// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
)

// straighten puts right what others have changed of the StatefulSet, beside its size, which steps write. A template that is to be another one
// becomes what it was, as far as that is written down: until the roll begins, pods that are evicted come back as they were. It is written once to an
// object that was not seen before, and then only when that has changed.
func (p *pass) straighten(ctx context.Context, template *applycorev1.PodTemplateSpecApplyConfiguration) error {
	key := "StatefulSet/" + p.set.Name
	as := func(set *appsv1.StatefulSet) string { return fmt.Sprint(p.rollout.hash, set.UID, set.Generation) }
	if !p.set.DeletionTimestamp.IsZero() || p.applied[key] == as(p.set) {
		return nil
	}
	next := p.set.DeepCopy()
	next.Spec.UpdateStrategy = appsv1.StatefulSetUpdateStrategy{Type: appsv1.OnDeleteStatefulSetStrategyType}
	next.Spec.PersistentVolumeClaimRetentionPolicy = &appsv1.StatefulSetPersistentVolumeClaimRetentionPolicy{
		WhenDeleted: appsv1.RetainPersistentVolumeClaimRetentionPolicyType, WhenScaled: appsv1.RetainPersistentVolumeClaimRetentionPolicyType}
	if kept := p.keptPods(); !p.rollout.pending {
		next.Spec.Template = *p.rollout.template
	} else if kept != nil && kept.Hash == p.set.Annotations[annotationTemplate] {
		next.Spec.Template = kept.Template
	}
	err := p.Client.Patch(ctx, next, client.MergeFromWithOptions(p.set, client.MergeFromWithOptimisticLock{}), client.FieldOwner(v1alpha1.FieldOwner))
	if err != nil {
		return err
	}
	p.set, p.applied[key] = next, as(next)
	return p.compare(template)
}

// prune deletes the configurations of nodes that no pod and no template mounts any more.
func (p *pass) prune(ctx context.Context, current string) error {
	if p.set == nil {
		return nil
	}
	used := append(configs(p.set.Spec.Template.Spec), current)
	if kept := p.kept(); kept != nil {
		used = append(used, configs(kept.Spec.Template.Spec)...)
	}
	if kept := p.keptPods(); kept != nil {
		used = append(used, configs(kept.Template.Spec)...)
	}
	for _, pod := range p.pods {
		used = append(used, configs(pod.Spec)...)
	}
	list := new(metav1.PartialObjectMetadataList)
	list.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMapList"))
	if err := p.Client.List(ctx, list, client.InNamespace(p.c.Namespace), client.MatchingLabels(manifests.Labels(p.c))); err != nil {
		return fmt.Errorf("list configurations of %s: %w", p.c.Name, err)
	}
	for i := range list.Items {
		o := &list.Items[i]
		if !strings.HasPrefix(o.Name, p.c.ConfigName("")) || !metav1.IsControlledBy(o, p.c) || slices.Contains(used, o.Name) {
			continue
		}
		o.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("ConfigMap"))
		if err := p.Client.Delete(ctx, o, client.Preconditions{UID: &o.UID}); client.IgnoreNotFound(err) != nil {
			return refusal("ConfigMap", o.Name, err)
		}
		delete(p.applied, "ConfigMap/"+o.Name)
	}
	return nil
}

// configs are the ConfigMaps that a pod mounts.
func configs(spec corev1.PodSpec) (names []string) {
	for _, v := range spec.Volumes {
		if v.ConfigMap != nil {
			names = append(names, v.ConfigMap.Name)
		}
	}
	return names
}
