// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

// beginScaling is the step that tells of a change of the number of members, with what streams hold, before anything is done for it. It is carried out by
// the report.
const beginScaling scaling.Action = "begin-scaling"

// untold says whether a change of the number of members is not told of yet. One that takes the place of another goes on as that one: what was
// counted first is what is to be there in the end.
func (p *pass) untold() bool {
	last := p.c.Status.LastScaling
	return p.record != nil && active(p.record) > 0 && p.from() != p.c.Spec.Replicas && (last == nil || last.Result != v1alpha1.ScalingRunning)
}

// from is the number of members that was wished before.
func (p *pass) from() int32 { return int32(cmp.Or(wish(p.set), active(p.record))) }

// lastScaling follows a change of the number of members: it begins with the step that tells of it and ends when nothing is left to do for it.
func (f facts) lastScaling(last *v1alpha1.ScalingStatus) *v1alpha1.ScalingStatus {
	now, wished := metav1.NewTime(f.now.Truncate(time.Second)), f.c.Spec.Replicas
	switch {
	case f.step.Action == beginScaling && f.acted:
		return &v1alpha1.ScalingStatus{From: f.from(), To: wished, StartTime: now, Result: v1alpha1.ScalingRunning, Before: f.counts()}
	case last == nil || last.Result != v1alpha1.ScalingRunning:
		return last
	case wished != last.From:
		last.To = wished
	}
	after := f.counts()
	if !f.scaled || after == nil && last.Before != nil {
		return last
	}
	l := ledger(last.Before, after)
	switch {
	case len(l.MissingIn) > 0 && f.seen.Quiet < scaling.Patience:
		return last // it is not said on a single look
	case len(l.MissingIn) > 0:
		last.Result = v1alpha1.ScalingFailed
	case wished == last.From:
		last.Result = v1alpha1.ScalingCancelled
	default:
		last.Result = v1alpha1.ScalingCompleted
	}
	last.CompletionTime, last.Before, last.Ledger = &now, nil, l
	return last
}

// counts are what streams hold, none where not all of them are known.
func (f facts) counts() (all []v1alpha1.StreamCount) {
	if f.Meta == nil || f.Blocked != nil {
		return nil
	}
	for _, s := range f.Streams {
		if s.Leader == "" {
			return nil
		}
		all = append(all, v1alpha1.StreamCount{Stream: s.Account + "/" + s.Name, Messages: int64(s.Messages), Last: int64(s.Last)})
	}
	return all
}

// ledger compares what streams held with what they hold. How many messages a stream has says nothing, since its own limits drop some: that it ends where it
// ended, or later, does. What Raft loses is what was written last.
func ledger(before, after []v1alpha1.StreamCount) *v1alpha1.Ledger {
	l := &v1alpha1.Ledger{After: sum(after)}
	if before == nil {
		l.Verdict = "not counted: when it began not all streams were known"
		return l
	}
	was := sum(before)
	l.Before = &was
	broken := 0
	for _, b := range before {
		i, what := slices.IndexFunc(after, func(a v1alpha1.StreamCount) bool { return a.Stream == b.Stream }), ""
		switch {
		case i < 0:
			l.Missing += b.Messages
			what = fmt.Sprintf("%s is gone, with %d messages", b.Stream, b.Messages)
		case after[i].Last < b.Last:
			l.Missing += b.Last - after[i].Last
			what = fmt.Sprintf("%s ended with message %d and ends with %d", b.Stream, b.Last, after[i].Last)
		default:
			continue
		}
		if broken++; broken <= maxMissing {
			l.MissingIn = append(l.MissingIn, what)
		}
	}
	if l.Verdict = fmt.Sprintf("nothing is missing: %d streams, %d messages, %d keys", was.Streams, was.Messages, was.Keys); broken > 0 {
		l.Verdict = fmt.Sprintf("SOMETHING IS MISSING: %d of %d streams, %d messages at least", broken, was.Streams, l.Missing)
	}
	return l
}

// maxMissing is how many streams are named in which something is missing.
const maxMissing = 10

// bucket is how the streams of key-value buckets are called. Theirs hold one message for each key.
const bucket = "KV_"

func sum(streams []v1alpha1.StreamCount) (c v1alpha1.Count) {
	for _, s := range streams {
		c.Streams++
		if _, name, _ := strings.Cut(s.Stream, "/"); strings.HasPrefix(name, bucket) {
			c.Keys += s.Messages
		} else {
			c.Messages += s.Messages
		}
	}
	return c
}

// tellScaling tells how a change of the number of members ended, once that is in the status.
func (p *pass) tellScaling(before *v1alpha1.ScalingStatus) {
	last := p.c.Status.LastScaling
	if before == nil || before.Result != v1alpha1.ScalingRunning || last.Result == v1alpha1.ScalingRunning {
		return
	}
	kind := corev1.EventTypeNormal
	if last.Result == v1alpha1.ScalingFailed {
		kind = corev1.EventTypeWarning
	}
	p.Events.Eventf(p.c, nil, kind, "Scaling"+string(last.Result), "scale", "from %d to %d: %s", last.From, last.To, last.Ledger.Verdict)
}
