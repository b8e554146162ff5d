// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"context"
	"fmt"
	"time"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
)

// routePasswordOf reads the Secret with the password of routes.
func (p *pass) routePasswordOf() routePassword {
	name := p.c.RouteSecretName()
	s := p.secrets[name]
	if s == nil {
		return routePassword{}
	}
	also := string(s.Data[manifests.RouteSecretAlsoKey])
	return routePassword{dials: string(s.Data[manifests.RouteSecretKey]), also: also, replacement: p.replacementOf(name, also != "")}
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
		return p.takeWish(ctx, name, &k.replacement)
	}
	if lacks != nil {
		if k.waits = p.lacking(lacks); k.waits != "" {
			if p.consentNeeded() {
				k.waits += "; pods are to be made otherwise first, see the condition Upgrading"
			}
			p.waitFor(passwordName, string(do)+": "+k.waits, time.Now())
			return nil
		}
	}
	fresh := ""
	if do == acceptBoth {
		data, err := newPassword()
		if err != nil {
			return fmt.Errorf("make a password of routes: %w", err)
		}
		fresh = string(data[manifests.RouteSecretKey])
	}
	next := k.after(do, fresh, p.wish())
	if err := p.writePassword(ctx, next); err != nil {
		return err
	}
	*k = next
	p.turned(ctx, passwordName, do, name)
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

// passwordPlan is what is left to do.
func (f facts) passwordPlan() []v1alpha1.PlannedStep {
	left := map[string][]string{phaseBothAccepted: {string(switchPassword), string(replacePod), string(dropPassword)}, phaseSwitching: {string(dropPassword)}}
	return f.password.plan("the password of routes is replaced", left[f.password.phase()]...)
}
