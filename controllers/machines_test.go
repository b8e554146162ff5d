// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/internal/natstest"
)

// faults are what of a lab's machines fails, or may.
type faults struct {
	machines atomic.Pointer[machines]
	// hung is the UID of a pod whose node is not started any more.
	hung atomic.Value
}

// machines are the machines of a lab whose volumes are local ones: a pod runs where its volume is, or nowhere.
type machines struct {
	api   client.Client
	names []string
	// mu keeps pods that are placed at the same time from taking the same machine.
	mu sync.Mutex
}

// withMachines gives a lab machines, more than there are places: each has room for one volume, ever.
func withMachines(l *lab) {
	m := &machines{api: l.api}
	for i := range l.cluster.Spec.Replicas + 3 {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("%s-%d", l.cluster.Namespace, i)}}
		node.Labels = map[string]string{corev1.LabelHostname: node.Name}
		must(l.t, m.api.Create(l.t.Context(), node))
		m.names = append(m.names, node.Name)
	}
	l.machines.Store(m)
}

// placed waits until a pod can run, and says whether it is to: a lab without machines has room for all.
func (k *kubelet) placed(ctx context.Context, pod corev1.Pod) bool {
	m := k.machines.Load()
	for told := false; m != nil; {
		if ok, err := m.has(ctx, &pod); ok && err == nil {
			return true
		}
		now := new(corev1.Pod)
		if err := k.api.Get(ctx, client.ObjectKeyFromObject(&pod), now); !tick(ctx) || apierrors.IsNotFound(err) || err == nil && now.UID != pod.UID {
			return false
		}
		if !told {
			before := now.DeepCopy()
			now.Status.Conditions = []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Reason: "Unschedulable", Message: "no machine has its volume"}}
			told = k.api.Status().Patch(ctx, now, client.MergeFrom(before)) == nil
		}
	}
	return true
}

// has says whether a machine that is there has the volume of a pod. A claim that is new gets one.
func (m *machines) has(ctx context.Context, pod *corev1.Pod) (bool, error) {
	claim, volume := new(corev1.PersistentVolumeClaim), new(corev1.PersistentVolume)
	if err := m.api.Get(ctx, client.ObjectKey{Namespace: pod.Namespace, Name: "data-" + pod.Name}, claim); err != nil || claim.DeletionTimestamp != nil {
		return false, client.IgnoreNotFound(err)
	}
	if claim.Spec.VolumeName == "" {
		return false, m.bind(ctx, claim)
	}
	if err := m.api.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, volume); err != nil {
		return false, err
	}
	err := m.api.Get(ctx, client.ObjectKey{Name: machinesOf(volume)[0]}, new(corev1.Node))
	return err == nil, client.IgnoreNotFound(err)
}

// bind makes a volume for a claim, on a machine that has none.
func (m *machines) bind(ctx context.Context, claim *corev1.PersistentVolumeClaim) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	var volumes corev1.PersistentVolumeList
	if err := m.api.List(ctx, &volumes); err != nil {
		return err
	}
	free := slices.DeleteFunc(slices.Clone(m.names), func(name string) bool {
		return slices.ContainsFunc(volumes.Items, func(v corev1.PersistentVolume) bool { return machinesOf(&v)[0] == name })
	})
	volume := &corev1.PersistentVolume{ObjectMeta: metav1.ObjectMeta{Name: "volume-" + string(claim.UID)}, Spec: corev1.PersistentVolumeSpec{
		Capacity: corev1.ResourceList{corev1.ResourceStorage: resource.MustParse("1Gi")}, AccessModes: claim.Spec.AccessModes,
		PersistentVolumeReclaimPolicy: corev1.PersistentVolumeReclaimDelete,
		PersistentVolumeSource:        corev1.PersistentVolumeSource{Local: &corev1.LocalVolumeSource{Path: "/data"}},
		ClaimRef:                      &corev1.ObjectReference{Kind: "PersistentVolumeClaim", Namespace: claim.Namespace, Name: claim.Name, UID: claim.UID},
		NodeAffinity: &corev1.VolumeNodeAffinity{Required: &corev1.NodeSelector{NodeSelectorTerms: []corev1.NodeSelectorTerm{{
			MatchExpressions: []corev1.NodeSelectorRequirement{{Key: corev1.LabelHostname, Operator: corev1.NodeSelectorOpIn, Values: free[:1]}}}}}},
	}}
	if err := m.api.Create(ctx, volume); err != nil && !apierrors.IsAlreadyExists(err) {
		return err
	}
	before := claim.DeepCopy()
	claim.Spec.VolumeName = volume.Name
	return m.api.Patch(ctx, claim, client.MergeFrom(before))
}

