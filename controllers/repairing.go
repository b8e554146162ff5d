// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

// repairing says whether a member that was lost is being replaced, or was and is not yet.
func (f facts) repairing() bool {
	if f.record == nil || f.step.Action == takeWish || f.step.Action == beginScaling || f.c.Status.LastScaling != nil && f.c.Status.LastScaling.Result == v1alpha1.ScalingRunning {
		return false
	}
	for _, n := range f.record.Names {
		if n.Place < int(f.c.Spec.Replicas) && (n.Phase == scaling.Removing || n.Phase == scaling.Removed && !f.has(n.Place)) {
			return true
		}
	}
	return len(f.lost) > 0
}

// has says whether a member is recorded at a place.
func (f facts) has(place int) bool {
	for _, n := range f.record.Names {
		if n.Place == place && n.Phase == scaling.Member {
			return true
		}
	}
	return false
}

// allLost says whether every node answers, and with an empty disk.
func (f facts) allLost() bool {
	for place := range f.pods {
		if !f.answers(place) {
			return false
		}
	}
	return len(f.pods) > 0 && !f.named()
}

// atRisk says whether a stream has its only replica on what is being removed, or can't do without it.
func (f facts) atRisk() bool {
	for name, n := range f.record.Names {
		for _, s := range f.Streams {
			if _, has := s.Has(name); has && n.Phase == scaling.Removing && (s.Leader == "" || len(s.Members) == 1) {
				return true
			}
		}
	}
	return false
}

// trouble is what is wrong with a pod, and what can't be seen of it; or that one is not made.
func (f facts) trouble() *verdict {
	v := podTrouble(f.pods)
	if v == nil {
		return f.unmade()
	}
	if f.blind != "" {
		v.message += "; " + f.blind
	}
	return v
}
