// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
	"github.com/unibus/unibus/internal/steering"
)

// takeWish is the step that writes down how many members are wished, beside the size that follows from it.
const takeWish scaling.Action = "take-wish"

// takeNote is the step that writes down what of a changed spec pods depend on, when that has not changed.
const takeNote scaling.Action = "take-note"

// errChanged is returned when somebody has written what a step was decided on. Observing again helps.
var errChanged = errors.New("it was changed meanwhile")

// wish is the number of members that was written down last, 0 when there is none that can be read.
func wish(set *appsv1.StatefulSet) int {
	n, err := strconv.Atoi(set.Annotations[annotationWish])
	if err != nil {
		return 0
	}
	return n
}

// decide returns the one step to take now.
func (p *pass) decide() scaling.Step {
	wished := int(p.c.Spec.Replicas)
	switch {
	case p.damaged != nil:
		return scaling.Step{Action: scaling.Wait, Person: true, Reason: p.damaged.Error(), Remedy: "restore it from a backup"}
	case !p.set.DeletionTimestamp.IsZero():
		return scaling.Step{Action: awaitSet, Reason: "the StatefulSet is being deleted, and is made anew then"}
	case wish(p.set) != wished && p.untold():
		return scaling.Step{Action: beginScaling, Reason: fmt.Sprintf("%d members are wished", wished)}
	case wish(p.set) != wished:
		return scaling.Step{Action: takeWish, Reason: fmt.Sprintf("%d members are wished", wished)}
	case p.unnoted():
		return scaling.Step{Action: takeNote, Reason: "the spec was changed, and not what pods are made of"}
	}
	next := p.Next(p.record, p.desired(), p.seen)
	if step := p.rescue(next); step != nil {
		return *step
	}
	if step := p.doom(); step != nil {
		return *step
	}
	p.scaled = next.Action == scaling.Done
	return p.roll(p.grow(p.tendClasses(p.discard(next))))
}

// act carries the step out. What stands against it is no error of the pass: the next one looks again. What the bus refuses of its history classes
// is told elsewhere, and the step after that is taken: an operator that ends now and then remembers no refusal, and would not get further.
func (p *pass) act(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, scaling.ActionDeadline)
	defer cancel()
	for !slices.Contains([]scaling.Action{scaling.Wait, scaling.Done, awaitSet}, p.step.Action) {
		p.failed = p.do(ctx)
		p.acted = p.failed == nil
		tried := p.step
		if p.acted || tried.Action != putClass && tried.Action != dropClass {
			return nil
		}
		next := p.decide()
		if next.Action == tried.Action && next.Name == tried.Name {
			return nil
		}
		p.tell(ctx)
		p.step, p.failed = next, nil
	}
	return nil
}

