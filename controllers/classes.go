// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	bus "github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

// Steps by which the bus gets the history classes of the spec. Step.Name is that of a class.
const (
	// noteClasses writes down, beside the record, which classes the spec has or had, before they are made: those that admins made are theirs.
	noteClasses scaling.Action = "note-classes"
	putClass    scaling.Action = "put-class"
	// dropClass deletes a class that the spec has no more. As long as a room uses it that is refused.
	dropClass scaling.Action = "delete-class"
)

// annotationClasses is the annotation of the identity ConfigMap with the classes that the spec has or had.
const annotationClasses = "unibus.dev/history-classes"

// dialAPI connects to the first node that takes it, whatever the address: nodes have a name in common.
func (m *memory) dialAPI(ctx context.Context, network, _ string) (net.Conn, error) {
	err := errors.New("no node runs")
	for _, address := range m.apis {
		var conn net.Conn
		if conn, err = m.dial(ctx, network, address); err == nil {
			return conn, nil
		}
	}
	return nil, err
}

// observeClasses asks the bus for its history classes where the spec has some, or had.
func (p *pass) observeClasses(ctx context.Context) {
	if p.Meta == nil || p.identity == nil || len(p.c.Spec.JetStream.HistoryClasses) == 0 && len(p.notedClasses()) == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, scaling.ActionDeadline)
	defer cancel()
	all, err := p.api.Classes(ctx)
	p.classes, p.noClasses = map[string]v1.Class{}, err
	for _, c := range all {
		p.classes[c.Name] = c
	}
}

// notedClasses are the names of the classes that the spec has or had.
func (p *pass) notedClasses() []string {
	return strings.FieldsFunc(p.identity.Annotations[annotationClasses], func(r rune) bool { return r == ',' })
}

// class is a history class as the bus has it.
func class(h v1alpha1.HistoryClass) v1.Class {
	c := v1.Class{Name: h.Name, MaxBytes: h.MaxSize.Value(), MaxMessagesPerRoom: h.MaxMessagesPerRoom, MaxMessageBytes: int32(h.MaxMessageSize.Value()),
		Full: v1.FullPolicy(strings.ToLower(string(h.Full))), PublisherRate: float64(ptr.Deref(h.PublisherRate, 0)), RoomRate: float64(ptr.Deref(h.RoomRate, 0))}
	if h.MaxAge != nil {
		c.MaxAge = h.MaxAge.Duration
	}
	return c
}

// tendClasses returns the step by which the bus gets the spec's history classes, in place of none. What fails holds nothing else up: it may be
// that nodes have to be rolled before it works, or volumes to grow.
func (p *pass) tendClasses(step scaling.Step) scaling.Step {
	if step.Action != scaling.Done || p.classes == nil || p.noClasses != nil {
		return step
	}
	if p.classNote() != p.identity.Annotations[annotationClasses] {
		return scaling.Step{Action: noteClasses, Reason: "the spec's history classes are written down before they are made"}
	}
	wanted := p.c.Spec.JetStream.HistoryClasses
	for _, h := range wanted {
		if c := class(h); p.classes[c.Name] != c && !p.isRefused(c.Name, fmt.Sprint(c), 5*p.rest()) {
			return scaling.Step{Action: putClass, Name: c.Name, Reason: fmt.Sprintf("the history class %s is made as the spec has it", c.Name)}
		}
	}
	for _, name := range p.notedClasses() {
		if !p.wants(name) && !p.isRefused(name, "", 5*p.rest()) {
			return scaling.Step{Action: dropClass, Name: name, Reason: fmt.Sprintf("the spec has no history class %s any more", name)}
		}
	}
	return step
}

func (p *pass) wants(name string) bool {
	return slices.ContainsFunc(p.c.Spec.JetStream.HistoryClasses, func(h v1alpha1.HistoryClass) bool { return h.Name == name })
}

// classNote is the note of classes as it is to be: those of the spec, and those of earlier ones that are there still.
func (p *pass) classNote() string {
	var names []string
	for _, h := range p.c.Spec.JetStream.HistoryClasses {
		names = append(names, h.Name)
	}
	for _, name := range p.notedClasses() {
		if _, there := p.classes[name]; there && !p.wants(name) {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, ",")
}

// tend carries the steps out.
func (p *pass) tend(ctx context.Context) error {
	name, want := p.step.Name, ""
	var err error
	switch p.step.Action {
	case noteClasses:
		next := p.identity.DeepCopy() // with its resourceVersion
		metav1.SetMetaDataAnnotation(&next.ObjectMeta, annotationClasses, p.classNote())
		return p.Client.Update(ctx, next, client.FieldOwner(v1alpha1.FieldOwner))
	case dropClass:
		if err = p.api.DeleteClass(ctx, name, ""); errors.Is(err, bus.ErrNotFound) {
			err = nil
		}
	default:
		for _, h := range p.c.Spec.JetStream.HistoryClasses {
			if h.Name == name {
				want = fmt.Sprint(class(h))
				_, _, err = p.api.PutClass(ctx, class(h), "")
			}
		}
	}
	delete(p.refused, name)
	if err != nil {
		p.refused[name] = refused{want, time.Now(), err}
	}
	return err
}

// misfit says which history class the bus did not take, nil when it took all.
func (f facts) misfit() *verdict {
	if f.noClasses != nil {
		return &verdict{false, v1alpha1.ReasonRepairing, fmt.Sprintf("the history classes can't be read, as nodes of an older version don't let the operator: %v", f.noClasses)}
	}
	for _, h := range f.c.Spec.JetStream.HistoryClasses {
		c := class(h)
		if f.classes == nil || f.classes[c.Name] == c || !f.isRefused(c.Name, fmt.Sprint(c), forever) {
			continue
		}
		switch err := f.refused[c.Name].why; {
		case errors.Is(err, bus.ErrLimit):
			return &verdict{false, v1alpha1.ReasonHistoryDoesNotFit, fmt.Sprintf("The history class %s of %s does not fit: %v", c.Name, h.MaxSize.String(), err)}
		case errors.Is(err, bus.ErrInvalid):
			return &verdict{false, v1alpha1.ReasonInvalidSpec, fmt.Sprintf("spec.jetStream.historyClasses: the class %s is not taken: %v", c.Name, err)}
		default:
			return &verdict{false, v1alpha1.ReasonRepairing, fmt.Sprintf("the history class %s is not made: %v", c.Name, err)}
		}
	}
	return nil
}
