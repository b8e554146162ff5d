// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/log"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
)

// Annotations of the Secrets with certificates that pods mount. The wish for a rotation that was taken last is there too, under the name
// under which a person writes it.
const (
	// annotationGenerations are the generations of the cluster's own CA that exist, the oldest first: numbers with commas between.
	annotationGenerations = "unibus.dev/generations"
	// annotationSince is when trust was changed last, in RFC 3339.
	annotationSince = "unibus.dev/since"
)

// Phases of a rotation, in the status.
const (
	phaseStable      = "Stable"
	phaseBothTrusted = "BothTrusted"
	phaseSwitching   = "Switching"
	phaseDroppingOld = "DroppingOld"
)

// lookSoon is when nodes are looked at again at first that have yet to read what they mount: kubelet takes up to a minute or so to bring it.
const lookSoon = 2 * time.Second

// authority is a CA, with the Secrets of what it issues. It is rotated by itself.
type authority struct {
	// name is that in the status, and in the annotation that asks for a rotation.
	name string
	// certificate is the Certificate and its Secret, mounted the Secret that pods mount.
	certificate, mounted string
	// ref is the issuer, nil for a CA of the cluster's own; generation is then the name of each of its generations, of which some exist.
	ref *v1alpha1.IssuerReference
	// renewBefore is how long before their end what it issues is renewed, nil for cert-manager's own choice.
	renewBefore *metav1.Duration
	generation  func(int64) string
	generations manifests.Authority
	rotation

	phase string
	// waits says for what the next change waits, trouble why there is none. The bus goes on with what it has.
	waits   string
	trouble *obstacle
}

// authorities are the CA of routes and that of clients, as the Secrets tell.
func (p *pass) authorities() []*authority {
	c := p.c
	route := &authority{name: "route-ca", certificate: c.RouteCertificateName(), mounted: c.RouteTLSName(), ref: c.Spec.TLS.Route.IssuerRef,
		renewBefore: c.Spec.TLS.Route.RenewBefore, generation: c.RouteCAName}
	route.own, route.kept = materialOf(p.secrets[c.OperatorCertificateName()]), materialOf(p.secrets[c.OperatorTLSName()])
	clients := &authority{name: "client-ca", certificate: c.ClientCertificateName(), mounted: c.ClientTLSName(), ref: c.Spec.TLS.Client.IssuerRef,
		renewBefore: c.Spec.TLS.Client.RenewBefore, generation: c.ClientCAIssuerName}
	clients.grace = cmp.Or(p.Grace, DefaultGrace)
	for _, a := range []*authority{route, clients} {
		a.phase, a.issued, a.used = phaseStable, materialOf(p.secrets[a.certificate]), materialOf(p.secrets[a.mounted])
		a.generations = p.generations(a)
		a.since, _ = time.Parse(time.RFC3339, p.annotation(a.mounted, annotationSince)) // without one no time of grace has begun
	}
	return []*authority{route, clients}
}

// annotation is one of a Secret, empty when it has none.
func (p *pass) annotation(secret, key string) string {
	if s := p.secrets[secret]; s != nil {
		return s.Annotations[key]
	}
	return ""
}

// generations are those of the cluster's own CA that exist: as they were written down, or else the one that issues, or else the first.
func (p *pass) generations(a *authority) (out manifests.Authority) {
	for text := range strings.SplitSeq(p.annotation(a.mounted, annotationGenerations), ",") {
		if n, err := strconv.ParseInt(text, 10, 64); err == nil && n > 0 {
			out = append(out, n)
		}
	}
	if len(out) > 0 {
		return out
	}
	digits, _ := strings.CutPrefix(p.annotation(a.certificate, certmanagerv1.IssuerNameAnnotationKey), strings.TrimSuffix(a.generation(0), "0"))
	if n, err := strconv.ParseInt(digits, 10, 64); err == nil && n > 0 {
		return manifests.Authority{n}
	}
	return manifests.Authority{1}
}

// issues says whether cert-manager certifies with the newest generation.
func (p *pass) issues(a *authority) bool {
	return a.ref != nil || p.annotation(a.certificate, certmanagerv1.IssuerNameAnnotationKey) == a.generation(a.generations.Issuing())
}