func (p *pass) do(ctx context.Context) error {
	if p.step.Action == scaling.RemovePeer || p.step.Action == lowerQuorum {
		if err := p.lookAgain(ctx); err != nil {
			return err
		}
	}
	if err := steering.Fresh(p.began, p.ended, time.Now()); err != nil {
		return err
	}
	if p.step.Action == scaling.WriteRecord {
		return p.writeRecord(ctx, p.step.Record)
	}
	set, err := p.unchanged(ctx)
	if err != nil {
		return err
	}
	switch p.step.Action {
	case takeWish:
		return p.writeSet(ctx, set, func(s *appsv1.StatefulSet) { s.Annotations[annotationWish] = fmt.Sprint(p.c.Spec.Replicas) })
	case takeNote:
		return p.writeSet(ctx, set, func(s *appsv1.StatefulSet) { s.Annotations[annotationNote] = p.rollout.note })
	case applyTemplate:
		return p.writeSet(ctx, set, p.takeTemplate)
	case keepTemplate:
		return p.writeTemplate(ctx, set)
	case noteClasses, putClass, dropClass:
		return p.tend(ctx)
	case scaling.DeleteVolume:
		return p.deleteVolume(ctx)
	case growVolume:
		return p.enlarge(ctx)
	case keepSet:
		return p.keep(ctx, set)
	case forgetSet:
		return p.keep(ctx, nil)
	case releasePods:
		return p.release(ctx, set)
	case replacePod:
		return p.deletePod(ctx)
	case replaceDisk:
		return p.replaceVolume(ctx)
	case lowerQuorum:
		return p.lower(ctx)
	case finishRoll:
		return p.writeSet(ctx, set, func(s *appsv1.StatefulSet) { s.Annotations[annotationRolled] = s.Annotations[annotationTemplate] })
	case scaling.Resize:
		return p.writeSet(ctx, set, func(s *appsv1.StatefulSet) { s.Spec.Replicas = ptr.To(int32(p.step.Size)) })
	case scaling.WriteKnownID, beginScaling:
		return nil // the report has it
	case scaling.SendOrder:
		signed, err := p.scene().Order(p.step, nil).Sign(p.credentials.order.Sign)
		if err != nil {
			return err
		}
		return p.memory.control.Send(ctx, p.endpoint(p.step.Place), signed)
	case scaling.RemovePeer, scaling.MoveReplica, scaling.SetReplicas, scaling.MoveLeader:
		return p.scene().Administer(ctx, p.admin, p.step)
	}
	return fmt.Errorf("step %s is not known", p.step.Action)
}

// scene is what steps are carried out on. The routes are those of the nodes' configuration.
func (p *pass) scene() steering.Scene { return steering.Scene{Record: p.record, Nodes: p.nodes} }

// lookAgain makes sure that what is removed for good is still to be removed: JetStream may have placed a new stream on it meanwhile.
func (p *pass) lookAgain(ctx context.Context) error {
	again := &pass{Reconciler: p.Reconciler, memory: p.memory, c: p.c}
	if err := again.observe(ctx); err != nil {
		return err
	}
	if again.set == nil {
		return errChanged
	}
	if now := again.decide(); now.Action != p.step.Action || now.Name != p.step.Name {
		return fmt.Errorf("%s is not removed now: %s", p.step.Name, now.Reason)
	}
	again.step, again.rollout, again.cas, again.again, again.unkept = p.step, p.rollout, p.cas, p.again, p.unkept
	again.password, again.keys = p.password, p.keys
	*p = *again
	return nil
}

// unchanged reads live what the step was decided on and returns the StatefulSet. Its status, which changes all the time, does not count.
func (p *pass) unchanged(ctx context.Context) (*appsv1.StatefulSet, error) {
	identity := new(corev1.ConfigMap)
	found, err := p.get(ctx, p.c.IdentityName(), identity)
	if err != nil {
		return nil, err
	}
	if found != (p.identity != nil) || found && (identity.UID != p.identity.UID || identity.ResourceVersion != p.identity.ResourceVersion) {
		return nil, fmt.Errorf("the ConfigMap %s: %w", p.c.IdentityName(), errChanged)
	}
	set := new(appsv1.StatefulSet)
	if found, err = p.get(ctx, p.c.StatefulSetName(), set); err != nil {
		return nil, err
	}
	if !found || set.UID != p.set.UID || set.Generation != p.set.Generation || wish(set) != wish(p.set) {
		return nil, fmt.Errorf("the StatefulSet %s: %w", p.c.StatefulSetName(), errChanged)
	}
	return set, nil
}

// writeSet changes the StatefulSet if it still is the one that was read.
func (p *pass) writeSet(ctx context.Context, set *appsv1.StatefulSet, change func(*appsv1.StatefulSet)) error {
	next := set.DeepCopy()
	if next.Annotations == nil {
		next.Annotations = map[string]string{}
	}
	change(next)
	patch := client.MergeFromWithOptions(set, client.MergeFromWithOptimisticLock{})
	return p.Client.Patch(ctx, next, patch, client.FieldOwner(v1alpha1.FieldOwner))
}
