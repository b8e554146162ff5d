// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/jsadmin"
	"github.com/unibus/unibus/internal/scaling"
	"github.com/unibus/unibus/internal/steering"
)

// seen is a pass over a cluster whose members are all in sync: what a test changes of it.
func seen(members int) *pass {
	c := &v1alpha1.UnibusCluster{}
	c.Name, c.Namespace, c.Generation = "demo", "talk", 4
	c.Spec.Replicas, c.Status.ClusterID = int32(members), "id"
	p := &pass{Reconciler: &Reconciler{}, memory: &memory{}, c: c, pods: map[int]*corev1.Pod{}, secrets: map[string]*corev1.Secret{},
		record: &scaling.Record{ClusterID: "id", Names: map[string]scaling.Name{}}, step: scaling.Step{Action: scaling.Done, Reason: "all is there"},
		JetStream: steering.JetStream{Meta: &jsadmin.Meta{}}, ended: time.Now(), rollout: &rollout{known: true}}
	stream := jsadmin.Stream{Account: "HISTORY", Name: "chat", Replicas: members, Settled: true}
	for place := range members {
		name := c.PodName(place) + "-0"
		p.record.Names[name] = scaling.Name{Phase: scaling.Member, Place: place, DiskID: "disk"}
		p.nodes = append(p.nodes, &v1.NodeStatus{Phase: v1.NodeRunning, ServerName: name, ClusterID: "id", Version: "1.0.0"})
		p.pods[place] = pod(corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}})
		p.Meta.Leader = name
		p.Meta.Members = append(p.Meta.Members, jsadmin.Member{Name: name, Current: true})
		stream.Leader = name
		stream.Members = append(stream.Members, jsadmin.Replica{Name: name, Said: true, Healthy: true})
	}
	p.Streams = []jsadmin.Stream{stream}
	return p
}

func pod(status corev1.PodStatus) *corev1.Pod {
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: "demo-0"}, Status: status}
}

// state is one in which a cluster of three is seen.
type state struct {
	name string
	// change makes it of one that is well, and returns what stops the pass.
	change func(p *pass) *obstacle
	// want are the conditions beside those of a cluster that is well.
	want map[string]string
}

func expectStates(t *testing.T, states []state) {
	t.Helper()
	for _, c := range states {
		t.Run(c.name, func(t *testing.T) {
			p := seen(3)
			expectConditions(t, p, c.change(p), c.want)
		})
	}
}

var person = scaling.Step{Action: scaling.Wait, Person: true, Reason: "it is lost", Remedy: "bring it back"}

