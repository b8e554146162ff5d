// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/unibus/unibus/api/v1alpha1"
)

// certificates are those in use: of nodes, of the operator, and of the CAs that issued them.
func (f facts) certificates() (out []v1alpha1.CertificateStatus) {
	for _, a := range f.cas {
		add := func(name string, c *x509.Certificate, renewal *metav1.Time) {
			end := metav1.NewTime(c.NotAfter)
			s := v1alpha1.CertificateStatus{Name: name, NotAfter: &end, RenewalTime: renewal, Phase: a.phase}
			if a.ref == nil {
				s.Generation = a.generations.Issuing()
				if a.phase == phaseBothTrusted || a.phase == phaseStable {
					s.Generation = a.generations[0]
				}
			}
			out = append(out, s)
		}
		if len(a.used.chain) > 0 {
			add(strings.TrimSuffix(a.name, "-ca"), a.used.chain[0], a.renewal(a.used.chain[0]))
			last := a.used.chain[len(a.used.chain)-1]
			if i := slices.IndexFunc(a.used.cas, func(ca *x509.Certificate) bool { return last.CheckSignatureFrom(ca) == nil }); i >= 0 {
				add(a.name, a.used.cas[i], a.replacement(a.used.cas[i]))
			}
		}
		if a.kept != nil && len(a.kept.chain) > 0 {
			add("operator", a.kept.chain[0], a.renewal(a.kept.chain[0]))
		}
	}
	slices.SortFunc(out, func(a, b v1alpha1.CertificateStatus) int { return cmp.Compare(a.Name, b.Name) })
	return out
}

// renewal is when cert-manager renews a certificate: when the spec has it, or else when two thirds of its life are over.
func (a *authority) renewal(c *x509.Certificate) *metav1.Time {
	life := c.NotAfter.Sub(c.NotBefore)
	before := life / 3
	if r := a.renewBefore; r != nil && r.Duration < life {
		before = r.Duration
	}
	at := metav1.NewTime(c.NotAfter.Add(-before).Truncate(time.Second))
	return &at
}

// replacement is when the operator replaces a CA: when three fifths of its life are over. Of an issuer's it knows nothing.
func (a *authority) replacement(ca *x509.Certificate) *metav1.Time {
	if a.ref != nil {
		return nil
	}
	at := metav1.NewTime(due(ca).Truncate(time.Second))
	return &at
}

// inUse is how many certificates of nodes and of the operator are in use when all are.
const inUse = 3

func (f facts) certificatesReady() verdict {
	if f.stopped != nil {
		switch f.stopped.reason {
		case v1alpha1.ReasonCertManagerMissing, v1alpha1.ReasonCertificatePending, v1alpha1.ReasonCertificateFailed, v1alpha1.ReasonIssuerWithoutCA:
			return no(f.stopped.reason, "%s", f.stopped.message)
		}
	}
	if f.blindly() {
		return notSeen
	}
	if f.expired() != nil {
		return *f.expired()
	}
	leaves := 0
	for _, c := range f.certificates() {
		if !strings.HasSuffix(c.Name, "-ca") {
			leaves++
		}
	}
	for _, a := range f.cas {
		if a.trouble != nil {
			return no(a.trouble.reason, "%s Nodes go on with what they have.", a.trouble.message)
		}
	}
	switch {
	case leaves < inUse:
		return no(v1alpha1.ReasonCertificatePending, "Not all certificates are issued yet.")
	case f.rotating() != "":
		return no(v1alpha1.ReasonRotating, "%s", f.rotating())
	case f.addressPending() != "":
		return no(v1alpha1.ReasonAddressPending, "%s", f.addressPending())
	}
	return yes(v1alpha1.ReasonCertificatesValid, "All certificates are issued, valid and in use.")
}

// expired says which certificate in use has ended, and what to do; nil when none has. Clients can't enter by one of theirs, nor can nodes connect
// anew by one of routes, however well all is that goes on from before.
func (f facts) expired() *verdict {
	for _, c := range f.certificates() {
		if !f.now.After(c.NotAfter.Time) {
			continue
		}
		certificate, harm := f.c.OperatorCertificateName(), "the operator can't ask nodes"
		if i := slices.IndexFunc(f.cas, func(a *authority) bool { return strings.HasPrefix(a.name, strings.TrimSuffix(c.Name, "-ca")+"-") }); i >= 0 {
			a := f.cas[i]
			certificate, harm = a.certificate, []string{"nodes can't connect to each other anew", "clients can't enter"}[i]
			if a.name == c.Name && a.ref == nil {
				certificate = a.generation(a.generations.Issuing())
			}
		}
		v := no(v1alpha1.ReasonCertificateExpired, "The time of the %s certificate ended at %s: %s. See why cert-manager does not renew the Certificate %s, and whether clocks are right.%s",
			c.Name, c.NotAfter.UTC().Format("2006-01-02 15:04:05Z"), harm, certificate, f.because())
		return &v
	}
	return nil
}

// because says what keeps certificates from being replaced.
func (f facts) because() string {
	for _, a := range f.cas {
		if a.trouble != nil {
			return " " + a.trouble.message
		}
	}
	if how := f.rotating(); how != "" {
		return " " + how
	}
	return ""
}

// replacing says how far rotations of CAs, of the password and of keys are, empty when none is under way.
func (f facts) replacing() string {
	return strings.Join(slices.DeleteFunc([]string{f.rotating(), f.password.words(), f.keys.words()}, func(s string) bool { return s == "" }), ". ")
}

// rotating says how far rotations of CAs are and what they wait for, empty when none is under way.
func (f facts) rotating() string {
	var all []string
	for _, a := range f.cas {
		if a.phase == phaseStable && a.waits == "" {
			continue
		}
		said := fmt.Sprintf("%s: %s", a.name, phaseWords[a.phase])
		if a.waits != "" {
			said += "; " + a.waits
		}
		all = append(all, said)
	}
	return strings.Join(all, ". ")
}

var phaseWords = map[string]string{
	phaseStable:      "a new CA is made (step 1 of 4)",
	phaseBothTrusted: "both CAs are trusted, and certificates are switched once all are seen to trust both (step 2 of 4)",
	phaseSwitching:   "nodes have certificates of the new CA, and the old one is dropped once all are seen to present them (step 3 of 4)",
	phaseDroppingOld: "the old CA is dropped (step 4 of 4)",
}

// rotationPlan is what is left to do of rotations.
func (f facts) rotationPlan() (steps []v1alpha1.PlannedStep) {
	for _, a := range f.cas {
		left := map[string][]change{phaseStable: {trustBoth, switchLeaf, dropOld}, phaseBothTrusted: {switchLeaf, dropOld}, phaseSwitching: {dropOld}, phaseDroppingOld: {dropOld}}
		if a.phase == phaseStable && a.waits == "" {
			continue
		}
		for i, do := range left[a.phase] {
			s := v1alpha1.PlannedStep{Do: string(do), Why: a.name + " is rotated"}
			if i == 0 && a.waits != "" {
				s.Why += "; " + a.waits
			}
			steps = append(steps, s)
		}
	}
	return steps
}
