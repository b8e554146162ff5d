// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

// TestRepair: a disk that is lost, by a claim that was deleted, by a machine that was, or by a person's word, is replaced by an empty one, and
// nothing that was said is lost. What can be kept of it is.
func TestRepair(t *testing.T) {
	c := sample(t, "one")
	c.Spec.Replicas = 3
	l := mustLab(t, c, withMachines, withFuse)
	l.within("three members", ready)
	said := l.mustSay(0, 0, 50)

	old := l.volume(2)
	l.loseDiskSlowly(2)
	l.within("a member in place of the disk", is("demo-0-0=member demo-1-0=member demo-2-1=member"))
	l.expectHeard(2, said)
	l.expectKept(old)

	old = l.lose(1)
	l.within("a member in place of the machine", is("demo-0-0=member demo-1-1=member demo-2-1=member"))
	l.expectHeard(1, said)
	l.expectKept(old)

	old = l.volume(0)
	l.hang(0)
	l.within("a silence that is told", func(c *v1alpha1.UnibusCluster) bool {
		return reason(c, v1alpha1.ConditionDegraded) == v1alpha1.ReasonMemberNotReady && len(c.Status.Members) == 3
	})
	l.change(func(c *v1alpha1.UnibusCluster) {
		c.Annotations = map[string]string{v1alpha1.AnnotationLost: "demo-2-0, demo-0-0"}
	})
	l.within("a member in place of the one that a person calls lost", is("demo-0-1=member demo-1-1=member demo-2-1=member"))
	l.expectHeard(0, said)
	l.expectKept(old)
	l.expectRest()
}

// is says whether a cluster is ready, and has these members.
func is(members string) func(*v1alpha1.UnibusCluster) bool {
	return func(c *v1alpha1.UnibusCluster) bool { return ready(c) && names(c) == members }
}

// expectKept expects a volume that outlives its claim.
func (l *lab) expectKept(volume *corev1.PersistentVolume) {
	l.t.Helper()
	now := new(corev1.PersistentVolume)
	must(l.t, l.api.Get(l.t.Context(), client.ObjectKeyFromObject(volume), now))
	if p := now.Spec.PersistentVolumeReclaimPolicy; p != corev1.PersistentVolumeReclaimRetain || now.UID != volume.UID {
		l.t.Errorf("the volume %s has %s", now.Name, p)
	}
}

// TestAllDisksLost: where every disk is gone a person is told, and nothing is founded beside what was.
func TestAllDisksLost(t *testing.T) {
	l := mustLab(t, sample(t, "one"))
	before := l.within("a cluster of one", ready)
	record := new(corev1.ConfigMap)
	key := client.ObjectKey{Namespace: l.cluster.Namespace, Name: l.cluster.IdentityName()}
	must(t, l.api.Get(t.Context(), key, record))
	l.loseDisk(0)
	after := l.within("a word about the disks", func(c *v1alpha1.UnibusCluster) bool {
		return reason(c, v1alpha1.ConditionStalled) == v1alpha1.ReasonAllDisksLost && reason(c, v1alpha1.ConditionReady) == v1alpha1.ReasonAllDisksLost
	})
	l.expectRest()
	now := new(corev1.ConfigMap)
	must(t, l.api.Get(t.Context(), key, now))
	if diff := cmp.Diff(record.Data, now.Data); diff != "" || after.Status.ClusterID != before.Status.ClusterID {
		t.Errorf("it is %s, was %s; the record:\n%s", after.Status.ClusterID, before.Status.ClusterID, diff)
	}
}

// cluster is what a pass reads of machines and volumes.
type cluster struct {
	client.Reader
	volume *corev1.PersistentVolume
	nodes  []string
	err    error
}

func (c cluster) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	if c.volume == nil || c.volume.Name != key.Name {
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	c.volume.DeepCopyInto(into.(*corev1.PersistentVolume))
	return c.err
}

