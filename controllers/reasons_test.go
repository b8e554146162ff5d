// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"

	buspkg "github.com/unibus/unibus/api/client"
	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/scaling"
)

// pairs are conditions with reasons.
type pairs map[string]bool

func (all pairs) add(condition, reason string) { all[condition+" "+reason] = true }

// TestReasonsOfConditions: the table that people read has each condition with each reason that it is told with, and no other. What is told in all
// states that tests know is compared with the table, and with what the source can tell: a state that is missing here is found there.
func TestReasonsOfConditions(t *testing.T) {
	table, told := pairs{}, pairs{}
	for _, r := range v1alpha1.Reasons() {
		for _, condition := range r.Conditions {
			table.add(condition, r.Name)
		}
	}
	tell := func(p *pass, stopped *obstacle) {
		for _, c := range status(p.facts(stopped)).Conditions {
			told.add(c.Type, c.Reason)
		}
	}
	for _, s := range slices.Concat(states, unseenStates, rollStates, lostStates, otherStates(t)) {
		p := seen(3)
		tell(p, s.change(p))
	}
	source := readSource(t)
	for _, o := range source.obstacles {
		tell(seen(3), o)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(table)), slices.Sorted(maps.Keys(told))); diff != "" {
		t.Errorf("the table in api/v1alpha1/reasons.go (-) and what is told (+):\n%s", diff)
	}
	if diff := cmp.Diff(slices.Sorted(maps.Keys(source.pairs())), slices.Sorted(maps.Keys(told))); diff != "" {
		t.Errorf("what the source can tell (-) and what is told in the states of tests (+):\n%s", diff)
	}
}

// otherStates are those that tests of what leads to them know best.
func otherStates(t *testing.T) []state {
	now := time.Now()
	ca := newIssuer(t, "ca", now)
	good, ended := ca.issue(t, now.Add(-time.Hour), now.Add(day)), ca.issue(t, now.Add(-2*day), now.Add(-day))
	certified := func(change func(*pass)) func(*pass) *obstacle {
		return func(p *pass) *obstacle {
			*p = *withCertificates(t, good, good, good, good)
			change(p)
			return nil
		}
	}
	misfit := func(why error) func(*pass) *obstacle {
		return func(p *pass) *obstacle {
			h := historyClass("chat", "1Mi")
			p.c.Spec.JetStream.HistoryClasses = []v1alpha1.HistoryClass{h}
			p.classes, p.memory.refused = map[string]v1.Class{}, map[string]refused{"chat": {fmt.Sprint(class(h)), now, why}}
			return nil
		}
	}
	return []state{
		{"certified", certified(func(*pass) {}), nil},
		{"a certificate ended", certified(func(p *pass) { p.cas[1].used = ended }), nil},
		{"an issuer is wrong", certified(func(p *pass) { p.cas[1].trouble = &obstacle{reason: v1alpha1.ReasonIssuerWithoutCA} }), nil},
		{"a CA is rotated", certified(func(p *pass) { p.cas[0].phase = phaseBothTrusted }), nil},
		{"no address", certified(func(p *pass) { p.outside.unknown = "no address yet" }), nil},
		{"volumes grow", func(p *pass) *obstacle { *p = *larger(); return nil }, nil},
		{"volumes can't grow", func(p *pass) *obstacle {
			*p = *larger()
			p.memory.refused = map[string]refused{string(p.claims[0].UID): {"2Gi", now, errors.New("it must support resize")}}
			return nil
		}, nil},
		{"a class does not fit", misfit(buspkg.ErrLimit), nil},
		{"a class is refused", misfit(buspkg.ErrInvalid), nil},
		{"a pod can't be placed", func(p *pass) *obstacle {
			p.pods[1] = pod(corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodScheduled, Status: corev1.ConditionFalse, Message: "no machine"}}})
			return nil
		}, nil},
		{"nothing changes", func(p *pass) *obstacle {
			p.set, p.Meta, p.NoLeader = newSet("3"), nil, errors.New("nobody")
			p.seen.Quiet = scaling.Patience
			p.step = scaling.Step{Action: scaling.Wait, Person: true, Reason: "no leader"}
			return nil
		}, nil},
		{"a pod is not made for long", func(p *pass) *obstacle {
			unmake(p, 1, time.Hour)
			p.set, p.seen.Quiet, p.step.Person = newSet("3"), scaling.Patience, true
			return nil
		}, nil},
	}
}

