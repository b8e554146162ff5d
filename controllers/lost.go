// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

// replaceDisk deletes the claim with UID Step.Volume of Step.Place, and what runs on it, so that an empty one is made. The disk is kept.
const replaceDisk scaling.Action = "replace-disk"

// losses are the disks that are lost though no other one has taken their place yet.
type losses struct {
	// lost are the server names of members whose disks are lost, each with what says so.
	lost map[string]string
	// blind says why it can't be seen whether a machine is gone; empty when it can.
	blind string
}

// observeLost finds disks that are lost by what Kubernetes or a person says: the claim or the machine of a node that is silent was deleted,
// or unibus.dev/lost has its server name. A machine that is only not ready is waited for.
func (p *pass) observeLost(ctx context.Context) error {
	p.losses = losses{lost: map[string]string{}}
	if p.record == nil {
		return nil
	}
	words := p.words()
	for _, name := range slices.Sorted(maps.Keys(p.record.Names)) {
		n := p.record.Names[name]
		claim := p.claims[n.Place]
		switch {
		case n.Phase == scaling.Removed || n.Phase == scaling.Void || p.runs(name):
		case slices.Contains(words, name):
			p.lost[name] = v1alpha1.AnnotationLost + " has it"
		case claim == nil || p.answers(n.Place):
		case !claim.DeletionTimestamp.IsZero() && p.fewClaimsEnd():
			p.lost[name] = fmt.Sprintf("the PersistentVolumeClaim %s was deleted", claim.Name)
		default:
			why, err := p.machineGone(ctx, p.pods[n.Place], claim)
			if err != nil {
				return err
			}
			if why != "" {
				p.lost[name] = why
			}
		}
	}
	return nil
}

// words are the server names that a person says are lost.
func (p *pass) words() []string {
	return strings.FieldsFunc(p.c.Annotations[v1alpha1.AnnotationLost], func(r rune) bool { return r == ',' || r == ' ' })
}

// misword says what is wrong with a person's word; empty when nothing is. A pod's name would be another server's tomorrow, and a server that
// answers would be dead at its next silence.
func (p *pass) misword() string {
	for _, word := range p.words() {
		if p.record == nil {
			break
		}
		if n, known := p.record.Names[word]; !known {
			return fmt.Sprintf("has %q, which is no server name of this cluster: status.members has them", word)
		} else if n.Phase != scaling.Removed && p.runs(word) {
			return fmt.Sprintf("has %s, which answers: take it out", word)
		}
	}
	return ""
}

// runs says whether a node answers with a server name.
func (p *pass) runs(name string) bool {
	return slices.ContainsFunc(p.nodes, func(n *v1.NodeStatus) bool { return n != nil && n.ServerName == name })
}

func (p *pass) answers(place int) bool { return place < len(p.nodes) && p.nodes[place] != nil }

// fewClaimsEnd says whether most claims stay: those of a namespace that is deleted end all together, and nothing is to be saved from them.
func (p *pass) fewClaimsEnd() bool {
	ending := 0
	for _, claim := range p.claims {
		if !claim.DeletionTimestamp.IsZero() {
			ending++
		}
	}
	return 2*ending < len(p.claims)
}

// machineGone says so when a pod can't be placed because its volume is bound to a machine whose Node object was deleted.
func (p *pass) machineGone(ctx context.Context, pod *corev1.Pod, claim *corev1.PersistentVolumeClaim) (string, error) {
	if pod == nil || pod.Spec.NodeName != "" || claim.Spec.VolumeName == "" {
		return "", nil
	}
	volume := new(corev1.PersistentVolume)
	var nodes metav1.PartialObjectMetadataList
	nodes.SetGroupVersionKind(corev1.SchemeGroupVersion.WithKind("NodeList"))
	err := p.Live.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, volume)
	if err == nil {
		err = p.Live.List(ctx, &nodes)
	}
	switch {
	case apierrors.IsForbidden(err):
		p.blind = fmt.Sprintf("whether the machine of its volume is gone can't be seen without rights outside of the namespace: "+
			"if it is for good, put the server name into %s", v1alpha1.AnnotationLost)
		return "", nil
	case apierrors.IsNotFound(err):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("look for the machine of the volume %s: %w", claim.Spec.VolumeName, err)
	}
	machines := machinesOf(volume)
	for _, node := range nodes.Items {
		if slices.Contains(machines, node.Name) || slices.Contains(machines, node.Labels[corev1.LabelHostname]) {
			return "", nil
		}
	}
	if len(machines) == 0 {
		return "", nil
	}
	return fmt.Sprintf("its volume %s is on %s, whose Node object was deleted", volume.Name, strings.Join(machines, " or ")), nil
}

