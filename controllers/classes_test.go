// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	buspkg "github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

func historyClass(name, size string) v1alpha1.HistoryClass {
	return v1alpha1.HistoryClass{Name: name, MaxSize: v1alpha1.Size{Quantity: resource.MustParse(size)}, MaxMessagesPerRoom: 10,
		MaxMessageSize: v1alpha1.Size{Quantity: resource.MustParse("1Ki")}, Full: "Refuse"}
}

// TestTendClasses: classes are noted before they are made, changed back, and deleted only when they were noted and no room uses them.
func TestTendClasses(t *testing.T) {
	chat := class(historyClass("chat", "1Mi"))
	if want := (v1.Class{Name: "chat", MaxBytes: 1 << 20, MaxMessagesPerRoom: 10, MaxMessageBytes: 1024, Full: v1.FullRefuses}); chat != want {
		t.Errorf("class %+v, want %+v", chat, want)
	}
	other := chat
	other.MaxBytes++
	for name, c := range map[string]struct {
		has    []v1.Class
		noted  string
		change func(*pass)
		want   scaling.Action
	}{
		"new":             {nil, "", func(*pass) {}, noteClasses},
		"noted":           {nil, "chat", func(*pass) {}, putClass},
		"made":            {[]v1.Class{chat}, "chat", func(*pass) {}, scaling.Done},
		"changed":         {[]v1.Class{other}, "chat", func(*pass) {}, putClass},
		"an admin's":      {[]v1.Class{chat, {Name: "own"}}, "chat", func(*pass) {}, scaling.Done},
		"taken out":       {[]v1.Class{chat, {Name: "old"}}, "chat,old", func(*pass) {}, dropClass},
		"gone":            {[]v1.Class{chat}, "chat,old", func(*pass) {}, noteClasses},
		"nobody asked":    {nil, "", func(p *pass) { p.classes = nil }, scaling.Done},
		"not told":        {nil, "", func(p *pass) { p.noClasses = errors.New("no") }, scaling.Done},
		"in a step":       {nil, "", func(p *pass) { p.step.Action = scaling.SendOrder }, scaling.SendOrder},
		"does not fit":    {nil, "chat", func(p *pass) { p.refused["chat"] = refused{fmt.Sprint(chat), time.Now(), buspkg.ErrLimit} }, scaling.Done},
		"did not fit":     {nil, "chat", func(p *pass) { p.refused["chat"] = refused{fmt.Sprint(other), time.Now(), buspkg.ErrLimit} }, putClass},
		"may fit now":     {nil, "chat", func(p *pass) { p.refused["chat"] = refused{fmt.Sprint(chat), time.Time{}, buspkg.ErrLimit} }, putClass},
		"fails":           {nil, "chat", func(p *pass) { p.refused["chat"] = refused{fmt.Sprint(chat), time.Now(), buspkg.ErrUnavailable} }, scaling.Done},
		"in use":          {[]v1.Class{chat, {Name: "old"}}, "chat,old", func(p *pass) { p.refused["old"] = refused{"", time.Now(), buspkg.ErrInUse} }, scaling.Done},
		"may be free now": {[]v1.Class{chat, {Name: "old"}}, "chat,old", func(p *pass) { p.refused["old"] = refused{} }, dropClass},
	} {
		p := seen(1)
		p.memory.refused, p.classes, p.identity = map[string]refused{}, map[string]v1.Class{}, new(corev1.ConfigMap)
		p.c.Spec.JetStream.HistoryClasses = []v1alpha1.HistoryClass{historyClass("chat", "1Mi")}
		p.identity.Annotations = map[string]string{annotationClasses: c.noted}
		for _, has := range c.has {
			p.classes[has.Name] = has
		}
		c.change(p)
		p.step = p.tendClasses(p.step)
		if p.step.Action != c.want {
			t.Errorf("%s: %s, want %s", name, p.step.Action, c.want)
		}
		f := p.facts(nil)
		if got, misfit := f.stalled().reason, name == "does not fit"; (got == v1alpha1.ReasonHistoryDoesNotFit) != misfit {
			t.Errorf("%s: Stalled is %s", name, got)
		}
		if got, ok := f.ready(&v1alpha1.UnibusClusterStatus{ReadyReplicas: 1}).ok, c.want == scaling.Done && !slices.Contains([]string{"does not fit", "fails", "not told"}, name) ||
			c.want == dropClass; got != ok {
			t.Errorf("%s: Ready is %v", name, got)
		}
	}
}

// TestHistoryClasses: the spec's classes are made, and one that has no space is told with its size; one that is taken out stays while a room uses it.
func TestHistoryClasses(t *testing.T) {
	c := sample(t, "one")
	c.Spec.JetStream.HistoryClasses = []v1alpha1.HistoryClass{historyClass("chat", "16Mi"), historyClass("spare", "1Mi")}
	l := mustLab(t, c, withFuse)
	ctx := t.Context()
	l.within("a cluster of one", ready)
	api, err := buspkg.NewAPI(l.enter(0))
	must(t, err)
	defer api.Close()
	classes := func() string {
		all, err := api.Classes(ctx)
		must(t, err)
		var names []string
		for _, c := range all {
			names = append(names, c.Name)
		}
		return strings.Join(names, " ")
	}
	if got := classes(); got != "chat spare" {
		t.Errorf("classes %s", got)
	}
	l.expectRest()
	_, _, err = api.PutClass(ctx, v1.Class{Name: "own", MaxBytes: 300 << 20, MaxMessagesPerRoom: 1, MaxMessageBytes: 1, Full: v1.FullRolls}, buspkg.Absent)
	must(t, err)
	_, _, err = api.PutRoom(ctx, room, "chat", buspkg.Absent)
	must(t, err)
	l.change(func(c *v1alpha1.UnibusCluster) {
		c.Spec.JetStream.HistoryClasses = []v1alpha1.HistoryClass{historyClass("huge", "400Mi")}
	})
	told := l.within("a word about the size", func(c *v1alpha1.UnibusCluster) bool {
		return reason(c, v1alpha1.ConditionStalled) == v1alpha1.ReasonHistoryDoesNotFit && reason(c, v1alpha1.ConditionReady) == v1alpha1.ReasonHistoryDoesNotFit &&
			classes() == "chat own"
	})
	if said := message(told, v1alpha1.ConditionReady); !strings.Contains(said, "huge") || !strings.Contains(said, "419430400") {
		t.Errorf("it says %q", said)
	}
	l.change(func(c *v1alpha1.UnibusCluster) { c.Spec.JetStream.HistoryClasses = nil })
	must(t, api.DeleteRoom(ctx, room, ""))
	l.within("no class but the admin's", func(c *v1alpha1.UnibusCluster) bool { return ready(c) && classes() == "own" })
	l.expectRest()
}
