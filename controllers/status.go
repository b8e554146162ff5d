// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"fmt"
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/jsadmin"
	"github.com/unibus/unibus/internal/manifests"
	"github.com/unibus/unibus/internal/scaling"
)

// status computes the status of a cluster; what was not seen stays as it was told before.
func status(f facts) v1alpha1.UnibusClusterStatus {
	s := *f.c.Status.DeepCopy()
	s.ObservedGeneration = f.c.Generation
	if f.blindly() {
		f.conditions(&s)
		return s
	}
	s.Selector = labels.SelectorFromSet(manifests.Selector(f.c)).String()
	s.Endpoints = f.endpoints()
	s.Endpoints.ExternalNATS, s.Endpoints.ExternalAPI = f.outside.urls(f.c, "tls://", f.outside.nats), f.outside.urls(f.c, "https://", f.outside.api)
	s.Replicas = int32(len(f.pods))
	if f.step.Action == scaling.WriteKnownID && f.acted {
		s.ClusterID = f.record.ClusterID
	}
	s.Members = f.members()
	s.ReadyReplicas = int32(len(slices.DeleteFunc(slices.Clone(s.Members), func(m v1alpha1.MemberStatus) bool { return !m.Ready })))
	s.Version = common(s.Members)
	if f.Meta != nil && f.Blocked == nil {
		s.Replication = f.replication()
	}
	s.LastScaling = f.lastScaling(s.LastScaling)
	s.Certificates, s.RoutePassword = f.certificates(), f.password.status()
	s.Keys = f.keys.status()
	s.Plan = f.plan()
	f.conditions(&s)
	return s
}

// blindly says whether the pass ended before it had seen all that a status tells.
func (p *pass) blindly() bool { return p.ended.IsZero() }

// members are the names that may be members, by place.
func (f facts) members() (out []v1alpha1.MemberStatus) {
	if f.record == nil {
		return nil
	}
	places := map[string]int{}
	for name, n := range f.record.Names {
		if n.Phase == scaling.Removed || n.Phase == scaling.Void {
			continue
		}
		m := v1alpha1.MemberStatus{ServerName: name, Pod: f.c.PodName(n.Place), DiskID: n.DiskID, Phase: string(n.Phase)}
		places[name] = n.Place
		for place, node := range f.nodes {
			if node != nil && node.ServerName == name {
				m.Pod, m.Version, m.Ready, places[name] = f.c.PodName(place), node.Version, podReady(f.pods[place]) && n.Phase != scaling.Ordered, place
			}
		}
		if f.Meta != nil {
			m.LeadsMeta = f.Meta.Leader == name
		}
		for _, s := range f.Streams {
			if s.Leader == name {
				m.LeadsStreams++
			}
			m.Lag += lag(s, name)
		}
		m.Lag = rounded(m.Lag)
		out = append(out, m)
	}
	slices.SortFunc(out, func(a, b v1alpha1.MemberStatus) int {
		return cmp.Or(cmp.Compare(places[a.ServerName], places[b.ServerName]), cmp.Compare(a.ServerName, b.ServerName))
	})
	return out
}

// lag is how many messages of a stream a server has yet to copy; 0 in sync, however fast others write.
func lag(s jsadmin.Stream, server string) int64 {
	r, ok := s.Has(server)
	leader, led := s.Has(s.Leader)
	if !ok || !led || r.Current() || r.Messages >= leader.Messages {
		return 0
	}
	return int64(leader.Messages - r.Messages)
}

// rounded rounds up to the first digit: what is told of one that is away for long does not change with every message that others write.
func rounded(n int64) int64 {
	unit := int64(1)
	for n/unit >= 10 {
		unit *= 10
	}
	return (n + unit - 1) / unit * unit
}

// common is the version that all members run, empty while they differ or one does not tell.
func common(members []v1alpha1.MemberStatus) string {
	if len(members) == 0 || slices.ContainsFunc(members, func(m v1alpha1.MemberStatus) bool { return m.Version != members[0].Version }) {
		return ""
	}
	return members[0].Version
}

func podReady(pod *corev1.Pod) bool {
	return pod != nil && slices.ContainsFunc(pod.Status.Conditions, func(c corev1.PodCondition) bool {
		return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
	})
}

// replication compares the replicas of streams with what is wished. It is asked of a cluster with a leader.
func (f facts) replication() *v1alpha1.ReplicationStatus {
	r := &v1alpha1.ReplicationStatus{Wanted: f.c.Spec.Replicas, Streams: int32(len(f.Streams)), Least: f.c.Spec.Replicas}
	for _, s := range f.Streams {
		r.Least = min(r.Least, int32(len(s.Members)))
		if len(s.Members) >= int(r.Wanted) && s.InSync() {
			r.InSync++
		}
	}
	r.Summary = fmt.Sprintf("%d/%d, %d of %d streams in sync", r.Least, r.Wanted, r.InSync, r.Streams)
	return r
}

// active counts the names that may be members.
func active(r *scaling.Record) (n int) {
	for _, name := range r.Names {
		if name.Phase != scaling.Removed && name.Phase != scaling.Void {
			n++
		}
	}
	return n
}

// settled says whether no name is on its way in or out.
func settled(r *scaling.Record) bool {
	for _, n := range r.Names {
		if n.Phase == scaling.Ordered || n.Phase == scaling.Leaving || n.Phase == scaling.Removing {
			return false
		}
	}
	return true
}

// consentNeeded says whether a template waits that is not its user's.
func (p *pass) consentNeeded() bool {
	return p.rollout != nil && p.rollout.waits(p.c.Spec.UpdateStrategy)
}

// otherwise says how pods are to be made otherwise.
func (f facts) otherwise() string {
	image := func(spec corev1.PodSpec) string {
		for _, c := range spec.Containers {
			if c.Name == v1alpha1.NodeContainer {
				return c.Image
			}
		}
		return ""
	}
	if was, is := image(f.set.Spec.Template.Spec), image(f.rollout.template.Spec); was != is {
		return fmt.Sprintf("this operator's image of nodes is %s, pods have %s", is, was)
	}
	return "this operator makes pods otherwise than the one before it"
}