// machinesOf are the names of the machines that alone can mount a volume; none when others can. A zone without a machine is not lost.
func machinesOf(volume *corev1.PersistentVolume) (machines []string) {
	if volume.Spec.NodeAffinity == nil || volume.Spec.NodeAffinity.Required == nil {
		return nil
	}
	for _, term := range volume.Spec.NodeAffinity.Required.NodeSelectorTerms {
		named := false
		for _, e := range slices.Concat(term.MatchExpressions, term.MatchFields) {
			if (e.Key == corev1.LabelHostname || e.Key == metav1.ObjectNameField) && e.Operator == corev1.NodeSelectorOpIn {
				machines, named = append(machines, e.Values...), true
			}
		}
		if !named {
			return nil
		}
	}
	return machines
}

// desired is what scaling is to bring about.
func (p *pass) desired() scaling.Desired {
	return scaling.Desired{Name: p.c.Name, Replicas: int(p.c.Spec.Replicas), DeleteDisks: p.deletes(), Dead: p.dead()}
}

// dead are the names that scaling is to take for dead: lost, with no volume that could be taken for a new one. While nobody leads it removes
// none, and tells what is lost.
func (p *pass) dead() (names []string) {
	for _, name := range slices.Sorted(maps.Keys(p.lost)) {
		if p.Meta == nil || !p.toDoom(name) {
			names = append(names, name)
		}
	}
	return names
}

// toDoom says whether the volume of a name that is lost is still to be recorded for deletion. One that answers is not the lost one, or is
// not lost.
func (p *pass) toDoom(name string) bool {
	place := p.record.Names[name].Place
	claim := p.claims[place]
	return claim != nil && !p.answers(place) && !p.doomed(claim)
}

func (p *pass) doomed(claim *corev1.PersistentVolumeClaim) bool {
	return slices.Contains(p.record.Doomed, string(claim.UID))
}

// doom records the volume of a disk that is lost for deletion, before the loss has any effect: nothing joins on it should it come back, and
// the one that takes its place is never taken for it.
func (p *pass) doom() *scaling.Step {
	if p.Meta == nil || p.Blocked != nil || p.damaged != nil {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(p.lost)) {
		if !p.toDoom(name) {
			continue
		}
		claim := p.claims[p.record.Names[name].Place]
		next := *p.record
		next.Doomed = []string{string(claim.UID)}
		for _, other := range p.claims {
			if p.doomed(other) {
				next.Doomed = append(next.Doomed, string(other.UID))
			}
		}
		slices.Sort(next.Doomed)
		return &scaling.Step{Action: scaling.WriteRecord, Name: name, Record: &next, Reason: fmt.Sprintf(
			"%s is lost (%s): the PersistentVolumeClaim %s is recorded for deletion", name, p.lost[name], claim.Name)}
	}
	return nil
}

