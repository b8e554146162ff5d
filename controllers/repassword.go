// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
)

// routePasswordOf reads the Secret with the password of routes; generations are in its annotations, that of the one that is dialled with first.
// What is written there by nobody is taken for the first of its kind, and a second password for the newer one: going through all steps is never
// wrong.
func (p *pass) routePasswordOf() (k routePassword) {
	name := p.c.RouteSecretName()
	s := p.secrets[name]
	if s == nil {
		return k
	}
	k.dials, k.also = string(s.Data[manifests.RouteSecretKey]), string(s.Data[manifests.RouteSecretAlsoKey])
	first, second, _ := strings.Cut(s.Annotations[annotationGenerations], ",")
	k.generation, k.other = max(number(first), 1), number(second)
	if k.also == "" {
		k.other = 0
	} else if k.other == 0 {
		k.other = k.generation + 1
	}
	taken, ok := s.Annotations[v1alpha1.AnnotationRotate]
	if !ok { // a wish that an earlier operator has declined is not one that came after it
		taken = p.annotation(p.c.RouteTLSName(), v1alpha1.AnnotationRotate)
	}
	k.taken = taken
	return k
}

// number is that of a generation, 0 for what is none.
func number(text string) int64 {
	n, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return 0
	}
	return max(n, 0)
}

// notes are the annotations that tell how far a password is.
func (k routePassword) notes() map[string]string {
	generations := strconv.FormatInt(k.generation, 10)
	if k.also != "" {
		generations += "," + strconv.FormatInt(k.other, 10)
	}
	return map[string]string{annotationGenerations: generations, v1alpha1.AnnotationRotate: k.taken}
}

// rotatePassword takes the next step of the password's replacement, or says what it waits for. It is asked before CAs are rotated: they take
// wishes, too.
func (p *pass) rotatePassword(ctx context.Context) error {
	k, name := &p.password, p.c.RouteSecretName()
	if p.secrets[name] == nil {
		return nil // it is made first
	}
	if k.dials == "" {
		return &obstacle{reason: v1alpha1.ReasonSecretLost, stalled: true,
			message: fmt.Sprintf("The Secret %s has no %s, and nodes run with what it held. Restore it from a backup.", name, manifests.RouteSecretKey)}
	}
	do, lacks := k.next(p.wish())
	if do == nothing {
		return p.passwordWish(ctx)
	}
	if lacks != nil {
		if k.waits = p.lacking(lacks); k.waits != "" {
			if p.consentNeeded() {
				k.waits += "; pods are to be made otherwise first, see the condition Upgrading"
			}
			p.lookAgainIn(lookSoon)
			return nil
		}
	}
	fresh := ""
	if do == acceptBoth {
		data, err := newPassword()
		if err != nil {
			return fmt.Errorf("make a password of routes: %w", err)
		}
		fresh, k.taken = string(data[manifests.RouteSecretKey]), p.wish()
	}
	next := k.after(do, fresh)
	if err := p.writePassword(ctx, next); err != nil {
		return err
	}
	*k = next
	p.lookAgainIn(soon)
	log.FromContext(ctx).Info("password", "of", "routes", "step", do, "secret", name)
	p.Events.Eventf(p.c, nil, corev1.EventTypeNormal, "Rotation", string(do), "%s: %s (Secret %s)", passwordName, do, name)
	return nil
}

// passwordWish takes a wish that is for something else, so that a later one is another.
func (p *pass) passwordWish(ctx context.Context) error {
	if p.password.taken == p.wish() {
		return nil
	}
	next := p.password
	next.taken = p.wish()
	if err := p.writePassword(ctx, next); err != nil {
		return err
	}
	p.password = next
	return nil
}

// writePassword writes the Secret in one piece.
func (p *pass) writePassword(ctx context.Context, k routePassword) error {
	name := p.c.RouteSecretName()
	data := map[string][]byte{manifests.RouteSecretKey: []byte(k.dials)}
	if _, had := p.secrets[name].Data[manifests.RouteSecretAlsoKey]; had || k.also != "" {
		data[manifests.RouteSecretAlsoKey] = []byte(k.also)
	}
	return refusal("Secret", name, p.writeSecret(ctx, name, data, k.notes()))
}

// passwordStatus is what is told of the password.
func (f facts) passwordStatus() *v1alpha1.RoutePasswordStatus {
	if f.password.dials == "" {
		return nil
	}
	return &v1alpha1.RoutePasswordStatus{Generation: f.password.generation, Phase: f.password.phase()}
}

// passwordPlan is what is left to do.
func (f facts) passwordPlan() (steps []v1alpha1.PlannedStep) {
	left := map[string][]string{phaseBothAccepted: {string(switchPassword), string(replacePod), string(dropPassword)}, phaseSwitching: {string(dropPassword)}}
	for i, do := range left[f.password.phase()] {
		why := "the password of routes is replaced"
		if i == 0 && f.password.waits != "" {
			why += "; " + f.password.waits
		}
		steps = append(steps, v1alpha1.PlannedStep{Do: do, Why: why})
	}
	return steps
}