func (c cluster) List(_ context.Context, into client.ObjectList, _ ...client.ListOption) error {
	for _, name := range c.nodes {
		into.(*metav1.PartialObjectMetadataList).Items = append(into.(*metav1.PartialObjectMetadataList).Items,
			metav1.PartialObjectMetadata{ObjectMeta: metav1.ObjectMeta{Name: "node-" + name, Labels: map[string]string{corev1.LabelHostname: name}}})
	}
	return nil
}

// local is a volume that is on machines, as a storage class of local volumes makes it.
func local(terms ...corev1.NodeSelectorTerm) *corev1.PersistentVolume {
	return &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "v"}, Spec: corev1.PersistentVolumeSpec{
		NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: terms}}}}
}

func on(key string, values ...string) corev1.NodeSelectorTerm {
	return corev1.NodeSelectorTerm{MatchExpressions: []corev1.NodeSelectorRequirement{{Key: key, Operator: corev1.NodeSelectorOpIn, Values: values}}}
}

// lacking is a pass over three members, of which the last one is silent, its pod not placed.
func lacking() *pass {
	p := seen(3)
	p.seen.Size, p.set = 3, newSet("3")
	p.claims = map[int]*corev1.PersistentVolumeClaim{}
	for place := range 3 {
		p.claims[place] = &corev1.PersistentVolumeClaim{ObjectMeta: metav1.ObjectMeta{Name: p.c.ClaimName(place), UID: types.UID("uid-" + p.c.PodName(place))},
			Spec: corev1.PersistentVolumeClaimSpec{VolumeName: "v"}}
	}
	p.nodes[2], p.pods[2].Status = nil, corev1.PodStatus{Phase: corev1.PodPending}
	p.Live = cluster{volume: local(on(corev1.LabelHostname, "c")), nodes: []string{"a", "b"}}
	return p
}

// TestLost: a disk is lost when its claim or its machine was deleted, or a person says so, and for no silence.
func TestLost(t *testing.T) {
	forbidden := apierrors.NewForbidden(schema.GroupResource{}, "v", nil)
	for name, c := range map[string]struct {
		see  func(p *pass)
		lost string
		says string
	}{
		"its machine was deleted": {func(*pass) {}, "demo-2-0", "Node object was deleted"},
		"its machine is there":    {func(p *pass) { p.Live = cluster{volume: local(on(corev1.LabelHostname, "c")), nodes: []string{"c"}} }, "", ""},
		"by the name of its Node": {func(p *pass) {
			p.Live = cluster{volume: local(on(corev1.LabelHostname, "node-c")), nodes: []string{"c"}}
		}, "", ""},
		"on one of two": {func(p *pass) {
			p.Live = cluster{volume: local(on(corev1.LabelHostname, "d", "b")), nodes: []string{"a", "b"}}
		}, "", ""},
		"or elsewhere":           {func(p *pass) { p.Live = cluster{volume: local(on(corev1.LabelHostname, "c"), on("zone", "x"))} }, "", ""},
		"no machine of its zone": {func(p *pass) { p.Live = cluster{volume: local(on(corev1.LabelTopologyZone, "z"))} }, "", ""},
		"a volume for all": {func(p *pass) {
			p.Live = cluster{volume: &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "v"}}}
		}, "", ""},
		"no volume":             {func(p *pass) { p.Live = cluster{} }, "", ""},
		"not bound":             {func(p *pass) { p.claims[2].Spec.VolumeName = "" }, "", ""},
		"its pod has a machine": {func(p *pass) { p.pods[2].Spec.NodeName = "c" }, "", ""},
		"it answers":            {func(p *pass) { p.nodes[2] = p.nodes[1] }, "", ""},
		"rights are lacking":    {func(p *pass) { p.Live = cluster{volume: local(), err: forbidden} }, "", "can't be seen"},
		"its claim was deleted": {func(p *pass) { p.Live, p.claims[2].DeletionTimestamp = cluster{}, ptr.To(metav1.Now()) }, "demo-2-0", "was deleted"},
		"two claims were": {func(p *pass) {
			p.Live, p.claims[2].DeletionTimestamp, p.claims[0].DeletionTimestamp = cluster{}, ptr.To(metav1.Now()), ptr.To(metav1.Now())
		}, "", ""},
		"claim deleted, it serves": {func(p *pass) { p.claims[1].DeletionTimestamp, p.nodes[2] = ptr.To(metav1.Now()), p.nodes[1] }, "", ""},
		"a person's word": {func(p *pass) {
			p.Live = cluster{}
			p.c.Annotations = map[string]string{v1alpha1.AnnotationLost: " demo-2-0,demo-7-0"}
		}, "demo-2-0", "unibus.dev/lost"},
		"of one that answers": {func(p *pass) {
			p.nodes[2] = p.nodes[1]
			p.c.Annotations = map[string]string{v1alpha1.AnnotationLost: "demo-1-0"}
		}, "", ""},
		"a pod's name": {func(p *pass) {
			p.Live = cluster{}
			p.c.Annotations = map[string]string{v1alpha1.AnnotationLost: "demo-2"}
		}, "", ""},
		"of one that was removed": {func(p *pass) {
			p.record.Names["demo-2-0"] = scaling.Name{Phase: scaling.Removed, Place: 2}
			p.c.Annotations = map[string]string{v1alpha1.AnnotationLost: "demo-2-0"}
		}, "", ""},
	} {
		p := lacking()
		c.see(p)
		must(t, p.observeLost(t.Context()))
		var all []string
		for lost := range p.lost {
			all = append(all, lost)
		}
		if strings.Join(all, " ") != c.lost || !strings.Contains(p.lost[c.lost]+p.blind, c.says) {
			t.Errorf("%s: %v (%s), want %q with %q", name, p.lost, p.blind, c.lost, c.says)
		}
	}
	p := lacking()
	p.Live = cluster{volume: local(), err: apierrors.NewInternalError(context.Canceled)}
	if p.observeLost(t.Context()) == nil {
		t.Error("what can't be read is taken for seen")
	}
}

