// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// authority is a CA with a key, which it keeps when it is renewed.
type authority struct {
	key  *ecdsa.PrivateKey
	cert *x509.Certificate
}

func certificate(t *testing.T, from, to time.Time, key *ecdsa.PrivateKey, by *authority) *x509.Certificate {
	t.Helper()
	serial, err := rand.Int(rand.Reader, big.NewInt(1<<62))
	must(t, err)
	c := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "node"}, NotBefore: from, NotAfter: to}
	parent, signer := c, key
	if by == nil {
		c.Subject.CommonName, c.IsCA, c.BasicConstraintsValid, c.KeyUsage = "ca", true, true, x509.KeyUsageCertSign
	} else {
		parent, signer = by.cert, by.key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	must(t, err)
	c, err = x509.ParseCertificate(der)
	must(t, err)
	return c
}

func newKey(t *testing.T) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(t, err)
	return key
}

// TestSucceeds: a certificate takes another's place where nodes with either trust each other, and where there is nothing to spare.
func TestSucceeds(t *testing.T) {
	const day = 24 * time.Hour
	now := time.Now()
	old := &authority{key: newKey(t)}
	old.cert = certificate(t, now.Add(-10*day), now.Add(day), old.key, nil)
	renewed := &authority{old.key, certificate(t, now, now.Add(20*day), old.key, nil)}
	other := &authority{key: newKey(t)}
	other.cert = certificate(t, now, now.Add(20*day), other.key, nil)
	issue := func(ca *authority, from, to time.Time) map[string][]byte {
		encode := func(c *x509.Certificate) []byte {
			return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw})
		}
		return map[string][]byte{caKey: encode(ca.cert), corev1.TLSCertKey: encode(certificate(t, from, to, newKey(t), ca))}
	}
	inUse, ended := issue(old, now.Add(-day), now.Add(day)), issue(old, now.Add(-2*day), now.Add(-day))
	for name, c := range map[string]struct {
		next, now map[string][]byte
		want      bool
	}{
		"the same CA":                  {issue(old, now, now.Add(day)), inUse, true},
		"a CA that was renewed":        {issue(renewed, now, now.Add(9*day)), inUse, true},
		"another CA":                   {issue(other, now, now.Add(9*day)), inUse, false},
		"another CA, too late anyway":  {issue(other, now, now.Add(9*day)), ended, true},
		"nothing that can be read":     {map[string][]byte{caKey: []byte("x")}, inUse, false},
		"no CA, as of a public issuer": {map[string][]byte{}, map[string][]byte{}, true},
	} {
		if got := succeeds(c.next, c.now, now.Add(time.Second)); got != c.want {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
}
