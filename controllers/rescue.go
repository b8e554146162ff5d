// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

// lowerQuorum has the members that are left lower their quorum, for a few minutes, and remove those that are lost.
const lowerQuorum scaling.Action = "lower-quorum"

// emergency is what is left of a cluster that has lost its quorum.
type emergency struct {
	// lost are the members that do not answer, left those that run.
	lost, left []string
	// early is why nobody may be given up yet.
	early string
	// word is what a person says to give up the lost, empty while early is not. It is good for no other emergency, nor once one of those that are
	// left was started anew: nobody has said it before.
	word string
}

// emergency looks at what is left. Those that were given up before, and wait now, are lost all the same.
func (p *pass) emergency() (e emergency) {
	if p.record == nil {
		return e
	}
	s := p.scene()
	for _, name := range slices.Sorted(maps.Keys(p.record.Names)) {
		if n := p.record.Names[name]; s.Counts(name) && !s.Runs(name) && (n.Phase == scaling.Removing || !p.runs(name)) {
			e.lost = append(e.lost, name)
			if podReady(p.pods[n.Place]) && !p.answers(n.Place) {
				e.early = fmt.Sprintf("the pod %s is ready, and does not answer the operator", p.c.PodName(n.Place))
			}
		}
	}
	left, unfit := s.Survivors(e.lost)
	e.left = left
	switch {
	case e.early != "":
	case len(e.lost) == 0:
		e.early = "every member answers"
	case unfit != nil:
		e.early = unfit.Name + " waits, and may have what the others have not"
	case len(left) == 0:
		e.early = "no member is left, and with it no data"
	case len(left) > len(e.lost):
		e.early = "a majority is there, and elects a leader"
	default:
		names := strings.Join(e.lost, ",")
		e.word = names + "/" + digest([]any{names, left, p.nonces(left)})[:8]
	}
	return e
}

// nonces are those of members that run: each start of a node has another one.
func (p *pass) nonces(names []string) (all []string) {
	for _, n := range p.nodes {
		if n != nil && slices.Contains(names, n.ServerName) {
			all = append(all, n.Nonce)
		}
	}
	return all
}

// rescue is the step of a rescue that a person has asked for, nil where none is to be taken; next is what is to be done without. It is the last
// resort of a cluster that nobody leads. The record first: from then on those that are lost never come back, whatever happens to the rest. Once a
// leader has removed them all else is repair.
func (p *pass) rescue(next scaling.Step) *scaling.Step {
	e := p.emergency()
	if e.word == "" || p.c.Annotations[v1alpha1.AnnotationRescue] != e.word || !next.Leaderless && !p.halfway(e.lost) {
		return nil
	}
	who := strings.Join(e.lost, ", ")
	if next, changed := p.giveUp(e.lost); changed {
		return &scaling.Step{Action: scaling.WriteRecord, Record: next, Reason: who + " are given up, as " + v1alpha1.AnnotationRescue + " says"}
	}
	return &scaling.Step{Action: lowerQuorum, Name: who, Reason: fmt.Sprintf("those that are left decide alone, and remove %s", who)}
}

// halfway says whether there is a leader since the quorum was lowered, and it has yet to remove some of those that were given up.
func (p *pass) halfway(lost []string) bool {
	if p.Meta == nil {
		return false
	}
	listed := false
	for _, name := range lost {
		_, in := p.Meta.Has(name)
		listed = listed || in
		if p.record.Names[name].Phase != scaling.Removing {
			return false
		}
	}
	return listed
}

// giveUp is the record in which members are being removed and nothing joins on their volumes.
func (p *pass) giveUp(lost []string) (next *scaling.Record, changed bool) {
	next, changed = p.scene().GiveUp(lost, p.seen.Now)
	for _, name := range lost {
		if p.toDoom(name) {
			next.Doomed, changed = append(next.Doomed, string(p.claims[p.record.Names[name].Place].UID)), true
		}
	}
	slices.Sort(next.Doomed)
	return next, changed
}

// lower carries out lowerQuorum. A server that knows a leader by now refuses, and the leader removes.
func (p *pass) lower(ctx context.Context) error {
	if p.admin == nil {
		return p.NoLeader
	}
	e, all, removed := p.emergency(), []error(nil), true
	if p.Meta == nil {
		if _, err := p.admin.Rescue(ctx, len(e.left)/2+1); err != nil {
			all = append(all, err)
		}
	}
	for _, name := range e.lost {
		if err := p.admin.RemoveLost(ctx, name); err != nil {
			all, removed = append(all, err), false
		}
	}
	if removed {
		return nil
	}
	return errors.Join(all...)
}

// remedy is what a person is to do about a step. That nobody leads is said in words of Kubernetes.
func (f facts) remedy(step scaling.Step) string {
	if !step.Leaderless {
		return step.Remedy
	}
	e := f.emergency()
	if e.word == "" {
		return "start what doesn't answer, or bring its disk back; nobody can be given up yet: " + e.early
	}
	said := fmt.Sprintf("start what doesn't answer, or bring its disk back; only if %s are lost for good, with their disks, and what nobody else has may go with them, "+
		"set the annotation %s to %s", strings.Join(e.lost, " and "), v1alpha1.AnnotationRescue, e.word)
	if word := f.c.Annotations[v1alpha1.AnnotationRescue]; word != "" && word != e.word {
		said += ", and not to " + word
	}
	return said
}
