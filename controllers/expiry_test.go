// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/unibus/unibus/api/v1alpha1"
)

// TestRenewalIsTold: when a certificate is renewed is told as cert-manager does it, and when a CA is replaced as the operator does.
func TestRenewalIsTold(t *testing.T) {
	now := time.Now().Truncate(time.Second)
	from, to := now.Add(-6*time.Hour), now.Add(24*time.Hour)
	leaf := newIssuer(t, "ca", now).issue(t, from, to)
	told := func(change func(*authority)) (leafs, ca time.Duration) {
		p := withCertificates(t, leaf, leaf, leaf, leaf)
		change(p.cas[0])
		for _, c := range status(p.facts(nil)).Certificates {
			switch {
			case c.Name == "route":
				leafs = c.RenewalTime.Sub(from)
			case c.Name == "route-ca" && c.RenewalTime != nil:
				ca = c.RenewalTime.Sub(p.cas[0].used.cas[0].NotBefore)
			case c.Name == "route-ca":
				ca = -1
			}
		}
		return leafs, ca
	}
	type times struct{ Leaf, CA time.Duration }
	for name, c := range map[string]struct {
		change func(*authority)
		want   times
	}{
		"by itself":            {func(*authority) {}, times{20 * time.Hour, 91 * day / 5 * 3}},
		"as the spec has it":   {func(a *authority) { a.renewBefore = &metav1.Duration{Duration: 3 * time.Hour} }, times{27 * time.Hour, 91 * day / 5 * 3}},
		"longer than it lives": {func(a *authority) { a.renewBefore = &metav1.Duration{Duration: 30 * time.Hour} }, times{20 * time.Hour, 91 * day / 5 * 3}},
		"of an issuer":         {func(a *authority) { a.ref = &v1alpha1.IssuerReference{Name: "corp"} }, times{20 * time.Hour, -1}},
	} {
		leafs, ca := told(c.change)
		if diff := cmp.Diff(c.want, times{leafs, ca}); diff != "" {
			t.Errorf("%s:\n%s", name, diff)
		}
	}
}

// TestExpired: a bus that clients can't enter is not ready, however well its nodes are, and it is said what to do.
func TestExpired(t *testing.T) {
	now := time.Now()
	ca := newIssuer(t, "ca", now)
	good, ended := ca.issue(t, now.Add(-time.Hour), now.Add(day)), ca.issue(t, now.Add(-2*day), now.Add(-day))
	for i, name := range []string{"demo-route-issued", "demo-client-issued"} {
		p := withCertificates(t, good, good, good, good)
		p.cas[i].used = ended
		expectConditions(t, p, nil, map[string]string{"Ready": "-CertificateExpired", "Degraded": "+CertificateExpired", "CertificatesReady": "-CertificateExpired"})
		for _, c := range status(p.facts(nil)).Conditions {
			if c.Reason == v1alpha1.ReasonCertificateExpired && !strings.Contains(c.Message, "renew the Certificate "+name+",") {
				t.Errorf("%s says %q, which does not name %s", c.Type, c.Message, name)
			}
		}
	}
}