// code is what the package's files can tell.
type code struct {
	obstacles []*obstacle
	functions map[string]*ast.FuncDecl
}

func readSource(t *testing.T) code {
	t.Helper()
	s := code{functions: map[string]*ast.FuncDecl{}}
	files, err := filepath.Glob("*.go")
	must(t, err)
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, nil, 0)
		must(t, err)
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && tells(f) {
				s.functions[f.Name.Name] = f
			}
		}
		ast.Inspect(file, func(n ast.Node) bool {
			if literal, ok := n.(*ast.CompositeLit); ok && isIdent(literal.Type, "obstacle") {
				s.obstacles = append(s.obstacles, obstacleOf(t, literal))
			}
			return true
		})
	}
	return s
}

// tells says whether a function returns a verdict, or the reason of one.
func tells(f *ast.FuncDecl) bool {
	if f.Name.Name == "personReason" {
		return true
	}
	return f.Type.Results != nil && slices.ContainsFunc(f.Type.Results.List, func(r *ast.Field) bool {
		star, ok := r.Type.(*ast.StarExpr)
		return isIdent(r.Type, "verdict") || ok && isIdent(star.X, "verdict")
	})
}

func isIdent(e ast.Expr, name string) bool {
	i, ok := e.(*ast.Ident)
	return ok && i.Name == name
}

// obstacleOf is the obstacle that a literal makes, with some message.
func obstacleOf(t *testing.T, literal *ast.CompositeLit) *obstacle {
	t.Helper()
	o := &obstacle{message: "it stands in the way"}
	for _, e := range literal.Elts {
		switch field := e.(*ast.KeyValueExpr); field.Key.(*ast.Ident).Name {
		case "reason":
			if o.reason = reasonOf(field.Value); o.reason == "" {
				t.Errorf("an obstacle whose reason is no constant can't be judged")
			}
		case "stalled":
			o.stalled = isIdent(field.Value, "true")
		case "failed":
			o.failed = errors.New("it failed")
		}
	}
	return o
}

// reasonOf is the reason that an expression names, empty when it is something else. That constants have the names of their values is the API's test.
func reasonOf(e ast.Node) string {
	selected, ok := e.(*ast.SelectorExpr)
	if !ok || !isIdent(selected.X, "v1alpha1") {
		return ""
	}
	reason, ok := strings.CutPrefix(selected.Sel.Name, "Reason")
	if !ok {
		return ""
	}
	return reason
}

// pairs are what the functions of conditions, and those that they call, name, and the obstacles that they pass on.
func (s code) pairs() pairs {
	all := pairs{}
	for condition, function := range map[string]string{v1alpha1.ConditionReady: "ready", v1alpha1.ConditionProgressing: "progressing", v1alpha1.ConditionDegraded: "degraded",
		v1alpha1.ConditionStalled: "stalled", v1alpha1.ConditionFormed: "formed", v1alpha1.ConditionCertificatesReady: "certificatesReady",
		v1alpha1.ConditionReplicasInSync: "inSync", v1alpha1.ConditionUpgrading: "upgrading"} {
		s.collect(all, condition, function, map[string]bool{})
	}
	for _, o := range s.obstacles {
		all.add(v1alpha1.ConditionReady, o.reason)
		all.add(v1alpha1.ConditionProgressing, o.reason)
		if o.stalled {
			all.add(v1alpha1.ConditionStalled, o.reason)
		}
	}
	// What ended before all was seen has stopped the pass, which Ready tells first; what no person can mend is not for one to decide.
	delete(all, "Ready NotSeen")
	delete(all, "Stalled Repairing")
	return all
}

func (s code) collect(all pairs, condition, function string, done map[string]bool) {
	f := s.functions[function]
	if f == nil || done[function] {
		return
	}
	done[function] = true
	ast.Inspect(f.Body, func(n ast.Node) bool {
		switch n := n.(type) {
		case *ast.SelectorExpr:
			if reason := reasonOf(n); reason != "" {
				all.add(condition, reason)
			}
		case *ast.Ident:
			if n.Name == "notSeen" {
				all.add(condition, v1alpha1.ReasonNotSeen)
			}
		case *ast.CallExpr:
			switch called := n.Fun.(type) {
			case *ast.Ident:
				s.collect(all, condition, called.Name, done)
			case *ast.SelectorExpr:
				s.collect(all, condition, called.Sel.Name, done)
			}
		}
		return true
	})
}
