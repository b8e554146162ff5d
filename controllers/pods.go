// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

// waitingReasons are why containers wait that no further waiting mends.
var waitingReasons = []string{"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError"}

// making is for how long a place may have no pod before that is told: a controller that takes over from another does so within that.
const making = 30 * time.Second

// miss notes which places have no pod, of those that are to have one.
func (m *memory) miss(seen scaling.Observed, pods map[int]*corev1.Pod) {
	before := m.missing
	m.missing = map[int]time.Time{}
	for place := range seen.Size {
		if pods[place] != nil {
			continue
		}
		if m.missing[place] = seen.Now; !before[place].IsZero() {
			m.missing[place] = before[place]
		}
	}
}

// unmade says which pod has not been made for long, nil when none.
func (p *pass) unmade() *verdict {
	for place := range p.seen.Size {
		if since, missing := p.missing[place]; missing && p.seen.Now.Sub(since) >= making {
			return p.notMade(place)
		}
	}
	return nil
}

// notMade says where it is told why a place has no pod: in an event of the StatefulSet, which the operator has no right to read.
func (p *pass) notMade(place int) *verdict {
	return &verdict{false, v1alpha1.ReasonPodsMissing, fmt.Sprintf("Kubernetes makes no pod %s. What refuses it is in the events of the StatefulSet: kubectl -n %s describe statefulset %s",
		p.c.PodName(place), p.c.Namespace, p.c.StatefulSetName())}
}

// podTrouble says what is wrong with the first pod that can't be placed or does not start, nil when none is.
func podTrouble(pods map[int]*corev1.Pod) *verdict {
	for _, place := range slices.Sorted(maps.Keys(pods)) {
		pod := pods[place]
		for _, c := range pod.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status == corev1.ConditionFalse {
				return &verdict{false, v1alpha1.ReasonPodsPending, fmt.Sprintf("The pod %s can't be placed: %s", pod.Name, c.Message)}
			}
		}
		for _, c := range pod.Status.ContainerStatuses {
			if w := c.State.Waiting; w != nil && slices.Contains(waitingReasons, w.Reason) {
				said := w.Message
				if t := c.LastTerminationState.Terminated; t != nil && t.Message != "" {
					said = t.Message // the last words of a node that ended tell what to do
				}
				return &verdict{false, v1alpha1.ReasonPodsFailing, fmt.Sprintf("The container %s of the pod %s: %s: %s", c.Name, pod.Name, w.Reason, said)}
			}
		}
	}
	return nil
}
