// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/jsadmin"
	"github.com/unibus/unibus/internal/scaling"
)

// TestRescue: two machines of three are gone for good, and the operator is told. It does nothing by itself, nor on half a word; on the whole word
// what is left decides alone, loses nothing that it had, and gets others beside it. The disks that were given up are kept.
func TestRescue(t *testing.T) {
	c := sample(t, "one")
	c.Spec.Replicas = 3
	l := mustLab(t, c, withMachines, withFuse)
	l.within("three members", ready)
	said := l.mustSay(0, 0, 50)
	l.change(func(c *v1alpha1.UnibusCluster) { c.Spec.Pause = true })
	l.within("a pause", func(c *v1alpha1.UnibusCluster) bool {
		return reason(c, v1alpha1.ConditionReady) == v1alpha1.ReasonPaused
	})
	volumes := []*corev1.PersistentVolume{l.lose(1), l.lose(2)}
	l.change(func(c *v1alpha1.UnibusCluster) { c.Spec.Pause = false })
	stalled := func(words ...string) func(*v1alpha1.UnibusCluster) bool {
		return func(c *v1alpha1.UnibusCluster) bool {
			return reason(c, v1alpha1.ConditionStalled) == v1alpha1.ReasonQuorumLost &&
				!slices.ContainsFunc(words, func(word string) bool { return !strings.Contains(message(c, v1alpha1.ConditionStalled), word) })
		}
	}
	told := l.within("a word about the quorum", stalled("demo-1-0 and demo-2-0 are lost for good", "set the annotation unibus.dev/rescue to demo-1-0,demo-2-0/"))
	_, word, _ := strings.Cut(message(told, v1alpha1.ConditionStalled), v1alpha1.AnnotationRescue+" to ")
	l.change(func(c *v1alpha1.UnibusCluster) {
		c.Annotations = map[string]string{v1alpha1.AnnotationRescue: "demo-1-0,demo-2-0"}
	})
	l.within("a word that is not enough", stalled("and not to demo-1-0,demo-2-0"))
	l.expectRest()
	l.change(func(c *v1alpha1.UnibusCluster) { c.Annotations = map[string]string{v1alpha1.AnnotationRescue: word} })
	l.within("members in place of those that are lost", is("demo-0-0=member demo-1-1=member demo-2-1=member"))
	l.expectHeard(1, said)
	for _, volume := range volumes {
		l.expectKept(volume)
	}
	l.expectRest()
}

// bereft is a pass over three members, of which two are silent, their pods not ready; nobody leads.
func bereft() *pass {
	p := lacking()
	p.nodes[1], p.pods[1].Status = nil, corev1.PodStatus{Phase: corev1.PodPending}
	p.nodes[0].Nonce = "nonce"
	p.Meta, p.NoLeader, p.Streams = nil, errors.New("nobody"), nil
	return p
}