// drops says whether all that is left of a rotation is to delete what is of the oldest generation.
func (p *pass) drops(a *authority, now time.Time) bool {
	do, _ := a.next(now)
	return do == nothing && len(a.generations) > 1 && p.issues(a)
}

// stay are the generations of the cluster's own CA that are to exist: an operator that ended while it deleted one does not make that again.
func (p *pass) stay(a *authority) manifests.Authority {
	if p.drops(a, p.began) {
		return a.generations[1:]
	}
	return a.generations
}

// rotate takes the next step of a CA's rotation, or says what it waits for. What stands against it is an obstacle for a cluster that has no
// certificates yet, and for no other.
func (p *pass) rotate(ctx context.Context, a *authority, now time.Time) error {
	err := p.turn(ctx, a, now)
	var o *obstacle
	if errors.As(err, &o) && len(a.used.chain) > 0 && (o.reason != v1alpha1.ReasonNotOwned && o.reason != v1alpha1.ReasonApplyRefused) {
		a.trouble = o
		return nil
	}
	return err
}

func (p *pass) turn(ctx context.Context, a *authority, now time.Time) error {
	if err := p.usable(ctx, a.certificate, a.issued, a.issued.cas, now); err != nil {
		return err
	}
	do, wait := a.next(now)
	if do == keepOwn || wait.trusted {
		if err := p.usable(ctx, p.c.OperatorCertificateName(), a.own, a.issued.anchors(now), now); err != nil {
			return err
		}
	}
	if do == nothing {
		return p.settle(ctx, a, now)
	}
	if do == trustBoth || wait != (gate{}) {
		a.phase = phaseBothTrusted
	}
	if a.waits = p.shut(ctx, a, do, wait, now); a.waits != "" {
		return nil
	}
	name, notes := a.mounted, map[string]string{}
	switch {
	case do == keepOwn:
		name = p.c.OperatorTLSName()
	case p.secrets[name] == nil:
		notes = a.notes(p.wish(), a.generations)
	case a.dates(do, now):
		notes[annotationSince] = now.UTC().Format(time.RFC3339)
	}
	return p.write(ctx, a, do, name, a.data(do), notes)
}

// usable says why what cert-manager has issued can't be used.
func (p *pass) usable(ctx context.Context, name string, m *material, cas []*x509.Certificate, now time.Time) error {
	switch {
	case len(m.cert) == 0:
		return p.pending(ctx, name)
	case len(m.cas) == 0:
		return &obstacle{reason: v1alpha1.ReasonIssuerWithoutCA, stalled: true,
			message: fmt.Sprintf("The issuer of the Certificate %s gives no CA (%s), so that nobody could know whom it certifies. Name one that does in spec.tls.", name, caKey)}
	}
	if what := flaw(m, cas, now); what != "" {
		return &obstacle{reason: v1alpha1.ReasonCertificatePending,
			message: fmt.Sprintf("The Secret %s %s. If it stays, delete that Secret: cert-manager makes it anew.", name, what)}
	}
	return nil
}

// shut says what a change still waits for, empty when it may be made.
func (p *pass) shut(ctx context.Context, a *authority, do change, wait gate, now time.Time) string {
	if do == dropOld {
		a.phase = phaseSwitching
	}
	if wait.trusted || wait.presented {
		if who := p.unseen(ctx, a, wait, now); who != "" {
			p.waitFor(a.name, string(do)+": "+who, now)
			return who
		}
	}
	if !now.Before(wait.after) {
		return ""
	}
	if do == dropOld {
		a.phase = phaseDroppingOld
	}
	p.lookAgainIn(wait.after.Sub(now))
	return fmt.Sprintf("clients are told both until %s", wait.after.UTC().Format("2006-01-02 15:04:05Z"))
}

// waitFor has the next pass be the later, the longer what is waited for has been the same.
func (p *pass) waitFor(name, what string, now time.Time) {
	if p.waiting == nil {
		p.waiting = map[string]waiting{}
	}
	if p.waiting[name].what != what {
		p.waiting[name] = waiting{what, now}
	}
	p.lookAgainIn(min(max(lookSoon, now.Sub(p.waiting[name].since)/4), latest))
}

// lookAgainIn has the next pass be no later than this.
func (p *pass) lookAgainIn(d time.Duration) {
	if d = max(d, soon); p.again == 0 || d < p.again {
		p.again = d
	}
}

