// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// material is what a Secret has of certificates, as far as it can be used.
type material struct {
	// chain is the certificate, which fits the key, and those that lead to its CA; empty when there is none.
	chain []*x509.Certificate
	// cas are trusted.
	cas []*x509.Certificate
	// cert, key and ca are as the Secret has them.
	cert, key, ca []byte
}

// materialOf reads a Secret; nil, when there is none, holds nothing.
func materialOf(s *corev1.Secret) *material {
	if s == nil {
		return new(material)
	}
	m := &material{cert: s.Data[corev1.TLSCertKey], key: s.Data[corev1.TLSPrivateKeyKey], ca: s.Data[caKey], cas: parse(s.Data[caKey])}
	if _, err := tls.X509KeyPair(m.cert, m.key); err == nil {
		m.chain = parse(m.cert)
	}
	return m
}

// parse returns the certificates of a PEM file, without what is none.
func parse(b []byte) (out []*x509.Certificate) {
	for {
		var block *pem.Block
		if block, b = pem.Decode(b); block == nil {
			return out
		}
		if c, err := x509.ParseCertificate(block.Bytes); err == nil {
			out = append(out, c)
		}
	}
}

func encode(certificates []*x509.Certificate) []byte {
	var b bytes.Buffer
	for _, c := range certificates {
		b.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: c.Raw}))
	}
	return b.Bytes()
}

func pool(certificates []*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, c := range certificates {
		p.AddCert(c)
	}
	return p
}

// trusts says whether who has these CAs takes a certificate, the first of a chain whose others lead to the CA.
func trusts(cas, chain []*x509.Certificate, at time.Time) bool {
	if len(chain) == 0 {
		return false
	}
	_, err := chain[0].Verify(x509.VerifyOptions{Roots: pool(cas), Intermediates: pool(chain[1:]), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

// anchors are the CAs of a material by which its certificate is trusted.
func (m *material) anchors(at time.Time) []*x509.Certificate {
	return slices.DeleteFunc(slices.Clone(m.cas), func(ca *x509.Certificate) bool { return !trusts([]*x509.Certificate{ca}, m.chain, at) })
}

// sameCA says whether a CA is another one, or the same that was renewed with the key that it had: who trusts one trusts what either has issued.
func sameCA(a, b *x509.Certificate) bool {
	return bytes.Equal(a.RawSubject, b.RawSubject) && bytes.Equal(a.RawSubjectPublicKeyInfo, b.RawSubjectPublicKeyInfo)
}

// missing are the CAs of want that are not in have.
func missing(want, have []*x509.Certificate) (out []*x509.Certificate) {
	for _, ca := range want {
		if !slices.ContainsFunc(have, func(h *x509.Certificate) bool { return sameCA(ca, h) }) {
			out = append(out, ca)
		}
	}
	return out
}
