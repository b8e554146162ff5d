// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/unibus/unibus/internal/jsadmin"
	"github.com/unibus/unibus/internal/scaling"
)

// mayMend says whether another template may mend what is waited for: a node does not run, or it does not serve and its user has changed the
// template since. Who joins does not serve yet: that one is given time first.
func (p *pass) mayMend() bool {
	return slices.ContainsFunc(slices.Collect(maps.Values(p.pods)), func(pod *corev1.Pod) bool {
		return down(pod) || !podReady(pod) && !p.rollout.own && (p.record == nil || settled(p.record) || p.lasting())
	})
}

// broken returns the place of a pod that is behind and may be replaced while not all is well, the one that was made last: its node does not
// run; or does not serve, while all others have everything; or it has long been so, and no group loses its quorum when it is stopped.
func (p *pass) broken() (int, bool) {
	chosen := -1
	for _, place := range slices.Sorted(maps.Keys(p.pods)) {
		pod := p.pods[place]
		if !pod.DeletionTimestamp.IsZero() {
			return 0, false
		}
		if podReady(pod) || !slices.Contains(p.rollout.behind, place) {
			continue
		}
		newest := chosen < 0 || !pod.CreationTimestamp.Before(&p.pods[chosen].CreationTimestamp)
		if newest && (down(pod) || p.othersServe(place) || p.lasting() && !p.needed(place)) {
			chosen = place
		}
	}
	return chosen, chosen >= 0
}

// othersServe says whether all members but that of a place are ready and have everything.
func (p *pass) othersServe(place int) bool {
	if p.record == nil || !settled(p.record) {
		return false
	}
	for other := range p.seen.Size {
		if other != place && !podReady(p.pods[other]) {
			return false
		}
	}
	for name, n := range p.record.Names {
		if n.Phase == scaling.Member && n.Place != place && !p.hasAll(name) {
			return false
		}
	}
	return true
}

// hasAll says whether a member has everything, as one who leads says.
func (p *pass) hasAll(name string) bool {
	if p.Meta == nil || p.Blocked != nil {
		return false
	}
	if m, ok := p.Meta.Has(name); !ok || !m.Current {
		return false
	}
	return !slices.ContainsFunc(p.Streams, func(s jsadmin.Stream) bool {
		r, ok := s.Has(name)
		return !ok || !r.Current() || s.Leader == ""
	})
}

// lasting says whether every pod that is not ready has been so for long: nobody is just being elected, or on the way up.
func (p *pass) lasting() bool {
	for _, pod := range p.pods {
		if !podReady(pod) && p.seen.Now.Sub(unreadySince(pod)) < scaling.Patience {
			return false
		}
	}
	return true
}

// unreadySince is since when a pod has not been ready.
func unreadySince(pod *corev1.Pod) time.Time {
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			return c.LastTransitionTime.Time
		}
	}
	return pod.CreationTimestamp.Time
}

// needed says whether a group of more than one that can decide could not without the node of a place. Where nobody leads there is nothing to
// be lost.
func (p *pass) needed(place int) bool {
	if p.Meta == nil || p.record == nil {
		return false
	}
	name := ""
	for other, n := range p.record.Names {
		if n.Place == place && n.Phase != scaling.Removed && n.Phase != scaling.Void {
			name = other
		}
	}
	online := map[string]bool{}
	var meta []string
	for _, m := range p.Meta.Members {
		meta, online[m.Name] = append(meta, m.Name), m.Online || m.Current
	}
	holds := func(group []string) bool {
		others := slices.DeleteFunc(slices.Clone(group), func(member string) bool { return member == name || !online[member] })
		return len(group) > 1 && online[name] && slices.Contains(group, name) && len(others) < len(group)/2+1
	}
	return holds(meta) || len(meta) > 1 && p.Blocked != nil || slices.ContainsFunc(p.Streams, func(s jsadmin.Stream) bool {
		var group []string
		for _, r := range s.Members {
			group = append(group, r.Name)
		}
		return s.Leader != "" && holds(group)
	})
}