// lose deletes the Node object of the machine where a place's volume is, and the pod, as Kubernetes does for a machine that is gone. It
// returns the volume.
func (l *lab) lose(place int) *corev1.PersistentVolume {
	l.t.Helper()
	volume := l.volume(place)
	must(l.t, l.api.Delete(l.t.Context(), &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: machinesOf(volume)[0]}}))
	must(l.t, l.api.Delete(l.t.Context(), &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: l.cluster.Namespace, Name: l.cluster.PodName(place)}}, client.GracePeriodSeconds(0)))
	return volume
}

// loseDisk deletes the claim of a place, and its pod.
func (l *lab) loseDisk(place int) {
	l.t.Helper()
	must(l.t, l.api.Delete(l.t.Context(), l.claim(place)))
	l.evict(place)
}

// loseDiskSlowly is loseDisk where the node takes its time to end, and is over once the operator has had the disk kept.
func (l *lab) loseDiskSlowly(place int) {
	l.t.Helper()
	l.mu.Lock()
	node := l.nodes[place]
	l.mu.Unlock()
	must(l.t, node.Pause())
	l.loseDisk(place)
	l.awaitKept(place)
	must(l.t, node.Continue())
}

// awaitKept waits until the disk of a claim that was deleted, and is still there, is kept.
func (l *lab) awaitKept(place int) {
	l.t.Helper()
	natstest.Within(l.t, limit, "the disk of a claim that ends is kept", func() bool {
		return l.volume(place).Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain
	})
	if l.claim(place).DeletionTimestamp.IsZero() {
		l.t.Error("its claim is not the one that was deleted")
	}
}

// hang has the node of a place, and of that very pod, run no more.
func (l *lab) hang(place int) {
	l.t.Helper()
	uid := l.uids(func(p corev1.Pod) bool { return p.Name == l.cluster.PodName(place) })[0]
	l.hung.Store(uid)
	l.kill(place)
}

func (l *lab) claim(place int) *corev1.PersistentVolumeClaim {
	l.t.Helper()
	claim := new(corev1.PersistentVolumeClaim)
	must(l.t, l.api.Get(l.t.Context(), client.ObjectKey{Namespace: l.cluster.Namespace, Name: l.cluster.ClaimName(place)}, claim))
	return claim
}

// volume is that of a place, as it is now.
func (l *lab) volume(place int) *corev1.PersistentVolume {
	l.t.Helper()
	volume := new(corev1.PersistentVolume)
	must(l.t, l.api.Get(l.t.Context(), client.ObjectKey{Name: l.claim(place).Spec.VolumeName}, volume))
	return volume
}

// brokenTag is that of an image that nobody can pull, deafTag that of one whose node runs and never serves.
const (
	brokenTag = ":broken"
	deafTag   = ":deaf"
)

// running is the status of a pod whose node runs.
func running(ready bool) corev1.PodStatus {
	status := corev1.ConditionFalse
	if ready {
		status = corev1.ConditionTrue
	}
	return corev1.PodStatus{Phase: corev1.PodRunning, Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: status, LastTransitionTime: metav1.Now()}}}
}