var states = []state{
	{"well", func(*pass) *obstacle { return nil }, nil},
	{"nothing yet", func(p *pass) *obstacle {
		p.record, p.Meta, p.nodes, p.Streams, p.c.Status.ClusterID, p.step = nil, nil, nil, nil, "", scaling.Step{Action: scaling.Resize, Reason: "place 0 is started"}
		return nil
	}, map[string]string{"Ready": "-Forming", "Progressing": "+Forming", "Formed": "-Forming", "ReplicasInSync": "-NoLeader"}},
	{"image missing", func(p *pass) *obstacle {
		p.record, p.Meta, p.nodes, p.c.Status.ClusterID, p.step = nil, nil, nil, "", scaling.Step{Action: scaling.Wait, Reason: "place 0 does not answer"}
		p.pods[0] = pod(corev1.PodStatus{ContainerStatuses: []corev1.ContainerStatus{{State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff"}}}}})
		return nil
	}, map[string]string{"Ready": "-PodsFailing", "Progressing": "+Forming", "Degraded": "+PodsFailing", "Formed": "-Forming", "ReplicasInSync": "-NoLeader"}},
	{"no cert-manager", func(*pass) *obstacle {
		return &obstacle{reason: v1alpha1.ReasonCertManagerMissing, message: "install it", stalled: true}
	},
		map[string]string{"Ready": "-CertManagerMissing", "Progressing": "-CertManagerMissing", "Stalled": "+CertManagerMissing", "CertificatesReady": "-CertManagerMissing"}},
	{"certificate on its way", func(*pass) *obstacle { return &obstacle{reason: v1alpha1.ReasonCertificatePending, message: "soon"} },
		map[string]string{"Ready": "-CertificatePending", "Progressing": "+CertificatePending", "CertificatesReady": "-CertificatePending"}},
	{"grows", func(p *pass) *obstacle {
		p.c.Spec.Replicas, p.step = 5, scaling.Step{Action: scaling.SendOrder, Reason: "place 3 joins"}
		return nil
	}, map[string]string{"Ready": "-ScalingUp", "Progressing": "+ScalingUp"}},
	{"shrinks", func(p *pass) *obstacle {
		p.c.Spec.Replicas, p.step = 1, scaling.Step{Action: scaling.SetReplicas, Reason: "one is enough"}
		return nil
	}, map[string]string{"Ready": "-ScalingDown", "Progressing": "+ScalingDown"}},
	{"no leader", func(p *pass) *obstacle {
		p.Meta, p.NoLeader, p.step = nil, errors.New("nobody"), scaling.Step{Action: scaling.Wait, Reason: "no leader"}
		return nil
	}, map[string]string{"Ready": "-NoLeader", "Progressing": "+Repairing", "Degraded": "+NoLeader", "ReplicasInSync": "-NoLeader"}},
	{"quorum lost", func(p *pass) *obstacle { p.Meta, p.NoLeader, p.step = nil, errors.New("nobody"), person; return nil },
		map[string]string{"Ready": "-QuorumLost", "Progressing": "+Repairing", "Degraded": "+QuorumLost", "Stalled": "+QuorumLost", "ReplicasInSync": "-NoLeader"}},
	{"record lost", func(p *pass) *obstacle { p.record, p.step = nil, person; return nil },
		map[string]string{"Ready": "-RecordLost", "Progressing": "-RecordLost", "Degraded": "+RecordLost", "Stalled": "+RecordLost", "Formed": "?RecordLost"}},
	{"record lost, and the cluster made anew", func(p *pass) *obstacle { p.record, p.c.Status.ClusterID, p.step = nil, "", person; return nil },
		map[string]string{"Ready": "-RecordLost", "Progressing": "-RecordLost", "Degraded": "+RecordLost", "Stalled": "+RecordLost", "Formed": "?RecordLost"}},
	{"record lost, seen while paused", func(p *pass) *obstacle { p.record, p.c.Spec.Pause, p.step = nil, true, scaling.Step{}; return nil },
		map[string]string{"Ready": "-RecordLost", "Progressing": "-Paused", "Degraded": "+RecordLost", "Stalled": "-Paused", "Formed": "?RecordLost"}},
	{"keys lost", func(*pass) *obstacle { return damaged("demo-keys", keyOrder, errors.New("it is cut off")) },
		map[string]string{"Ready": "-SecretLost", "Progressing": "-SecretLost", "Degraded": "+SecretLost", "Stalled": "+SecretLost"}},
	{"disk of another cluster", func(p *pass) *obstacle {
		p.record, p.c.Status.ClusterID, p.nodes, p.step = nil, "", nil, person
		return nil
	}, map[string]string{"Ready": "-ForeignDisk", "Progressing": "+Forming", "Degraded": "+ForeignDisk", "Stalled": "+ForeignDisk", "Formed": "-Forming"}},
	{"founder's disk lost", func(p *pass) *obstacle {
		p.record.Names, p.c.Status.ClusterID, p.step = map[string]scaling.Name{"demo-0-0": {Phase: scaling.Ordered, Kind: scaling.Found}}, "", person
		return nil
	}, map[string]string{"Ready": "-FounderDiskLost", "Progressing": "+Forming", "Degraded": "+FounderDiskLost", "Stalled": "+FounderDiskLost", "Formed": "-Forming"}},
	{"in doubt beside a record that was kept", func(p *pass) *obstacle { p.c.Status.ClusterID, p.step = "", person; return nil },
		map[string]string{"Ready": "-RemovalInDoubt", "Progressing": "+Forming", "Degraded": "+RemovalInDoubt", "Stalled": "+RemovalInDoubt", "Formed": "-Forming"}},
	{"foreign node", func(p *pass) *obstacle { p.nodes[1].ClusterID, p.step = "other", person; return nil },
		map[string]string{"Ready": "-ForeignNode", "Progressing": "+Repairing", "Degraded": "+ForeignNode", "Stalled": "+ForeignNode"}},
	{"a pod is not ready", func(p *pass) *obstacle { p.pods[1] = pod(corev1.PodStatus{}); return nil },
		map[string]string{"Ready": "-MemberNotReady", "Degraded": "+MemberNotReady"}},
	{"a replica copies", func(p *pass) *obstacle {
		p.Streams[0].Members[1].Healthy, p.step = false, scaling.Step{Action: scaling.Wait, Reason: "not in sync"}
		return nil
	}, map[string]string{"Ready": "-ReplicasBehind", "Progressing": "+Repairing", "ReplicasInSync": "-ReplicasBehind"}},
	{"a replica is missing", func(p *pass) *obstacle {
		p.Streams[0].Members, p.step = p.Streams[0].Members[:1], scaling.Step{Action: scaling.SetReplicas, Reason: "raised"}
		return nil
	}, map[string]string{"Ready": "-ReplicasMissing", "Progressing": "+Repairing", "ReplicasInSync": "-ReplicasMissing"}},
	{"paused", func(p *pass) *obstacle { p.c.Spec.Pause = true; return nil },
		map[string]string{"Ready": "-Paused", "Progressing": "-Paused", "Stalled": "-Paused"}},
}

// TestConditions: what is seen becomes conditions, each with a reason of the table.
func TestConditions(t *testing.T) { expectStates(t, states) }

var unseenStates = []state{
	{"Kubernetes fails", func(*pass) *obstacle { return failure(errors.New("no answer")) },
		map[string]string{"Ready": "-ReconcileError", "Progressing": "+ReconcileError", "Stalled": "?NotSeen"}},
	{"Kubernetes fails before all is seen", func(p *pass) *obstacle {
		*p = pass{Reconciler: p.Reconciler, memory: p.memory, c: p.c}
		return failure(errors.New("no answer"))
	},
		map[string]string{"Ready": "-ReconcileError", "Progressing": "+ReconcileError", "Stalled": "?NotSeen", "Degraded": "?NotSeen", "Formed": "?NotSeen",
			"CertificatesReady": "?NotSeen", "ReplicasInSync": "?NotSeen", "Upgrading": "?NotSeen"}},
	{"paused while pods are replaced", func(p *pass) *obstacle {
		roll(p, 0)
		p.rollout, p.c.Spec.Pause, p.step = nil, true, scaling.Step{}
		return nil
	}, map[string]string{"Ready": "-Paused", "Progressing": "-Paused", "Stalled": "-Paused", "Upgrading": "?NotSeen"}},
	{"paused while it grows", func(p *pass) *obstacle {
		p.c.Spec.Replicas, p.c.Spec.Pause, p.step = 5, true, scaling.Step{}
		return nil
	},
		map[string]string{"Ready": "-Paused", "Progressing": "-Paused", "Stalled": "-Paused"}},
	{"an obstacle before pods are compared", func(p *pass) *obstacle { p.rollout = nil; return notOwned("Service", "demo") },
		map[string]string{"Ready": "-NotOwned", "Progressing": "-NotOwned", "Stalled": "+NotOwned", "Upgrading": "?NotSeen"}},
}

// TestConditionsOfTheUnseen: what a pass has not come to see is not told, and what is not done is not told to be.
func TestConditionsOfTheUnseen(t *testing.T) { expectStates(t, unseenStates) }

// expectConditions expects those of a cluster that is well, but for some.
func expectConditions(t *testing.T, p *pass, stopped *obstacle, but map[string]string) {
	t.Helper()
	want := map[string]string{"Ready": "+AllInSync", "Progressing": "-Stable", "Degraded": "-Stable", "Stalled": "-Stable", "Formed": "+Formed",
		"CertificatesReady": "-CertificatePending", "ReplicasInSync": "+AllInSync", "Upgrading": "-UpToDate"}
	maps.Copy(want, but)
	got := map[string]string{}
	for _, c := range status(p.facts(stopped)).Conditions {
		got[c.Type] = map[metav1.ConditionStatus]string{metav1.ConditionTrue: "+", metav1.ConditionFalse: "-", metav1.ConditionUnknown: "?"}[c.Status] + c.Reason
		expectInTable(t, c)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("conditions:\n%s", diff)
	}
}

// expectInTable expects a condition whose reason the API's table has for it, and whose message says something.
func expectInTable(t *testing.T, c metav1.Condition) {
	t.Helper()
	if c.Message == "" || c.ObservedGeneration != 4 {
		t.Errorf("condition %+v", c)
	}
	for _, r := range v1alpha1.Reasons() {
		if r.Name == c.Reason && slices.Contains(r.Conditions, c.Type) {
			return
		}
	}
	t.Errorf("the table has no reason %s for %s", c.Reason, c.Type)
}

// A call for a person that only waiting has made does not change its words while more time goes by: a report is written once.
func TestPatienceIsNotCounted(t *testing.T) {
	p := seen(1)
	p.set = newSet("1")
	p.record.Names["demo-0-0"] = scaling.Name{Phase: scaling.Member, Place: 0, DiskID: "disk"}
	p.Meta = nil
	p.failed = errors.New("it is full")
	var told []v1alpha1.UnibusClusterStatus
	for _, quiet := range []time.Duration{scaling.Patience, 3 * scaling.Patience} {
		p.seen.Quiet = quiet
		p.step = p.decide()
		if !p.step.Person {
			t.Fatalf("step: %+v", p.step)
		}
		told = append(told, status(p.facts(nil)))
	}
	if c := meta.FindStatusCondition(told[0].Conditions, v1alpha1.ConditionStalled); c == nil || c.Reason != v1alpha1.ReasonNoChange || !strings.Contains(c.Message, "it is full") {
		t.Errorf("stalled: %+v", c)
	}
	for i := range told {
		for j := range told[i].Conditions {
			told[i].Conditions[j].LastTransitionTime = metav1.Time{}
		}
	}
	if diff := cmp.Diff(told[0], told[1]); diff != "" {
		t.Errorf("told anew:\n%s", diff)
	}
}
