// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/log"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

const (
	// soon is when the pass after one that has changed something is.
	soon = 200 * time.Millisecond
	// earliest and latest are when the pass after one that waits is: the longer nothing has changed, the later.
	earliest = time.Second
	latest   = 30 * time.Second
	// idle is when the pass after one that found nothing to do is, unless it is told otherwise.
	idle = time.Minute
	// passing is for how long errors are not told: an API server that is just being restarted says nothing about a bus.
	passing = 2 * time.Second
)

// report tells what the pass has seen and done, in the status and in the log, and says when the next one is. err is why the pass ended
// early.
func (p *pass) report(ctx context.Context, err error) (reconcile.Result, error) {
	var stopped *obstacle
	switch {
	case err == nil, errors.As(err, &stopped):
		p.failing = time.Time{}
	case apierrors.IsConflict(err), apierrors.IsAlreadyExists(err):
		return reconcile.Result{RequeueAfter: soon}, nil // somebody else has written: it is looked at again
	case ctx.Err() != nil, !p.failsLong(time.Now()):
		return reconcile.Result{}, err
	default:
		stopped = failure(err)
		stopped.steady(p.c.Status.Conditions)
	}
	p.tell(ctx)
	before := p.c.DeepCopy()
	p.c.Status = status(p.facts(stopped))
	if equality.Semantic.DeepEqual(before.Status, p.c.Status) {
		return p.after(stopped)
	}
	// Against the version that was read: a cluster id that another operator has written down is not written over.
	patch := client.MergeFromWithOptions(before, client.MergeFromWithOptimisticLock{})
	switch err := p.Client.Status().Patch(ctx, p.c, patch, client.FieldOwner(v1alpha1.FieldOwner)); {
	case apierrors.IsConflict(err):
		return reconcile.Result{RequeueAfter: soon}, nil
	case err != nil:
		return reconcile.Result{}, fmt.Errorf("report on %s: %w", p.c.Name, err)
	}
	p.tellScaling(before.Status.LastScaling)
	return p.after(stopped)
}

// failsLong says whether passes have failed for so long that it is to be told.
func (m *memory) failsLong(now time.Time) bool {
	if m.failing.IsZero() {
		m.failing = now
	}
	return now.Sub(m.failing) >= passing
}

// after says when the next pass is. One after a failure is when the queue has it, which counts them.
func (p *pass) after(stopped *obstacle) (reconcile.Result, error) {
	if stopped != nil && stopped.failed != nil {
		return reconcile.Result{}, stopped.failed
	}
	return reconcile.Result{RequeueAfter: p.pause(stopped)}, nil
}

// pause is how long nothing is to be looked at.
func (p *pass) pause(stopped *obstacle) time.Duration {
	until := min(max(earliest, p.seen.Quiet/4), latest)
	switch {
	case p.acted || p.set == nil && stopped == nil && !p.c.Spec.Pause:
		return soon
	case p.step.Action == scaling.Done && p.facts(stopped).growing() == "": // nobody tells when a volume has grown
		until = p.rest()
	}
	if p.again > 0 {
		return min(until, p.again)
	}
	return until
}

// rest is how long a pass that found nothing to do is good for.
func (r *Reconciler) rest() time.Duration {
	if r.Rest > 0 {
		return r.Rest
	}
	return idle
}

// tell writes the step to the log, and to the events what was done.
func (p *pass) tell(ctx context.Context) {
	l := log.FromContext(ctx)
	switch {
	case p.failed != nil:
		l.Info("step failed; it is looked at again", "step", p.step.Action, "why", p.step.Reason, "error", p.failed.Error())
	case p.acted:
		l.Info("step taken", "step", p.step.Action, "why", p.step.Reason)
		p.Events.Eventf(p.c, nil, corev1.EventTypeNormal, eventReasons[p.step.Action], string(p.step.Action), "%s", p.step.Reason)
	default:
		l.V(1).Info("nothing to do now", "step", p.step.Action, "why", p.step.Reason)
	}
}

// eventReasons are the reasons of events, by what was done.
var eventReasons = map[scaling.Action]string{
	beginScaling: "ScalingBegun", takeWish: "WishTaken", scaling.WriteRecord: "Recorded", scaling.WriteKnownID: "Founding", scaling.Resize: "Resized", scaling.SendOrder: "OrderSent",
	scaling.RemovePeer: "PeerRemoved", scaling.MoveReplica: "ReplicaMoved", scaling.SetReplicas: "ReplicasSet", scaling.MoveLeader: "LeaderMoved",
	takeNote: "SpecNoted", applyTemplate: "RollBegun", replacePod: "PodReplaced", finishRoll: "RollCompleted", replaceDisk: "DiskReplaced", lowerQuorum: "QuorumLowered", keepDisk: "DiskKept",
	noteClasses: "ClassesNoted", putClass: "ClassMade", dropClass: "ClassDeleted", growVolume: "VolumeGrows", scaling.DeleteVolume: "VolumeDeleted", keepSet: "StatefulSetKept", keepTemplate: "TemplateKept", releasePods: "PodsReleased", forgetSet: "StatefulSetRemade",
}

// facts are what a status is computed from.
type facts struct {
	*pass
	stopped *obstacle
	// next is the step as it would be right after a change: its words do not count time.
	next scaling.Step
	now  time.Time
}

func (p *pass) facts(stopped *obstacle) facts {
	f := facts{pass: p, stopped: stopped, next: p.step, now: time.Now()}
	if p.step.Person && p.seen.Quiet >= scaling.Patience && p.set != nil {
		patient := *p
		patient.seen.Quiet = 0
		f.next = patient.decide()
	}
	return f
}