// TestRescueSteps: the record is written first, with what nothing joins on; a rescue is on the word of this emergency alone, while nobody leads or a
// leader has yet to remove those that were given up; and nothing is done while it can't be known what others have.
func TestRescueSteps(t *testing.T) {
	said := bereft().emergency().word
	if !strings.HasPrefix(said, "demo-1-0,demo-2-0/") {
		t.Fatalf("the word is %q", said)
	}
	given := func(p *pass) { p.record, _ = p.giveUp([]string{"demo-1-0", "demo-2-0"}) }
	ordered := func(place int) scaling.Name {
		return scaling.Name{Phase: scaling.Ordered, Place: place, DiskID: "disk"}
	}
	led := func(members int) *jsadmin.Meta { return seen(members).Meta }
	for name, c := range map[string]struct {
		see   func(p *pass)
		early string
		want  scaling.Action
		word  bool // of an emergency that is another one
	}{
		"asked for":      {func(*pass) {}, "", scaling.WriteRecord, false},
		"recorded":       {given, "", lowerQuorum, false},
		"somebody leads": {func(p *pass) { p.Meta = led(3) }, "", "", false},
		"halfway":        {func(p *pass) { given(p); p.Meta = led(3) }, "", lowerQuorum, false},
		"all are out":    {func(p *pass) { given(p); p.Meta = led(1) }, "", "", false},
		"started anew":   {func(p *pass) { p.nodes[0].Nonce = "another" }, "", "", true},
		"one is back":    {func(p *pass) { p.nodes[1] = seen(3).nodes[1] }, "a majority is there", "", false},
		"one waits":      {func(p *pass) { p.nodes[1] = seen(3).nodes[1]; p.nodes[1].Phase = v1.NodeWaiting }, "demo-1-0 waits", "", false},
		"given up, it waits": {func(p *pass) {
			given(p)
			p.nodes[1] = seen(3).nodes[1]
			p.nodes[1].Phase = v1.NodeWaiting
		}, "", lowerQuorum, false},
		"a pod is ready": {func(p *pass) { p.pods[2] = seen(3).pods[2] }, "does not answer the operator", "", false},
		"all answer":     {func(p *pass) { p.nodes = seen(3).nodes }, "every member answers", "", false},
		"none is left":   {func(p *pass) { p.nodes[0] = nil; p.pods[0].Status = corev1.PodStatus{} }, "no member is left", "", false},
		"an order is lost": {func(p *pass) {
			p.record.Names["demo-2-0"] = ordered(2)
			p.nodes[0].Meta = &v1.MetaView{Members: []string{"demo-2-0"}}
		}, "", scaling.WriteRecord, false},
		"and never joined": {func(p *pass) { p.record.Names["demo-2-0"] = ordered(2) }, "", "", true},
		"removed long ago": {func(p *pass) {
			for _, name := range []string{"demo-1-0", "demo-2-0"} {
				p.record.Names[name] = scaling.Name{Phase: scaling.Removed}
			}
		}, "every member answers", "", false},
	} {
		p := bereft()
		c.see(p)
		e := p.emergency()
		if e.early != c.early && (c.early == "" || !strings.Contains(e.early, c.early)) || (e.word == "") != (e.early != "") || c.word != (e.word != "" && e.word != said) {
			t.Errorf("%s: %+v, want %q", name, e, c.early)
		}
		for _, asked := range []bool{false, true} {
			var got scaling.Step
			if p.c.Annotations = nil; asked {
				p.c.Annotations = map[string]string{v1alpha1.AnnotationRescue: said}
			}
			if step := p.rescue(scaling.Step{Action: scaling.Wait, Leaderless: p.Meta == nil}); step != nil {
				got = *step
			}
			if want := map[bool]scaling.Action{true: c.want}[asked]; got.Action != want {
				t.Errorf("%s, asked: %v: %+v, want %q", name, asked, got, want)
			}
			if got.Action != scaling.WriteRecord {
				continue
			}
			for _, lost := range []string{"demo-1-0", "demo-2-0"} {
				if got.Record.Names[lost].Phase != scaling.Removing || p.record.Names[lost].Phase == scaling.Removing {
					t.Errorf("%s: %s is recorded as %s, was %s", name, lost, got.Record.Names[lost].Phase, p.record.Names[lost].Phase)
				}
			}
			if want := []string{"uid-demo-1", "uid-demo-2"}; !slices.Equal(got.Record.Doomed, want) {
				t.Errorf("%s: volumes recorded for deletion: %v, want %v", name, got.Record.Doomed, want)
			}
		}
	}
	p := bereft()
	p.c.Annotations = map[string]string{v1alpha1.AnnotationRescue: said}
	if step := p.rescue(scaling.Step{Action: scaling.Wait, Person: true}); step != nil {
		t.Errorf("something else stops the cluster, and it is rescued: %+v", step)
	}
}

// TestSurvivors: who decides alone are all that run, also those whose order alone is recorded: of these a majority must decide.
func TestSurvivors(t *testing.T) {
	p := seen(5)
	p.record.Names["demo-3-0"] = scaling.Name{Phase: scaling.Ordered, Place: 3}
	for _, place := range []int{1, 2, 4} {
		p.nodes[place], p.pods[place].Status = nil, corev1.PodStatus{}
	}
	e := p.emergency()
	if want := []string{"demo-0-0", "demo-3-0"}; !slices.Equal(e.left, want) || !strings.HasPrefix(e.word, "demo-1-0,demo-2-0,demo-4-0/") {
		t.Errorf("%+v, want %v left", e, want)
	}
}
