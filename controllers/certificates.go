// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bytes"
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"maps"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	cmmetav1 "github.com/cert-manager/cert-manager/pkg/apis/meta/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/manifests"
)

// copyCertificates copies what cert-manager has issued to where pods mount it, and tells people the CA. A certificate of another CA than
// before is not copied: the nodes must trust both first. A CA that was renewed, with the key that it had, is no other.
func (p *pass) copyCertificates(ctx context.Context) error {
	for _, name := range []string{p.c.RouteCertificateName(), p.c.OperatorCertificateName(), p.c.ClientCertificateName()} {
		if s := p.secrets[name]; s == nil || len(s.Data[corev1.TLSCertKey]) == 0 {
			return p.pending(ctx, name)
		}
	}
	route, clients := p.secrets[p.c.RouteCertificateName()], p.secrets[p.c.ClientCertificateName()]
	if len(route.Data[caKey]) == 0 {
		return &obstacle{reason: v1alpha1.ReasonIssuerWithoutCA, stalled: true,
			message: fmt.Sprintf("The issuer of the Certificate %s gives no CA (%s), so that nodes could not know each other.", route.Name, caKey)}
	}
	for to, from := range map[string]*corev1.Secret{p.c.RouteTLSName(): route, p.c.ClientTLSName(): clients} {
		if now := p.secrets[to]; now != nil && !succeeds(from.Data, now.Data, time.Now()) {
			continue
		}
		data := map[string][]byte{}
		for _, key := range []string{corev1.TLSCertKey, corev1.TLSPrivateKeyKey, caKey} {
			data[key] = from.Data[key]
		}
		if err := refusal("Secret", to, p.writeSecret(ctx, to, data)); err != nil {
			return err
		}
	}
	return p.tellCA(ctx, p.secrets[p.c.ClientTLSName()].Data[caKey])
}

// succeeds says whether a certificate and its CA may take the place of others while some nodes have these and some those: each is trusted by who has
// the other's CA. Where what is in use is not valid any more, there is nothing to spare.
func succeeds(next, now map[string][]byte, at time.Time) bool {
	trusts := func(a, b map[string][]byte) bool { return trusts(a[caKey], b[corev1.TLSCertKey], at) }
	return bytes.Equal(next[caKey], now[caKey]) || trusts(now, next) && trusts(next, now) || !trusts(now, now)
}

// trusts says whether who has these CAs takes a certificate, the first of a PEM bundle, whose others lead to the CA.
func trusts(cas, bundle []byte, at time.Time) bool {
	roots, between := x509.NewCertPool(), x509.NewCertPool()
	block, rest := pem.Decode(bundle)
	if !roots.AppendCertsFromPEM(cas) || block == nil {
		return false
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return false
	}
	between.AppendCertsFromPEM(rest)
	_, err = leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: between, CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageAny}})
	return err == nil
}

// tellCA puts the CA of the clients' certificates where people find it, and the URLs beside the admin's key.
func (p *pass) tellCA(ctx context.Context, ca []byte) error {
	name, cm := p.c.ClientCAName(), new(corev1.ConfigMap)
	found, err := p.get(ctx, name, cm)
	data := map[string]string{caKey: string(ca)}
	switch {
	case err != nil:
		return err
	case !found:
		err = p.Client.Create(ctx, &corev1.ConfigMap{ObjectMeta: p.meta(name), Data: data}, client.FieldOwner(v1alpha1.FieldOwner))
	case !metav1.IsControlledBy(cm, p.c):
		return notOwned("ConfigMap", name)
	case !maps.Equal(cm.Data, data):
		cm.Data = data
		err = p.Client.Update(ctx, cm, client.FieldOwner(v1alpha1.FieldOwner))
	}
	if err != nil {
		return refusal("ConfigMap", name, err)
	}
	if len(p.c.Spec.Admins) > 0 {
		return nil
	}
	e := endpoints(p.c)
	return p.writeSecret(ctx, p.c.AdminSecretName(), map[string][]byte{caKey: ca, adminNATS: []byte(e.NATS), adminAPI: []byte(e.API)})
}

// endpoints are where the bus is reached within the Kubernetes cluster.
func endpoints(c *v1alpha1.UnibusCluster) *v1alpha1.EndpointsStatus {
	e := &v1alpha1.EndpointsStatus{
		NATS: fmt.Sprintf("tls://%s:%d", c.ServiceHost(), manifests.NATSPort()), API: fmt.Sprintf("https://%s:%d", c.ServiceHost(), manifests.APIPort()),
		CAConfigMap: c.ClientCAName(),
	}
	if len(c.Spec.Admins) == 0 {
		e.AdminSecret = c.AdminSecretName()
	}
	return e
}

// pending says what a certificate that is not issued waits for.
func (p *pass) pending(ctx context.Context, name string) error {
	cert := new(certmanagerv1.Certificate)
	found, err := p.get(ctx, name, cert)
	if err != nil {
		return err
	}
	o := &obstacle{reason: v1alpha1.ReasonCertificatePending, message: fmt.Sprintf("cert-manager has not issued the Certificate %s yet.", name)}
	if !found {
		return o
	}
	for _, c := range cert.Status.Conditions {
		failed := c.Type == certmanagerv1.CertificateConditionIssuing && c.Status == cmmetav1.ConditionFalse && c.Reason == "Failed"
		switch {
		case failed:
			return &obstacle{reason: v1alpha1.ReasonCertificateFailed, stalled: true, message: fmt.Sprintf("The Certificate %s can't be issued: %s", name, c.Message)}
		case c.Type == certmanagerv1.CertificateConditionReady && c.Message != "":
			o.message = fmt.Sprintf("The Certificate %s is not issued yet: %s", name, c.Message)
		}
	}
	return o
}

// leaf reads the first certificate of a PEM file, nil when it has none.
func leaf(b []byte) *x509.Certificate {
	block, _ := pem.Decode(b)
	if block == nil {
		return nil
	}
	cert, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil
	}
	return cert
}
