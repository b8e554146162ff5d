// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	applycorev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/unibus/unibus/api/v1alpha1"
)

// rollout is what pods are to be made of, and how far they are. All that outlives a pass is in annotations of the StatefulSet.
type rollout struct {
	// template is what pods are to be made of, hash tells it apart, and note what of the cluster it comes from.
	template   *corev1.PodTemplateSpec
	hash, note string
	// pending is true while the StatefulSet has another template; own when that is not what its user has changed, but a newer operator.
	pending, own bool
	// running is true from when a template is applied until all pods are made of it, and while nodes are stale.
	running bool
	// behind are the places whose pods are of another template than the StatefulSet's, or stale. Known is false while its controller has not yet
	// seen that.
	behind []int
	known  bool
	// stale are the places whose nodes dial with the password before the last until they are started anew.
	stale []int
}

// compare compares what pods are to be made of with the StatefulSet and its pods.
func (p *pass) compare(template *applycorev1.PodTemplateSpecApplyConfiguration) error {
	b, err := json.Marshal(template)
	if err != nil {
		return fmt.Errorf("encode the template of pods: %w", err)
	}
	r := &rollout{template: new(corev1.PodTemplateSpec), hash: digest(template), note: p.note()}
	if err := json.Unmarshal(b, r.template); err != nil {
		return fmt.Errorf("read the template of pods: %w", err)
	}
	has := p.set.Annotations
	r.pending, r.running = has[annotationTemplate] != r.hash, has[annotationRolled] != has[annotationTemplate]
	r.own = r.pending && !changedByUser(has[annotationNote], r.note)
	r.known = p.set.Status.ObservedGeneration >= p.set.Generation
	for place, pod := range p.pods {
		if pod.Labels[appsv1.StatefulSetRevisionLabel] != p.set.Status.UpdateRevision {
			r.behind = append(r.behind, place)
		}
	}
	r.stale = p.stale()
	r.behind = append(r.behind, slices.DeleteFunc(slices.Clone(r.stale), func(place int) bool { return slices.Contains(r.behind, place) })...)
	slices.Sort(r.behind)
	// Pods that are behind while keys are replaced are to be seen to obey what is obeyed, however they came to be so.
	r.running = r.running || len(r.stale) > 0 || p.keys.phase() != phaseStable && len(r.behind) > 0
	p.rollout = r
	return nil
}

// waits says whether a template waits for its user's consent: a newer operator restarts nothing.
func (r *rollout) waits(s v1alpha1.UpdateStrategySpec) bool {
	return r.own && s.OperatorChanges != v1alpha1.OperatorChangesRoll
}

// note tells what of a cluster its pods come from: the generation of its spec, what of the spec pods depend on, and the wish for a restart.
// With the same generation the second one differs when it is the definition of the API that has changed, by a default perhaps.
func note(c *v1alpha1.UnibusCluster) string {
	s := c.Spec
	js := s.JetStream
	js.HistoryClasses = nil
	pods := []any{s.Image, s.ImagePullPolicy, s.ImagePullSecrets, s.Version, js, s.Limits, s.Admins, s.Resources, s.Scheduling, s.PodTemplate, s.Log}
	return fmt.Sprintf("%d/%s/%s", c.Generation, digest(pods), digest(c.Annotations[v1alpha1.AnnotationRestart]))
}

// changedByUser says whether between two notes a person has changed what pods depend on.
func changedByUser(before, now string) bool {
	b, n := strings.Split(before, "/"), strings.Split(now, "/")
	if len(b) == 4 { // of an operator that could not replace keys
		b = append(b, "1")
	}
	return len(b) >= 3 && (b[0] != n[0] && b[1] != n[1] || b[2] != n[2] || len(b) > 4 && (b[3] != n[3] || b[4] != n[4]) || len(b) > 5 && b[5] != n[5])
}

// note is that of this pass, with the size of volumes, the keys that are obeyed and the first admin behind it: they grow and change when a person
// wishes it, and later than that, or in a Secret.
func (p *pass) note() string {
	return note(p.c) + "/" + p.volume.String() + "/" + p.keys.configured() + "/" + digest(p.firstAdmin)
}

// noted is the size of volumes in a note, 0 when it has none.
func noted(note string) resource.Quantity {
	parts := strings.Split(note, "/")
	if len(parts) < 4 {
		return resource.Quantity{}
	}
	size, err := resource.ParseQuantity(parts[3])
	if err != nil {
		return resource.Quantity{}
	}
	return size
}

// down says whether the process of a pod's node does not run and won't by itself: nothing is lost when the pod is replaced.
func down(pod *corev1.Pod) bool {
	return pod.Status.Phase == corev1.PodPending || slices.ContainsFunc(pod.Status.ContainerStatuses, func(c corev1.ContainerStatus) bool {
		return c.Name == v1alpha1.NodeContainer && c.State.Waiting != nil && slices.Contains(waitingReasons, c.State.Waiting.Reason)
	})
}

// rolling says whether the operator replaces pods.
func (p *pass) rolling() bool {
	return p.set != nil && (p.set.Annotations[annotationRolled] != p.set.Annotations[annotationTemplate] || len(p.stale()) > 0) &&
		p.c.Spec.UpdateStrategy.Type != v1alpha1.UpdateManual
}

// unnoted says whether a person has changed the spec but not what pods depend on, so that this is to be noted. Only then a later change
// of the same spec can be told to be a newer operator's.
func (p *pass) unnoted() bool {
	r := p.rollout
	return r != nil && p.set.Annotations[annotationNote] != r.note && (!r.pending || r.own)
}
