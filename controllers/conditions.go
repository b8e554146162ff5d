// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"fmt"
	"slices"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

// verdict is the status of a condition, with its reason from the table in the API package.
type verdict struct {
	ok              bool
	reason, message string
}

// notSeen is the verdict on what no pass has come to see: what was told of it before stays.
var notSeen = no(v1alpha1.ReasonNotSeen, "It was not looked at: see the condition %s.", v1alpha1.ConditionReady)

func yes(reason, format string, args ...any) verdict {
	return verdict{true, reason, fmt.Sprintf(format, args...)}
}
func no(reason, format string, args ...any) verdict {
	return verdict{false, reason, fmt.Sprintf(format, args...)}
}

// conditions sets all conditions.
func (f facts) conditions(s *v1alpha1.UnibusClusterStatus) {
	for _, c := range []struct {
		kind string
		v    verdict
	}{
		{v1alpha1.ConditionReady, f.ready(s)},
		{v1alpha1.ConditionProgressing, f.progressing()},
		{v1alpha1.ConditionDegraded, f.degraded(s)},
		{v1alpha1.ConditionStalled, f.stalled()},
		{v1alpha1.ConditionFormed, f.formed()},
		{v1alpha1.ConditionCertificatesReady, f.certificatesReady()},
		{v1alpha1.ConditionReplicasInSync, f.inSync()},
		{v1alpha1.ConditionUpgrading, f.upgrading()},
	} {
		status := metav1.ConditionFalse
		switch {
		case c.v == notSeen && meta.FindStatusCondition(s.Conditions, c.kind) != nil:
			continue
		case c.v == notSeen, c.kind == v1alpha1.ConditionFormed && c.v.reason == v1alpha1.ReasonRecordLost: // it may have been
			status = metav1.ConditionUnknown
		case c.v.ok:
			status = metav1.ConditionTrue
		}
		meta.SetStatusCondition(&s.Conditions, metav1.Condition{
			Type: c.kind, Status: status, Reason: c.v.reason, Message: c.v.message, ObservedGeneration: f.c.Generation,
		})
	}
}

// founded says whether the cluster has its first member.
func (f facts) founded() bool {
	if f.record == nil || f.c.Status.ClusterID == "" {
		return false
	}
	for _, n := range f.record.Names {
		if n.Phase != scaling.Ordered && n.Phase != scaling.Void {
			return true
		}
	}
	return false
}

// members counts the names that are members and stay.
func (f facts) memberCount() (n int) {
	if f.record == nil {
		return 0
	}
	for _, name := range f.record.Names {
		if name.Phase == scaling.Member {
			n++
		}
	}
	return n
}

func (f facts) ready(s *v1alpha1.UnibusClusterStatus) verdict {
	wanted, have := int(f.c.Spec.Replicas), f.memberCount()
	trouble, inSync := f.trouble(), f.inSync()
	switch {
	case f.stopped != nil:
		return no(f.stopped.reason, "%s", f.stopped.message)
	case f.next.Person:
		return no(f.personReason(), "%s; what to do: %s", f.next.Reason, f.remedy(f.next))
	case f.recordLost() != nil:
		return *f.recordLost()
	case f.expired() != nil:
		return *f.expired()
	case f.rollStopped() != nil:
		return *f.rollStopped()
	case trouble != nil && !f.founded():
		return *trouble
	case !f.founded():
		return no(v1alpha1.ReasonForming, "%s", f.doing("the first node is being started"))
	case f.rolling() && f.unmade() == nil && !f.c.Spec.Pause:
		return no(v1alpha1.ReasonRolling, "%s", f.doing("pods are replaced"))
	case f.Meta == nil:
		return no(v1alpha1.ReasonNoLeader, "%v", f.NoLeader)
	case trouble != nil:
		return *trouble
	case f.c.Spec.Pause && (f.rolling() || f.repairing() || have != wanted || !settled(f.record)):
		return no(v1alpha1.ReasonPaused, "spec.pause is true: nothing is changed")
	case f.repairing():
		return no(v1alpha1.ReasonRepairing, "%s", f.doing("what was lost is replaced"))
	case have < wanted:
		return no(v1alpha1.ReasonScalingUp, "%d of %d members: %s", have, wanted, f.doing("nodes join"))
	case have > wanted || !settled(f.record) || f.next.Action == scaling.DeleteVolume:
		return no(v1alpha1.ReasonScalingDown, "%d members, %d are wished: %s", have, wanted, f.doing("nodes leave"))
	case !inSync.ok:
		return inSync
	case int(s.ReadyReplicas) < wanted:
		return no(v1alpha1.ReasonMemberNotReady, "%d of %d members are in sync and serve clients", s.ReadyReplicas, wanted)
	case f.c.Spec.Pause:
		return no(v1alpha1.ReasonPaused, "spec.pause is true: nothing is changed")
	case f.rollPending():
		return no(v1alpha1.ReasonRollPending, "Pods are not what the spec says now: %s", f.doing("they are replaced next"))
	case !f.atRest():
		return no(v1alpha1.ReasonRepairing, "%s", f.doing("the cluster is put in order"))
	case f.misfit() != nil:
		return *f.misfit()
	case f.cannotGrow() != nil:
		return *f.cannotGrow()
	}
	return yes(v1alpha1.ReasonAllInSync, "%d of %d members are in sync and serve clients", s.ReadyReplicas, wanted)
}