// discard replaces, in place of waiting, the volume of a place that is to be filled anew: doomed, of no name any more, and silent. Of what
// answers there scaling decides, and it is kept all the same, unless volumes are to be deleted anyway. A pod that was never placed lets its
// claim go, and is not given another one.
func (p *pass) discard(step scaling.Step) scaling.Step {
	if step.Action == scaling.DeleteVolume && step.Place < int(p.c.Spec.Replicas) && p.c.Spec.Storage.WhenScaled != v1alpha1.VolumeDelete {
		step.Action = replaceDisk
		return step
	}
	atOnce := p.seen
	atOnce.Quiet = 0
	if step.Action != scaling.Wait || p.Next(p.record, p.desired(), atOnce).Person {
		return step
	}
	for place := range p.seen.Size {
		claim, pod := p.claims[place], p.pods[place]
		switch {
		case p.answers(place):
			continue
		case claim == nil && pod != nil && pod.Spec.NodeName == "" && pod.DeletionTimestamp.IsZero():
			step.Volume, step.Reason = "", fmt.Sprintf("the pod %s waits for a PersistentVolumeClaim that was deleted: it is made anew with one", pod.Name)
		case claim != nil && p.Meta != nil && p.record != nil && place < int(p.c.Spec.Replicas) && p.doomed(claim) && !p.scene().MayBeMember(place):
			step.Volume = string(claim.UID)
			step.Reason = fmt.Sprintf("the PersistentVolumeClaim %s is lost, and its server removed: it makes room for an empty one", claim.Name)
		default:
			continue
		}
		step.Action, step.Place = replaceDisk, place
		break
	}
	return step
}

// replaceVolume brings the replacement of a lost volume one write further: the disk is kept by its PersistentVolume, then the claim goes, then the
// pod that holds it.
func (p *pass) replaceVolume(ctx context.Context) error {
	claim, pod := p.claims[p.step.Place], p.pods[p.step.Place]
	switch {
	case claim == nil && p.step.Volume == "":
		return client.IgnoreNotFound(p.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID}))
	case claim == nil || string(claim.UID) != p.step.Volume:
		return fmt.Errorf("the PersistentVolumeClaim of place %d: %w", p.step.Place, errChanged)
	case claim.Spec.VolumeName != "":
		if written, err := p.retain(ctx, claim); written || err != nil {
			return err
		}
	}
	if claim.DeletionTimestamp.IsZero() {
		return client.IgnoreNotFound(p.Client.Delete(ctx, claim, client.Preconditions{UID: &claim.UID, ResourceVersion: &claim.ResourceVersion}))
	}
	switch {
	case pod == nil:
		return fmt.Errorf("the PersistentVolumeClaim %s ends, and somebody holds it: see its finalizers", claim.Name)
	case !pod.DeletionTimestamp.IsZero():
		return fmt.Errorf("the pod %s ends; if its machine is gone delete the Node object %s", pod.Name, pod.Spec.NodeName)
	}
	return client.IgnoreNotFound(p.Client.Delete(ctx, pod, client.Preconditions{UID: &pod.UID}))
}

// retain has the PersistentVolume of a claim, and the disk with it, outlive the claim, and says whether that was to be written.
func (p *pass) retain(ctx context.Context, claim *corev1.PersistentVolumeClaim) (bool, error) {
	volume := new(corev1.PersistentVolume)
	err := p.Live.Get(ctx, client.ObjectKey{Name: claim.Spec.VolumeName}, volume)
	switch {
	case apierrors.IsNotFound(err):
		return false, nil
	case err == nil && volume.Spec.PersistentVolumeReclaimPolicy == corev1.PersistentVolumeReclaimRetain:
		return false, nil
	case err == nil && (volume.Spec.ClaimRef == nil || volume.Spec.ClaimRef.UID != claim.UID):
		return false, fmt.Errorf("the PersistentVolume %s is of another claim than %s", volume.Name, claim.Name)
	case err == nil:
		before := volume.DeepCopy()
		volume.Spec.PersistentVolumeReclaimPolicy = corev1.PersistentVolumeReclaimRetain
		err = p.Client.Patch(ctx, volume, client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{}), client.FieldOwner(v1alpha1.FieldOwner))
	}
	if apierrors.IsForbidden(err) {
		return false, fmt.Errorf("the operator may not have the disk of %s kept, and deletes nothing: set persistentVolumeReclaimPolicy of the PersistentVolume %s to Retain, "+
			"then delete the PersistentVolumeClaim and the pod: %w", claim.Name, claim.Spec.VolumeName, err)
	}
	return err == nil, err
}

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

// trouble is what is wrong with a pod, and what can't be seen of it.
func (f facts) trouble() *verdict {
	v := podTrouble(f.pods)
	if v != nil && f.blind != "" {
		v.message += "; " + f.blind
	}
	return v
}