// wish is what a person asks to be rotated: a word, and after a "/" whatever makes it another wish than the one before.
func (p *pass) wish() string { return p.c.Annotations[v1alpha1.AnnotationRotate] }

// notes are the annotations that tell how far a CA is.
func (a *authority) notes(wish string, generations manifests.Authority) map[string]string {
	var all []string
	for _, n := range generations {
		all = append(all, strconv.FormatInt(n, 10))
	}
	return map[string]string{v1alpha1.AnnotationRotate: wish, annotationGenerations: strings.Join(all, ",")}
}

// settle completes a rotation, or begins one: when a person asks for it, and when a CA of the cluster's own nears its end.
func (p *pass) settle(ctx context.Context, a *authority, now time.Time) error {
	taken, next := p.annotation(a.mounted, v1alpha1.AnnotationRotate), append(slices.Clone(a.generations), a.generations.Issuing()+1)
	what, _, _ := strings.Cut(p.wish(), "/")
	switch {
	case !p.issues(a):
		a.waits = fmt.Sprintf("cert-manager has not issued the Certificate %s with the CA %s yet", a.certificate, a.generation(a.generations.Issuing()))
		return nil
	case p.drops(a, now):
		a.phase = phaseDroppingOld
		for _, o := range manifests.Generation(p.c, a.generation(a.generations[0])) {
			if err := refusal(*o.GetKind(), *o.GetName(), p.remove(ctx, o)); err != nil {
				return err
			}
		}
		return p.write(ctx, a, "remove-old-ca", a.mounted, nil, a.notes(taken, a.generations[1:]))
	case p.wish() != taken && what == a.name && a.ref == nil, a.ref == nil && a.old(now):
		return p.write(ctx, a, "make-new-ca", a.mounted, nil, a.notes(p.wish(), next))
	case p.wish() != taken:
		p.decline(a, what)
		return p.write(ctx, a, "take-wish", a.mounted, nil, a.notes(p.wish(), a.generations))
	}
	return nil
}

// decline says that a wish is not for the operator to fulfil. One that is for the other CA is that one's.
func (p *pass) decline(a *authority, what string) {
	why := ""
	switch {
	case what == a.name:
		why = fmt.Sprintf("the issuer %s is not the cluster's: replace its CA there, and nodes follow once it has issued certificates anew", a.ref.Name)
	case a == p.cas[0] && !slices.Contains([]string{p.cas[1].name, passwordName, keysName, ""}, what):
		why = "only route-ca, client-ca, route-password and keys are rotated"
	default:
		return
	}
	p.Events.Eventf(p.c, nil, corev1.EventTypeWarning, "RotationDeclined", "rotate", "%s: %s: %s", v1alpha1.AnnotationRotate, what, why)
}

// due is when three fifths of the life of a CA are over. cert-manager renews it a little later, with the same key, should nobody replace it.
func due(ca *x509.Certificate) time.Time {
	return ca.NotBefore.Add(ca.NotAfter.Sub(ca.NotBefore) / 5 * 3)
}

// old says whether the CA in use is due.
func (a *authority) old(now time.Time) bool {
	for _, ca := range a.used.anchors(now) {
		if now.After(due(ca)) {
			return true
		}
	}
	return false
}

// write writes a Secret of a step, and tells of it.
func (p *pass) write(ctx context.Context, a *authority, do change, name string, data map[string][]byte, notes map[string]string) error {
	if err := refusal("Secret", name, p.writeSecret(ctx, name, data, notes)); err != nil {
		return err
	}
	p.turned(ctx, a.name, do, name)
	return nil
}

// turned tells of a step of a rotation, and has another pass look soon.
func (p *pass) turned(ctx context.Context, what string, do change, secret string) {
	p.lookAgainIn(soon)
	log.FromContext(ctx).Info("rotation", "of", what, "step", do, "secret", secret)
	// Events that differ in their note alone are taken for one, which tells the first.
	of := &corev1.ObjectReference{APIVersion: "v1", Kind: "Secret", Namespace: p.c.Namespace, Name: secret}
	p.Events.Eventf(p.c, of, corev1.EventTypeNormal, "Rotation", string(do), "%s: %s (Secret %s)", what, do, secret)
}
