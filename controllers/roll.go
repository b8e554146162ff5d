// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
	"github.com/unibus/unibus/internal/scaling"
)

// Steps of a roll, beside scaling.MoveLeader.
const (
	// applyTemplate has the StatefulSet make pods otherwise from now on. It restarts none.
	applyTemplate scaling.Action = "apply-template"
	// replacePod deletes the pod at Step.Place. One that is ready is only deleted when every node says that it is safe.
	replacePod scaling.Action = "replace-pod"
	// finishRoll writes down that all pods are of the template.
	finishRoll scaling.Action = "finish-roll"
)

// roll returns the step of a change of pods in place of one that leaves the cluster as it is. All else comes first: pods are replaced when
// nothing is under way, every member is in sync and every pod is ready. Only what does not serve may be replaced before: a template that no
// node serves with is got rid of by the next one.
func (p *pass) roll(step scaling.Step) scaling.Step {
	r := p.rollout
	rest := step.Action == scaling.Done
	if r == nil || !rest && step.Action != scaling.Wait {
		return step
	}
	manual := p.c.Spec.UpdateStrategy.Type == v1alpha1.UpdateManual
	switch {
	case r.pending && !r.waits(p.c.Spec.UpdateStrategy) && (rest || r.running || p.mayMend()):
		return scaling.Step{Action: applyTemplate, Reason: "pods are to be made otherwise"}
	case rest && !p.keepsTemplate():
		return scaling.Step{Action: keepTemplate, Reason: "what pods are made of is written down, should the StatefulSet be lost"}
	case !r.running:
		return step
	case !r.known:
		return scaling.Step{Action: scaling.Wait, Reason: "the StatefulSet's controller has not seen the template yet"}
	case rest && len(r.behind) == 0 && p.unready() == "":
		return scaling.Step{Action: finishRoll, Reason: "all pods are as the spec has them"}
	case manual:
		return step
	}
	if place, ok := p.broken(); ok {
		return p.replace(place, p.differs(place)+", and its node does not serve")
	}
	if name := p.unready(); rest && name != "" {
		return scaling.Step{Action: scaling.Wait, Reason: fmt.Sprintf("the pod %s is not ready yet", name)}
	}
	if !rest {
		return step
	}
	return p.replaceNext()
}

func (p *pass) replace(place int, why string) scaling.Step {
	return scaling.Step{Action: replacePod, Place: place, Reason: fmt.Sprintf("the pod %s is replaced: %s", p.c.PodName(place), why)}
}

// differs says what is to be otherwise with a pod that is behind.
func (p *pass) differs(place int) string {
	if slices.Contains(p.rollout.stale, place) {
		return "its node dials with the former password of routes"
	}
	return "it is not as the spec has it"
}

// replaceNext replaces the pods that are behind from the last place on, and that of the meta leader when it leads no more.
func (p *pass) replaceNext() scaling.Step {
	var leader, heir string
	for _, place := range slices.Backward(p.rollout.behind) {
		if n := p.nodes[place]; n == nil || n.ServerName != p.Meta.Leader {
			return p.replace(place, p.differs(place))
		}
		leader = p.Meta.Leader
	}
	for _, m := range p.Meta.Members {
		if m.Name != leader && m.Current {
			heir = m.Name
		}
	}
	if heir == "" {
		return p.replace(p.rollout.behind[0], p.differs(p.rollout.behind[0])+", and there is no other")
	}
	return scaling.Step{Action: scaling.MoveLeader, To: heir, Reason: fmt.Sprintf("%s leads the meta group, and its pod is to be replaced", leader)}
}

// unready is the name of a pod that is missing, about to end, or not ready; empty when all are there.
func (p *pass) unready() string {
	for place := range p.seen.Size {
		if pod := p.pods[place]; !podReady(pod) || !pod.DeletionTimestamp.IsZero() {
			return p.c.PodName(place)
		}
	}
	return ""
}

// takeTemplate writes the template beside what it comes from. What the roll before it left is this one's to do.
func (p *pass) takeTemplate(s *appsv1.StatefulSet) {
	s.Spec.Template = *p.rollout.template
	s.Annotations[annotationTemplate], s.Annotations[annotationNote], s.Annotations[annotationRolled] = p.rollout.hash, p.rollout.note, ""
}

// deletePod deletes the pod that was decided on. That all is well is asked once more, of every node: each has seen what others have not.
func (p *pass) deletePod(ctx context.Context) error {
	pod := p.pods[p.step.Place]
	if podReady(pod) {
		if err := p.safe(ctx); err != nil {
			return fmt.Errorf("the pod %s is not replaced now: %w", pod.Name, err)
		}
	}
	return client.IgnoreNotFound(p.Client.Delete(ctx, pod, client.Preconditions{UID: ptr.To(pod.UID)}))
}

// safe asks all nodes at a time whether one of them may be restarted.
func (p *pass) safe(ctx context.Context) error {
	answers := make([]error, p.seen.Size)
	var wg sync.WaitGroup
	for place := range answers {
		wg.Go(func() {
			answers[place] = p.memory.control.SafeToRestart(ctx, "http://"+p.at(place, manifests.HTTPPort()))
		})
	}
	wg.Wait()
	return errors.Join(answers...)
}

// rollStopped says which node did not come back in time, and what is known of it; nil while the roll goes on.
func (f facts) rollStopped() *verdict {
	r := f.rollout
	if r == nil || !r.running || f.c.Spec.UpdateStrategy.NodeTimeout == nil {
		return nil
	}
	limit := f.c.Spec.UpdateStrategy.NodeTimeout.Duration
	for place := range max(f.seen.Size, len(f.nodes)) {
		pod := f.pods[place]
		since, missing := f.missing[place]
		if pod != nil {
			since = unreadySince(pod)
		} else if !missing {
			continue
		}
		if slices.Contains(r.behind, place) || podReady(pod) || f.now.Sub(since) < limit {
			continue
		}
		v := no(v1alpha1.ReasonRollStopped, "The pod %s was changed and did not come back within %v: %s", f.c.PodName(place), limit, f.whyNot(place))
		return &v
	}
	return nil
}

// whyNot is what is known of why a place does not serve.
func (f facts) whyNot(place int) string {
	pod := f.pods[place]
	if pod == nil {
		return f.notMade(place).message
	}
	if trouble := podTrouble(map[int]*corev1.Pod{place: pod}); trouble != nil {
		return trouble.message
	}
	switch n := f.nodes[place]; {
	case n == nil:
		return "its node does not answer"
	case n.Reason != "":
		return n.Reason
	}
	return "its node is not in sync"
}
