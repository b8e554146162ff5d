// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"errors"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"

	"github.com/unibus/unibus/api/v1alpha1"
)

// withCertificates is a pass over a cluster that is well, with Secrets: what cert-manager has issued, what nodes use and what the operator has
// kept.
func withCertificates(t *testing.T, issued, used, own, kept *material) *pass {
	t.Helper()
	p := seen(1)
	keys, err := newKeys()
	must(t, err)
	p.secrets[p.c.KeysSecretName()] = &corev1.Secret{Data: keys}
	for name, m := range map[string]*material{p.c.RouteCertificateName(): issued, p.c.RouteTLSName(): used, p.c.OperatorCertificateName(): own,
		p.c.OperatorTLSName(): kept, p.c.ClientCertificateName(): issued, p.c.ClientTLSName(): used} {
		if m != nil {
			p.secrets[name] = &corev1.Secret{Data: map[string][]byte{corev1.TLSCertKey: m.cert, corev1.TLSPrivateKeyKey: m.key, caKey: m.ca}}
			p.secrets[name].Name = name
		}
	}
	p.cas = p.authorities()
	return p
}

func (p *pass) enters() (*credentials, error) {
	return credentialsFrom(p.c, p.secrets[p.c.KeysSecretName()], p.cas[0], p.cas[1], time.Now())
}

// TestCredentials: the operator enters with what nodes take now, and knows them by the CAs that they use, whatever cert-manager has issued since.
func TestCredentials(t *testing.T) {
	now := time.Now()
	old, other := newIssuer(t, "old", now), newIssuer(t, "other", now)
	leaf := func(ca *issuer) *material { return ca.issue(t, now.Add(-time.Hour), now.Add(day)) }
	used, kept, next, own := leaf(old), leaf(old), leaf(other), leaf(other)
	ended := old.issue(t, now.Add(-2*day), now.Add(-day))
	damaged := hold(map[string][]byte{caKey: used.ca, corev1.TLSCertKey: used.cert, corev1.TLSPrivateKeyKey: own.key})
	for name, c := range map[string]struct {
		used, kept, want *material
		cas              int
	}{
		"the CA is another one since": {used, kept, kept, 2},
		"nothing was kept":            {used, nil, own, 2},
		"what was kept has ended":     {used, ended, own, 2},
		"what was kept is damaged":    {used, damaged, own, 2},
		"nodes have none yet":         {nil, nil, own, 1},
	} {
		a, err := withCertificates(t, next, c.used, own, c.kept).enters()
		must(t, err)
		if string(a.own.cert) != string(c.want.cert) || len(a.nodes) != c.cas || len(a.clients) != c.cas {
			t.Errorf("%s: it enters with another certificate, or knows nodes by %d and %d CAs, want %d", name, len(a.nodes), len(a.clients), c.cas)
		}
		if c.used != nil && !trusts(a.nodes, c.used.chain, now) {
			t.Errorf("%s: it does not know nodes", name)
		}
		if _, _, err := a.tls(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := withCertificates(t, nil, nil, damaged, nil).enters(); !errors.Is(err, errIncomplete) {
		t.Errorf("with a damaged certificate: %v", err)
	}
	p := withCertificates(t, used, used, kept, kept)
	p.secrets[p.c.KeysSecretName()].Data[keyOrder] = []byte("x")
	var o *obstacle
	if _, err := p.enters(); !errors.As(err, &o) || o.reason != v1alpha1.ReasonSecretLost || !o.stalled {
		t.Errorf("with damaged keys: %v", err)
	}
}

// TestTrouble: certificates that can't be used stop a cluster that has none, and are told of one that has.
func TestTrouble(t *testing.T) {
	now := time.Now()
	ca := newIssuer(t, "ca", now)
	good := ca.issue(t, now.Add(-time.Hour), now.Add(day))
	bare := &material{cert: good.cert, key: good.key}
	other := &material{cert: good.cert, key: ca.issue(t, now, now).key, ca: good.ca}
	late := ca.issue(t, now.Add(-2*day), now.Add(-day))
	for name, c := range map[string]struct {
		issued *material
		reason string
	}{
		"an issuer without a CA":         {bare, v1alpha1.ReasonIssuerWithoutCA},
		"a key of another certificate":   {other, v1alpha1.ReasonCertificatePending},
		"a certificate that has ended":   {late, v1alpha1.ReasonCertificatePending},
		"a certificate of another CA":    {&material{cert: good.cert, key: good.key, ca: newIssuer(t, "x", now).issue(t, now, now).ca}, v1alpha1.ReasonCertificatePending},
		"a certificate that is no such":  {&material{cert: []byte("x"), key: []byte("x"), ca: good.ca}, v1alpha1.ReasonCertificatePending},
		"a CA that is none, and no leaf": {&material{cert: []byte("x"), ca: []byte("x")}, v1alpha1.ReasonIssuerWithoutCA},
	} {
		var o *obstacle
		p := withCertificates(t, c.issued, nil, c.issued, nil)
		if err := p.rotate(t.Context(), p.cas[0], now); !errors.As(err, &o) || o.reason != c.reason {
			t.Errorf("%s, at first: %v, want %s", name, err, c.reason)
		}
		p = withCertificates(t, c.issued, good, good, good)
		must(t, p.rotate(t.Context(), p.cas[0], now))
		told := status(p.facts(nil))
		found := meta.FindStatusCondition(told.Conditions, v1alpha1.ConditionCertificatesReady)
		if found.Reason != c.reason || !meta.IsStatusConditionTrue(told.Conditions, v1alpha1.ConditionReady) {
			t.Errorf("%s, later on: %+v, want %s", name, found, c.reason)
		}
		expectInTable(t, *found)
	}
}

// TestRotationIsTold: a rotation is in the conditions, in the plan and with the certificates.
func TestRotationIsTold(t *testing.T) {
	now := time.Now()
	good := newIssuer(t, "ca", now).issue(t, now.Add(-time.Hour), now.Add(day))
	p := withCertificates(t, good, good, good, good)
	expectConditions(t, p, nil, map[string]string{"CertificatesReady": "+CertificatesValid"})
	p.cas[0].generations, p.cas[0].phase, p.cas[0].waits = []int64{3, 4}, phaseBothTrusted, "a node lags"
	expectConditions(t, p, nil, map[string]string{"CertificatesReady": "-Rotating", "Progressing": "+Rotating"})
	told := status(p.facts(nil))
	if len(told.Plan) != 2 || told.Plan[0].Do != string(switchLeaf) {
		t.Errorf("plan: %+v", told.Plan)
	}
	var names []string
	for _, c := range told.Certificates {
		names = append(names, c.Name)
		if c.Name == "route-ca" && (c.Generation != 3 || c.Phase != phaseBothTrusted || c.NotAfter.IsZero()) {
			t.Errorf("%+v", c)
		}
	}
	if len(names) != 5 {
		t.Errorf("certificates: %v", names)
	}
}