// TestReplaceDisk: a volume that is lost is recorded for deletion before anything else is done, its server is removed by the rules, and only
// then it goes.
func TestReplaceDisk(t *testing.T) {
	waits := scaling.Step{Action: scaling.Wait, Reason: "nothing waits there"}
	p := lacking()
	must(t, p.observeLost(t.Context()))
	step := p.doom()
	if step == nil || step.Action != scaling.WriteRecord || strings.Join(step.Record.Doomed, " ") != "uid-demo-2" || len(p.record.Doomed) != 0 || len(p.dead()) != 0 {
		t.Fatalf("doomed: %+v; dead %v", step, p.dead())
	}
	p.record = step.Record
	if p.doom() != nil || strings.Join(p.dead(), " ") != "demo-2-0" {
		t.Errorf("doomed twice: %+v; dead %v", p.doom(), p.dead())
	}
	if got := p.discard(waits); got.Action != scaling.Wait {
		t.Errorf("before it is removed: %+v", got)
	}
	p.record.Names["demo-2-0"] = scaling.Name{Phase: scaling.Removed, Place: 2}
	must(t, p.observeLost(t.Context()))
	if got := p.discard(waits); got.Action != replaceDisk || got.Place != 2 || got.Volume != "uid-demo-2" {
		t.Errorf("then: %+v", got)
	}
	for name, change := range map[string]func(*pass){
		"it is another one":  func(p *pass) { p.claims[2].UID = "new" },
		"it answers":         func(p *pass) { p.nodes[2] = p.nodes[1] },
		"nobody leads":       func(p *pass) { p.Meta = nil },
		"the place is taken": func(p *pass) { p.record.Names["demo-2-1"] = scaling.Name{Phase: scaling.Ordered, Place: 2} },
		"it is not wished":   func(p *pass) { p.c.Spec.Replicas = 1 },
		"a stranger is there": func(p *pass) {
			p.seen.Places = []scaling.Place{{Node: &scaling.Node{Name: "x", DiskID: "x", ClusterID: "other"}}}
		},
	} {
		p := lacking()
		p.record.Doomed, p.record.Names["demo-2-0"] = []string{"uid-demo-2"}, scaling.Name{Phase: scaling.Removed, Place: 2}
		change(p)
		if got := p.discard(waits); got.Action != scaling.Wait {
			t.Errorf("%s: %+v", name, got)
		}
	}
	for _, policy := range []v1alpha1.VolumePolicy{v1alpha1.VolumeRetain, v1alpha1.VolumeDelete} { // one that comes back, and waits as others do
		for place, want := range map[int]scaling.Action{2: replaceDisk, 3: scaling.DeleteVolume} {
			p = lacking()
			p.c.Spec.Storage.WhenScaled = policy
			if got := p.discard(scaling.Step{Action: scaling.DeleteVolume, Place: place, Volume: "v"}); got.Action != want || got.Volume != "v" {
				t.Errorf("place %d of 3, when scaled %s: %+v, want %s", place, policy, got, want)
			}
		}
	}
	p = lacking()
	if delete(p.claims, 2); p.discard(waits).Action != replaceDisk {
		t.Error("a pod without a claim is left to wait")
	}
	if p.pods[2].Spec.NodeName = "c"; p.discard(waits).Action != scaling.Wait {
		t.Error("a pod that has been placed is replaced")
	}
	p = lacking()
	must(t, p.observeLost(t.Context()))
	if p.Meta = nil; p.doom() != nil || strings.Join(p.dead(), " ") != "demo-2-0" {
		t.Errorf("while nobody leads: %+v, dead %v", p.doom(), p.dead())
	}
	for what, change := range map[string]func(*pass){
		"streams can't be looked at": func(p *pass) { p.Blocked = errors.New("one is foreign") },
		"the record is damaged":      func(p *pass) { p.damaged = errors.New("it is cut off") },
	} {
		p = lacking()
		must(t, p.observeLost(t.Context()))
		if change(p); p.doom() != nil {
			t.Errorf("while %s: %+v", what, p.doom())
		}
	}
}

