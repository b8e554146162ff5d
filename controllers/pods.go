// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	"github.com/unibus/unibus/api/v1alpha1"
)

// waitingReasons are why containers wait that no further waiting mends.
var waitingReasons = []string{"ImagePullBackOff", "ErrImagePull", "InvalidImageName", "CrashLoopBackOff", "CreateContainerConfigError", "CreateContainerError"}

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
