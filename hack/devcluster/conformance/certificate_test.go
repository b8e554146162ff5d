// SPDX-License-Identifier: Apache-2.0

package conformance

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

const chain = `
{apiVersion: cert-manager.io/v1, kind: Issuer, metadata: {name: self}, spec: {selfSigned: {}}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: ca}
spec:
  isCA: true
  commonName: conformance
  secretName: ca
  privateKey: {algorithm: ECDSA, size: 256, rotationPolicy: Always}
  issuerRef: {name: self}
---
{apiVersion: cert-manager.io/v1, kind: Issuer, metadata: {name: ca}, spec: {ca: {secretName: ca}}}
---
apiVersion: cert-manager.io/v1
kind: Certificate
metadata: {name: leaf}
spec:
  secretName: leaf
  dnsNames: ["*.members.svc"]
  usages: [server auth, client auth]
  privateKey: {algorithm: ECDSA, size: 256, rotationPolicy: Always}
  issuerRef: {name: ca}
`

func TestCertificates(t *testing.T) {
	t.Parallel()
	s := newSpace(t)
	s.mustApply(chain)
	ca := s.awaitCertificate("ca", "", nil)
	leaf := s.awaitCertificate("leaf", "", ca)
	if err := leaf.VerifyHostname("db-0.members.svc"); err != nil {
		t.Error(err)
	}

	s.renew("leaf")
	renewed := s.awaitCertificate("leaf", leaf.SerialNumber.String(), ca)

	s.renew("ca") // the leaf stays as it is until it is renewed, too
	rolled := s.awaitCertificate("ca", ca.SerialNumber.String(), nil)
	s.renew("leaf")
	last := s.awaitCertificate("leaf", renewed.SerialNumber.String(), rolled)
	if err := verify(last, ca); err == nil {
		t.Error("the old CA vouches for what the new one signed")
	}
}

// awaitCertificate returns the certificate in the Secret once it has another serial number than the old one, and CA, if any, signed it.
func (s space) awaitCertificate(name, old string, ca *x509.Certificate) *x509.Certificate {
	s.t.Helper()
	var got *x509.Certificate
	eventually(s.t, "certificate "+name, func(ctx context.Context) error {
		secret, err := client.CoreV1().Secrets(s.name).Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		block, _ := pem.Decode(secret.Data["tls.crt"])
		if block == nil {
			return errors.New("no certificate in the Secret")
		}
		if got, err = x509.ParseCertificate(block.Bytes); err != nil {
			return err
		}
		if got.SerialNumber.String() == old {
			return errNotYet
		}
		if ca == nil {
			return nil
		}
		return verify(got, ca)
	})
	return got
}

func verify(leaf, ca *x509.Certificate) error {
	roots := x509.NewCertPool()
	roots.AddCert(ca)
	_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	return err
}

// renew asks for a certificate anew, as `cmctl renew` does.
func (s space) renew(name string) {
	s.t.Helper()
	certificates := custom.Resource(schema.GroupVersionResource{Group: "cert-manager.io", Version: "v1", Resource: "certificates"}).Namespace(s.name)
	eventually(s.t, "renewal of "+name+" is asked for", func(ctx context.Context) error {
		got, err := certificates.Get(ctx, name, metav1.GetOptions{})
		if err != nil {
			return err
		}
		conditions, _, err := unstructured.NestedSlice(got.Object, "status", "conditions")
		if err != nil {
			return err
		}
		for _, c := range conditions {
			if condition, ok := c.(map[string]any); ok && condition["type"] == "Issuing" && condition["status"] == "True" {
				return fmt.Errorf("%s is being issued: %v", name, condition["message"])
			}
		}
		conditions = append(conditions, map[string]any{"type": "Issuing", "status": "True", "reason": "ManuallyTriggered",
			"message": "a test asks", "lastTransitionTime": metav1.Now().UTC().Format("2006-01-02T15:04:05Z")})
		if err := unstructured.SetNestedSlice(got.Object, conditions, "status", "conditions"); err != nil {
			return err
		}
		_, err = certificates.UpdateStatus(ctx, got, metav1.UpdateOptions{})
		return err
	})
}