var lostStates = []state{
	{"all disks lost", func(p *pass) *obstacle {
		for _, n := range p.nodes {
			n.ServerName, n.ClusterID, n.Phase = "", "", v1.NodeWaiting
		}
		p.Meta, p.NoLeader, p.step = nil, errors.New("nobody"), person
		return nil
	}, map[string]string{"Ready": "-AllDisksLost", "Progressing": "+Repairing", "Degraded": "+AllDisksLost", "Stalled": "+AllDisksLost", "ReplicasInSync": "-NoLeader"}},
	{"a stream lost with a disk", func(p *pass) *obstacle {
		p.record.Names["demo-1-0"], p.step = scaling.Name{Phase: scaling.Removing, Place: 1}, person
		p.Streams[0].Members = p.Streams[0].Members[1:2]
		return nil
	}, map[string]string{"Ready": "-DataAtRisk", "Progressing": "+Repairing", "Degraded": "+DataAtRisk", "Stalled": "+DataAtRisk", "ReplicasInSync": "-ReplicasMissing"}},
	{"a disk is replaced", func(p *pass) *obstacle {
		p.record.Names["demo-1-0"] = scaling.Name{Phase: scaling.Removed, Place: 1}
		p.step = scaling.Step{Action: replaceDisk, Reason: "it was lost"}
		return nil
	}, map[string]string{"Ready": "-Repairing", "Progressing": "+Repairing", "Degraded": "+Repairing"}},
	{"a disk that can't be kept", func(p *pass) *obstacle {
		p.unkept = "it goes"
		return nil
	}, map[string]string{"Stalled": "+DiskAtRisk"}},
	{"a word that names nobody", func(p *pass) *obstacle {
		p.c.Annotations = map[string]string{v1alpha1.AnnotationLost: "demo-1"}
		return nil
	}, map[string]string{"Stalled": "+InvalidSpec"}},
	{"a word that names who serves", func(p *pass) *obstacle {
		p.c.Annotations = map[string]string{v1alpha1.AnnotationLost: "demo-1-0"}
		return nil
	}, map[string]string{"Stalled": "+InvalidSpec"}},
}

// TestLostConditions: what is lost, and whether it is replaced, is told.
func TestLostConditions(t *testing.T) { expectStates(t, lostStates) }