// atRest says whether the bus is as wished, whatever its volumes are, and classes that it is not to have.
func (f facts) atRest() bool {
	return f.next.Action == scaling.Done || f.next.Action == keepTemplate || f.next.Action == dropClass || f.next.Action == putClass && f.misfit() != nil || slices.Contains(growth, f.next.Action)
}

// doing is what is done now in words.
func (f facts) doing(otherwise string) string {
	what := f.next.Reason
	if what == "" {
		what = otherwise
	}
	if f.failed != nil {
		return fmt.Sprintf("%s (tried, and answered: %v)", what, f.failed)
	}
	return what
}

func (f facts) progressing() verdict {
	switch {
	case f.c.Spec.Pause:
		return no(v1alpha1.ReasonPaused, "spec.pause is true: nothing is changed")
	case f.stopped != nil:
		return verdict{!f.stopped.stalled, f.stopped.reason, f.stopped.message}
	case f.atRest() && f.growing() != "":
		return yes(v1alpha1.ReasonGrowingVolumes, "%s", f.growing())
	case f.atRest() && f.replacing() != "":
		return yes(v1alpha1.ReasonRotating, "%s", f.replacing())
	case f.atRest():
		return no(v1alpha1.ReasonStable, "%s", f.next.Reason)
	case f.recordLost() != nil:
		return *f.recordLost()
	case !f.founded():
		return yes(v1alpha1.ReasonForming, "%s", f.doing("the first node is being started"))
	case f.rolling() || f.rollPending() && settled(f.record):
		return yes(v1alpha1.ReasonRolling, "%s", f.doing("pods are replaced"))
	case f.repairing():
		return yes(v1alpha1.ReasonRepairing, "%s", f.doing("what was lost is replaced"))
	case f.memberCount() < int(f.c.Spec.Replicas):
		return yes(v1alpha1.ReasonScalingUp, "%s", f.doing("nodes join"))
	case f.memberCount() > int(f.c.Spec.Replicas) || !settled(f.record) || f.next.Action == scaling.DeleteVolume:
		return yes(v1alpha1.ReasonScalingDown, "%s", f.doing("nodes leave"))
	}
	return yes(v1alpha1.ReasonRepairing, "%s", f.doing("the cluster is put in order"))
}

func (f facts) degraded(s *v1alpha1.UnibusClusterStatus) verdict {
	trouble := f.trouble()
	switch {
	case f.blindly():
		return notSeen
	case f.recordLost() != nil:
		return yes(v1alpha1.ReasonRecordLost, "%s", f.recordLost().message)
	case f.stopped != nil && f.stopped.reason == v1alpha1.ReasonSecretLost:
		return yes(v1alpha1.ReasonSecretLost, "%s", f.stopped.message)
	case f.next.Person:
		return yes(f.personReason(), "%s; what to do: %s", f.next.Reason, f.remedy(f.next))
	case f.expired() != nil:
		return yes(v1alpha1.ReasonCertificateExpired, "%s", f.expired().message)
	case trouble != nil:
		return yes(trouble.reason, "%s", trouble.message)
	case !f.founded():
		return no(v1alpha1.ReasonStable, "The cluster has no members yet.")
	case f.Meta == nil:
		return yes(v1alpha1.ReasonNoLeader, "%v", f.NoLeader)
	case f.repairing():
		return yes(v1alpha1.ReasonRepairing, "%s", f.doing("what was lost is replaced"))
	case int(s.ReadyReplicas) < min(f.memberCount(), int(f.c.Spec.Replicas)):
		return yes(v1alpha1.ReasonMemberNotReady, "%d of %d members are in sync and serve clients", s.ReadyReplicas, f.memberCount())
	}
	return no(v1alpha1.ReasonStable, "All members serve clients.")
}

