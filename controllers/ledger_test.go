// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/jsadmin"
	"github.com/unibus/unibus/internal/scaling"
)

// counted is a pass over a cluster of one whose streams hold something, with a wish for three that was not taken yet.
func counted() *pass {
	p := seen(1)
	p.set = newSet("1")
	p.c.Spec.Replicas = 3
	p.place()
	for i := range p.Streams {
		p.Streams[i].Messages, p.Streams[i].Last = 40, 50
	}
	p.Streams = append(p.Streams, jsadmin.Stream{Account: "UNIBUS", Name: "KV_users", Leader: "demo-0-0", Messages: 7, Last: 9})
	return p
}

// follow has a pass decide, and act as far as the report does, and returns what is told.
func (p *pass) follow(action scaling.Action, scaled bool) *v1alpha1.ScalingStatus {
	p.step, p.acted, p.scaled = scaling.Step{Action: action}, true, scaled
	p.c.Status.LastScaling = p.facts(nil).lastScaling(p.c.Status.LastScaling.DeepCopy())
	return p.c.Status.LastScaling
}

// TestBeginScaling: a change of the number of members is in the status, with what streams hold, before anything is done for it; an operator that ends in
// between does both again; and one that takes the place of another goes on as it.
func TestBeginScaling(t *testing.T) {
	p := counted()
	if got := p.decide(); got.Action != beginScaling {
		t.Fatalf("first: %+v", got)
	}
	want := &v1alpha1.ScalingStatus{From: 1, To: 3, Result: v1alpha1.ScalingRunning, Before: []v1alpha1.StreamCount{
		{Stream: "HISTORY/chat", Messages: 40, Last: 50}, {Stream: "UNIBUS/KV_users", Messages: 7, Last: 9}}}
	got := p.follow(beginScaling, false)
	if got.StartTime.IsZero() {
		t.Error("it has no beginning")
	}
	want.StartTime = got.StartTime
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("begun:\n%s", diff)
	}
	if got := p.decide(); got.Action != takeWish {
		t.Errorf("once it is told: %+v", got)
	}
	p.Streams[0].Messages, p.Streams[0].Last = 41, 51
	if diff := cmp.Diff(want, p.follow(takeWish, false)); diff != "" {
		t.Errorf("under way:\n%s", diff)
	}
	p.set, p.c.Spec.Replicas = newSet("3"), 5
	if got := p.decide(); got.Action != takeWish {
		t.Errorf("another wish: %+v", got)
	}
	if want.To = 5; cmp.Diff(want, p.follow(takeWish, false)) != "" {
		t.Errorf("another wish:\n%s", cmp.Diff(want, p.c.Status.LastScaling))
	}
	p.c.Status.LastScaling = nil
	for name, change := range map[string]func(){
		"no record":                 func() { p.record = nil },
		"a wish that was wiped out": func() { p.set, p.c.Spec.Replicas = newSet(""), 1 },
	} {
		p = counted()
		if change(); p.decide().Action != takeWish {
			t.Errorf("%s: %+v", name, p.decide())
		}
	}
}

// TestLedger: what was counted before is there in the end, or it is said what is not.
func TestLedger(t *testing.T) {
	for name, c := range map[string]struct {
		change func(p *pass)
		result v1alpha1.ScalingResult
		says   string
		lost   int64
	}{
		"kept": {func(*pass) {}, v1alpha1.ScalingCompleted, "nothing is missing: 2 streams, 40 messages, 7 keys", 0},
		"dropped by its limits, and written to": {func(p *pass) { p.Streams[0].Messages, p.Streams[0].Last = 10, 60 },
			v1alpha1.ScalingCompleted, "nothing is missing", 0},
		"turned back":       {func(p *pass) { p.c.Spec.Replicas = 1 }, v1alpha1.ScalingCancelled, "nothing is missing", 0},
		"a stream is gone":  {func(p *pass) { p.Streams = p.Streams[1:] }, v1alpha1.ScalingFailed, "HISTORY/chat is gone, with 40 messages", 40},
		"its end is gone":   {func(p *pass) { p.Streams[1].Last = 8 }, v1alpha1.ScalingFailed, "UNIBUS/KV_users ended with message 9 and ends with 8", 1},
		"looked at once":    {func(p *pass) { p.Streams[1].Last, p.seen.Quiet = 8, 0 }, v1alpha1.ScalingRunning, "", 0},
		"not counted":       {func(p *pass) { p.c.Status.LastScaling.Before = nil }, v1alpha1.ScalingCompleted, "not counted", 0},
		"not all is done":   {func(p *pass) { p.scaled = false }, v1alpha1.ScalingRunning, "", 0},
		"one has no leader": {func(p *pass) { p.Streams[0].Leader = "" }, v1alpha1.ScalingRunning, "", 0},
	} {
		p := counted()
		p.follow(beginScaling, false)
		p.seen.Quiet, p.scaled = scaling.Patience, true
		c.change(p)
		got := p.follow(scaling.Done, p.scaled)
		if got.Result != c.result || (got.CompletionTime == nil) != (c.result == v1alpha1.ScalingRunning) || got.To != 3 {
			t.Errorf("%s: %+v, want %s", name, got, c.result)
		}
		if c.result == v1alpha1.ScalingRunning {
			if got.Ledger != nil || got.Before == nil {
				t.Errorf("%s: %+v", name, got)
			}
			continue
		}
		if got.Ledger == nil || got.Before != nil || !strings.Contains(got.Ledger.Verdict+strings.Join(got.Ledger.MissingIn, " "), c.says) || got.Ledger.Missing != c.lost {
			t.Errorf("%s: %+v, want %q", name, got.Ledger, c.says)
		}
		p.seen.Quiet *= 2
		if diff := cmp.Diff(got.DeepCopy(), p.follow(scaling.Done, true)); diff != "" {
			t.Errorf("%s: told anew:\n%s", name, diff)
		}
	}
	p := counted()
	p.Streams[0].Leader = ""
	if got := p.follow(beginScaling, false); got.Before != nil {
		t.Errorf("half of it is taken for all: %+v", got)
	}
}

// TestLagIsRounded: what is told of a member that is away does not change with each message.
func TestLagIsRounded(t *testing.T) {
	for n, want := range map[int64]int64{0: 0, 1: 1, 9: 9, 10: 10, 11: 20, 99: 100, 100: 100, 101: 200, 4711: 5000, 999999: 1000000} {
		if got := rounded(n); got != want {
			t.Errorf("%d: %d, want %d", n, got, want)
		}
	}
}

// expectScaled expects a scaling that has ended and kept what was said.
func expectScaled(t *testing.T, c *v1alpha1.UnibusCluster, from, to int32, said int) {
	t.Helper()
	s := c.Status.LastScaling
	if s == nil || s.From != from || s.To != to || s.Result != v1alpha1.ScalingCompleted || s.CompletionTime == nil || s.CompletionTime.Before(&s.StartTime) || s.Before != nil {
		t.Fatalf("scaling: %+v, want %d to %d", s, from, to)
	}
	l := s.Ledger
	if l == nil || l.Before == nil || l.Missing != 0 || l.Before.Messages < int64(said) || l.After.Messages < l.Before.Messages || l.Before.Keys == 0 || l.Before.Streams != l.After.Streams {
		t.Errorf("ledger: %+v", l)
	}
}
