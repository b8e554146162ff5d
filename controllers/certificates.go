// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"cmp"
	"context"
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

// copyCertificates copies what cert-manager has issued to where pods mount it, as far as each rotation is, and tells people the CAs.
func (p *pass) copyCertificates(ctx context.Context) error {
	now := time.Now()
	for _, a := range p.cas {
		if err := p.rotate(ctx, a, now); err != nil {
			return err
		}
	}
	return p.tellCA(ctx, p.secrets[p.c.ClientTLSName()].Data[caKey])
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
	if len(p.c.Spec.Admins) > 0 || p.secrets[p.c.AdminSecretName()] == nil { // one that was lost is not made anew, without a key
		return nil
	}
	e := p.endpoints()
	return p.writeSecret(ctx, p.c.AdminSecretName(), map[string][]byte{caKey: ca, adminNATS: []byte(e.NATS), adminAPI: []byte(e.API)}, nil)
}

// endpoints are where the bus is reached within the Kubernetes cluster.
func (p *pass) endpoints() *v1alpha1.EndpointsStatus {
	c := p.c
	e := &v1alpha1.EndpointsStatus{
		NATS: fmt.Sprintf("tls://%s:%d", c.ServiceHost(), manifests.NATSPort()), API: fmt.Sprintf("https://%s:%d", c.ServiceHost(), manifests.APIPort()),
		CAConfigMap: c.ClientCAName(),
	}
	if len(c.Spec.Admins) == 0 && p.hasAdmin() {
		e.AdminSecret = c.AdminSecretName()
	}
	return e
}

// knows says whether an issuer exists, as far as the operator may see it: those of cert-manager in the cluster's namespace.
func (p *pass) knows(ctx context.Context, ref cmmetav1.IssuerReference) (bool, error) {
	if cmp.Or(ref.Group, "cert-manager.io") != "cert-manager.io" || cmp.Or(ref.Kind, certmanagerv1.IssuerKind) != certmanagerv1.IssuerKind {
		return true, nil
	}
	return p.get(ctx, ref.Name, new(certmanagerv1.Issuer))
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
	if known, err := p.knows(ctx, cert.Spec.IssuerRef); err != nil {
		return err
	} else if !known {
		return &obstacle{reason: v1alpha1.ReasonCertificateFailed, stalled: true,
			message: fmt.Sprintf("The Certificate %s can't be issued: there is no Issuer %s in the namespace %s.", name, cert.Spec.IssuerRef.Name, p.c.Namespace)}
	}
	for _, c := range cert.Status.Conditions {
		failed := c.Type == certmanagerv1.CertificateConditionIssuing && c.Status == cmmetav1.ConditionFalse && c.Reason == "Failed"
		switch {
		case failed:
			return &obstacle{reason: v1alpha1.ReasonCertificateFailed, stalled: true, message: fmt.Sprintf("The Certificate %s can't be issued: %s", name, c.Message)}
		case c.Type == certmanagerv1.CertificateConditionReady && c.Status == cmmetav1.ConditionFalse && c.Message != "":
			o.message = fmt.Sprintf("The Certificate %s is not issued yet: %s", name, c.Message)
		}
	}
	return o
}