func (f facts) stalled() verdict {
	switch {
	case f.c.Spec.Pause:
		return no(v1alpha1.ReasonPaused, "spec.pause is true: nothing is changed")
	case f.stopped != nil && f.stopped.stalled:
		return yes(f.stopped.reason, "%s", f.stopped.message)
	case f.stopped != nil && f.stopped.failed != nil: // what a person was asked to do may still be to be done
		return notSeen
	case f.next.Person:
		return yes(f.personReason(), "%s; what to do: %s", f.next.Reason, f.remedy(f.next))
	case f.rollStopped() != nil:
		return yes(v1alpha1.ReasonRollStopped, "%s", f.rollStopped().message)
	case f.misword() != "":
		return yes(v1alpha1.ReasonInvalidSpec, "The annotation %s %s", v1alpha1.AnnotationLost, f.misword())
	case f.unkept != "":
		return yes(v1alpha1.ReasonDiskAtRisk, "%s", f.unkept)
	case f.step.Person && !f.rolling() && f.unmade() != nil:
		return yes(v1alpha1.ReasonPodsMissing, "%s", f.unmade().message)
	case f.step.Person && !f.rolling(): // nothing has changed for long
		return yes(v1alpha1.ReasonNoChange, "%s; what to do: %s", f.doing("nothing"), f.remedy(f.step))
	case f.misfit() != nil && f.misfit().reason != v1alpha1.ReasonRepairing:
		return yes(f.misfit().reason, "%s", f.misfit().message)
	case f.cannotGrow() != nil:
		return yes(v1alpha1.ReasonVolumesCannotGrow, "%s", f.cannotGrow().message)
	}
	return no(v1alpha1.ReasonStable, "Nothing is to be decided.")
}

func (f facts) formed() verdict {
	if f.blindly() {
		return notSeen
	}
	if f.recordLost() != nil {
		return *f.recordLost()
	}
	if f.founded() {
		return yes(v1alpha1.ReasonFormed, "The cluster was founded with id %s.", f.c.Status.ClusterID)
	}
	return no(v1alpha1.ReasonForming, "%s", f.doing("the first node is being started"))
}

func (f facts) inSync() verdict {
	if f.blindly() {
		return notSeen
	}
	if f.Meta == nil {
		return no(v1alpha1.ReasonNoLeader, "No leader tells.")
	}
	missing, behind := "", ""
	for _, s := range f.Streams {
		if len(s.Members) < len(f.Meta.Members) {
			missing = fmt.Sprintf("stream %s/%s has %d replicas of %d", s.Account, s.Name, len(s.Members), len(f.Meta.Members))
		}
		if !s.InSync() {
			behind = fmt.Sprintf("stream %s/%s is not in sync", s.Account, s.Name)
		}
	}
	switch {
	case f.Blocked != nil:
		return no(v1alpha1.ReasonReplicasBehind, "%v", f.Blocked)
	case missing != "":
		return no(v1alpha1.ReasonReplicasMissing, "%s", missing)
	case behind != "":
		return no(v1alpha1.ReasonReplicasBehind, "%s", behind)
	}
	return yes(v1alpha1.ReasonAllInSync, "%d streams have all of their replicas, in sync", len(f.Streams))
}

func (f facts) upgrading() verdict {
	r := f.rollout
	switch {
	case f.blindly() || r == nil && len(f.pods) > 0: // what pods are made of was not compared
		return notSeen
	case f.rollStopped() != nil:
		return yes(v1alpha1.ReasonRollStopped, "%s", f.rollStopped().message)
	case f.rolling():
		return yes(v1alpha1.ReasonRolling, "%s", f.doing("pods are replaced"))
	case f.rollPending():
		return yes(v1alpha1.ReasonRollPending, "Pods are not what the spec says now.")
	case r != nil && r.running && len(r.behind) > 0:
		return yes(v1alpha1.ReasonManualRoll, "Pods are not what the spec says now; those at places %v are to be deleted, one at a time.", r.behind)
	case f.consentNeeded():
		return yes(v1alpha1.ReasonConsentNeeded, "A newer operator would change the pods: %s", f.otherwise())
	}
	return no(v1alpha1.ReasonUpToDate, "All pods are as the spec has them.")
}

// rollPending says whether the spec asks for other pods, and the template is not applied yet.
func (f facts) rollPending() bool {
	return f.rollout != nil && f.rollout.pending && !f.rollout.waits(f.c.Spec.UpdateStrategy)
}
