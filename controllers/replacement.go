// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"strconv"
	"strings"

	"github.com/unibus/unibus/api/v1alpha1"
)

// replacement is how far that of a secret which was made once is, by the annotations of its Secret.
type replacement struct {
	// generation is the number of what is used, other that of what is accepted beside it, 0 for nothing: the larger is the newer.
	generation, other int64
	// taken is the wish that was taken last.
	taken string
	// waits says for what the next change waits.
	waits string
}

// phaseBothAccepted is that of a secret that is to be replaced; the others are those of CAs.
const phaseBothAccepted = "BothAccepted"

// phase is where the replacement is.
func (r replacement) phase() string {
	switch {
	case r.other == 0:
		return phaseStable
	case r.other > r.generation:
		return phaseBothAccepted
	}
	return phaseSwitching
}

// replacementOf reads the annotations of a Secret; second is whether it holds a second secret. What is written there by nobody is taken for the
// first of its kind, and a second one for the newer: going through all steps is never wrong.
func (p *pass) replacementOf(secret string, second bool) replacement {
	notes := p.secrets[secret].Annotations
	first, other, _ := strings.Cut(notes[annotationGenerations], ",")
	r := replacement{generation: max(number(first), 1), other: number(other)}
	if !second {
		r.other = 0
	} else if r.other == 0 {
		r.other = r.generation + 1
	}
	taken, ok := notes[v1alpha1.AnnotationRotate]
	if !ok { // a wish that an earlier operator has declined is not one that came after it
		taken = p.annotation(p.c.RouteTLSName(), v1alpha1.AnnotationRotate)
	}
	r.taken = taken
	return r
}

// number is that of a generation, 0 for what is none.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// notes are the annotations that tell how far it is.
func (r replacement) notes() map[string]string {
	generations := strconv.FormatInt(r.generation, 10)
	if r.other != 0 {
		generations += "," + strconv.FormatInt(r.other, 10)
	}
	return map[string]string{annotationGenerations: generations, v1alpha1.AnnotationRotate: r.taken}
}

// asked says whether a wish is one for the secret of this name that was not taken yet.
func (r replacement) asked(wish, name string) bool {
	word, _, _ := strings.Cut(wish, "/")
	return wish != r.taken && word == name
}

// begun, switched and ended are what follows: a second secret is accepted, is used in place of the first, is the only one.
func (r replacement) begun(wish string) replacement {
	r.other, r.taken = r.generation+1, wish
	return r
}

func (r replacement) switched() replacement {
	r.generation, r.other = r.other, r.generation
	return r
}

func (r replacement) ended() replacement {
	r.other = 0
	return r
}

// takeWish takes a wish that is for something else, so that a later one is another.
func (p *pass) takeWish(ctx context.Context, secret string, r *replacement) error {
	if r.taken == p.wish() {
		return nil
	}
	next := *r
	next.taken = p.wish()
	if err := refusal("Secret", secret, p.writeSecret(ctx, secret, nil, next.notes())); err != nil {
		return err
	}
	*r = next
	return nil
}

// words says how far it is by what each phase is called, and what it waits for; empty when nothing is under way.
func (r replacement) words(name string, phases map[string]string) string {
	said := phases[r.phase()]
	if said == "" {
		return ""
	}
	if r.waits != "" {
		said += "; " + r.waits
	}
	return name + ": " + said
}

// plan is what is left to do, the first of it what is waited for.
func (r replacement) plan(why string, left ...string) (steps []v1alpha1.PlannedStep) {
	for i, do := range left {
		s := v1alpha1.PlannedStep{Do: do, Why: why}
		if i == 0 && r.waits != "" {
			s.Why += "; " + r.waits
		}
		steps = append(steps, s)
	}
	return steps
}

// status is what is told of it.
func (r replacement) status() *v1alpha1.SecretStatus {
	if r.generation == 0 {
		return nil
	}
	return &v1alpha1.SecretStatus{Generation: r.generation, Phase: r.phase()}
}
