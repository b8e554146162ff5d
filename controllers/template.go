// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"encoding/json"
	"fmt"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	applyappsv1 "k8s.io/client-go/applyconfigurations/apps/v1"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

// keepTemplate writes down, beside the record, what pods are made of. A StatefulSet that somebody deletes is made anew with that, so that pods which
// are evicted or restarted come back as they were, and what is new begins as a roll.
const keepTemplate scaling.Action = "keep-template"

// annotationPods is the annotation of the identity ConfigMap that has what pods are made of.
const annotationPods = "unibus.dev/pods"

// mostKept is the longest template that is written down: all annotations of an object have 256 KiB. Without it what is made anew is of today.
const mostKept = 64 << 10

// keptTemplate is what pods are made of, and what of the cluster it comes from, as annotations of the StatefulSet have it.
type keptTemplate struct {
	Cluster  types.UID              `json:"cluster"`
	Hash     string                 `json:"hash"`
	Note     string                 `json:"note"`
	Template corev1.PodTemplateSpec `json:"template"`
}

// templateText is what is to be written down of a StatefulSet, empty when that is too long.
func (p *pass) templateText(set *appsv1.StatefulSet) string {
	next := keptTemplate{p.c.UID, set.Annotations[annotationTemplate], set.Annotations[annotationNote], set.Spec.Template}
	if kept := p.keptPods(); kept != nil && kept.Hash == next.Hash { // what else it has is a stray hand's
		next.Template = kept.Template
	}
	b, err := json.Marshal(next)
	if err != nil || len(b) > mostKept { // it has been decoded from JSON
		return ""
	}
	return string(b)
}

// keepsTemplate says whether what pods are made of is written down, as far as it can be.
func (p *pass) keepsTemplate() bool {
	has, kept := p.set.Annotations, p.keptPods()
	if kept == nil {
		return p.identity == nil || p.templateText(p.set) == ""
	}
	return kept.Hash == has[annotationTemplate] && kept.Note == has[annotationNote]
}

// writeTemplate carries keepTemplate out.
func (p *pass) writeTemplate(ctx context.Context, set *appsv1.StatefulSet) error {
	next := p.identity.DeepCopy() // with its resourceVersion
	text := p.templateText(set)
	if metav1.SetMetaDataAnnotation(&next.ObjectMeta, annotationPods, text); text == "" {
		delete(next.Annotations, annotationPods)
	}
	return p.Client.Update(ctx, next, client.FieldOwner(v1alpha1.FieldOwner))
}

// keptPods is what this cluster's pods were made of last; nil when nothing of it is written down.
func (p *pass) keptPods() *keptTemplate {
	if p.identity == nil {
		return nil
	}
	kept := new(keptTemplate)
	if json.Unmarshal([]byte(p.identity.Annotations[annotationPods]), kept) != nil || kept.Cluster != p.c.UID || kept.Hash == "" {
		return nil
	}
	return kept
}

// begin completes a StatefulSet that is made. One that takes the place of another makes pods as that did, and what is to be otherwise is a change like
// any other. That all pods are of its template is not said of any that run already: a roll finds out, and replaces those that are not.
func (p *pass) begin(set *applyappsv1.StatefulSetApplyConfiguration) error {
	template, note := digest(set.Spec.Template), p.note()
	rolled := template
	if kept := p.keptPods(); kept != nil {
		b, err := json.Marshal(kept.Template)
		if err != nil {
			return fmt.Errorf("encode the template of pods: %w", err)
		}
		was := applycorev1.PodTemplateSpec()
		if err := json.Unmarshal(b, was); err != nil {
			return fmt.Errorf("read the template of pods: %w", err)
		}
		set.Spec.Template, template, note, rolled = was, kept.Hash, kept.Note, ""
	}
	if len(p.pods) > 0 {
		rolled = ""
	}
	set.WithAnnotations(map[string]string{annotationTemplate: template, annotationRolled: rolled, annotationNote: note, annotationWish: fmt.Sprint(p.c.Spec.Replicas)})
	return nil
}
