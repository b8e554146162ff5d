// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"net"
	"slices"
	"strconv"
	"time"

	certmanagerv1 "github.com/cert-manager/cert-manager/pkg/apis/certmanager/v1"
	applycertmanagerv1 "github.com/cert-manager/cert-manager/pkg/client/applyconfigurations/certmanager/v1"
	applycmmetav1 "github.com/cert-manager/cert-manager/pkg/client/applyconfigurations/meta/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/unibus/unibus/api/v1alpha1"
)

// Components of certificates, in labels.
const (
	routeCA  = "route-ca"
	clientCA = "client-ca"
	route    = "route"
	operator = "operator"
)

// caDuration is how long a CA is valid whose spec does not say.
const caDuration = 10 * 365 * 24 * time.Hour

const issuerKind = "Issuer"

// issuers are those of the cluster's own CAs: one that signs the CAs themselves, and one for each generation.
func issuers(c *v1alpha1.UnibusCluster, in Inputs) (out []Object) {
	tls := c.Spec.TLS
	if tls.Route.IssuerRef != nil && tls.Client.IssuerRef != nil {
		return nil
	}
	out = append(out, issuer(c, c.SelfSignedName(), node).
		WithSpec(applycertmanagerv1.IssuerSpec().WithSelfSigned(applycertmanagerv1.SelfSignedIssuer())))
	add := func(ref *v1alpha1.IssuerReference, ca Authority, name func(int64) string, component string) {
		for _, generation := range ca {
			if ref == nil {
				out = append(out, issuer(c, name(generation), component).
					WithSpec(applycertmanagerv1.IssuerSpec().WithCA(applycertmanagerv1.CAIssuer().WithSecretName(name(generation)))))
			}
		}
	}
	add(tls.Route.IssuerRef, in.RouteCA, c.RouteCAName, routeCA)
	add(tls.Client.IssuerRef, in.ClientCA, c.ClientCAIssuerName, clientCA)
	return out
}

func issuer(c *v1alpha1.UnibusCluster, name, component string) *applycertmanagerv1.IssuerApplyConfiguration {
	return applycertmanagerv1.Issuer(name, c.Namespace).WithLabels(labels(c, component)).WithOwnerReferences(owner(c))
}

// certificates are those of the CAs and the three that they issue. cert-manager writes each into a Secret that no pod mounts: what pods
// mount is copied from there when the others trust it.
func certificates(c *v1alpha1.UnibusCluster, in Inputs) (out []Object) {
	tls := c.Spec.TLS
	routeIssuer, clientIssuer := reference(tls.Route.IssuerRef), reference(tls.Client.IssuerRef)
	if tls.Route.IssuerRef == nil {
		out = append(out, authorities(c, in.RouteCA, tls.Route.CertificatesSpec, c.RouteCAName, routeCA)...)
		routeIssuer = applycmmetav1.IssuerReference().WithName(c.RouteCAName(in.RouteCA.Issuing())).WithKind(issuerKind)
	}
	if tls.Client.IssuerRef == nil {
		out = append(out, authorities(c, in.ClientCA, tls.Client.CertificatesSpec, c.ClientCAIssuerName, clientCA)...)
		clientIssuer = applycmmetav1.IssuerReference().WithName(c.ClientCAIssuerName(in.ClientCA.Issuing())).WithKind(issuerKind)
	}
	nodes := leaf(c, c.RouteCertificateName(), route, tls.Route.CertificatesSpec, certmanagerv1.UsageServerAuth, certmanagerv1.UsageClientAuth).
		WithIssuerRef(routeIssuer).
		WithDNSNames(c.RouteName())
	for place := range v1alpha1.MaxReplicas {
		nodes.WithDNSNames(c.PodHost(place))
	}
	// Without the name that nodes carry, and without server use: it opens no route.
	own := leaf(c, c.OperatorCertificateName(), operator, tls.Route.CertificatesSpec, certmanagerv1.UsageClientAuth).
		WithIssuerRef(routeIssuer).
		WithDNSNames(operator + "." + c.RouteName())
	names, addresses := clientNames(c, in)
	clients := leaf(c, c.ClientCertificateName(), client, tls.Client.CertificatesSpec, certmanagerv1.UsageServerAuth).
		WithIssuerRef(clientIssuer).
		WithDNSNames(names...).
		WithIPAddresses(addresses...)
	return append(out, certificate(c, route, nodes), certificate(c, operator, own), certificate(c, client, clients))
}

func certificate(c *v1alpha1.UnibusCluster, component string, spec *applycertmanagerv1.CertificateSpecApplyConfiguration) *applycertmanagerv1.CertificateApplyConfiguration {
	return applycertmanagerv1.Certificate(*spec.SecretName, c.Namespace).
		WithLabels(labels(c, component)).
		WithOwnerReferences(owner(c)).
		WithSpec(spec.WithSecretTemplate(applycertmanagerv1.CertificateSecretTemplate().WithLabels(labels(c, component))))
}

// authorities are the CAs, each with a name of its own: were two called alike, peers could take one for the other.
func authorities(c *v1alpha1.UnibusCluster, ca Authority, spec v1alpha1.CertificatesSpec, name func(int64) string, component string) (out []Object) {
	duration := metav1.Duration{Duration: caDuration}
	if spec.CADuration != nil {
		duration = *spec.CADuration
	}
	for _, generation := range ca {
		out = append(out, certificate(c, component, applycertmanagerv1.CertificateSpec().
			WithSecretName(name(generation)).
			WithIsCA(true).
			WithCommonName(component+"-"+strconv.FormatInt(generation, 10)).
			WithSubject(applycertmanagerv1.X509Subject().WithOrganizations(c.Namespace).WithOrganizationalUnits(c.Name)).
			WithDuration(duration).
			// The key stays through the life of a generation, so that what it issued stays good: a new key is a new generation.
			WithPrivateKey(key(spec.KeyAlgorithm).WithRotationPolicy(certmanagerv1.RotationPolicyNever)).
			WithUsages(certmanagerv1.UsageCertSign, certmanagerv1.UsageCRLSign, certmanagerv1.UsageDigitalSignature).
			WithIssuerRef(applycmmetav1.IssuerReference().WithName(c.SelfSignedName()).WithKind(issuerKind))))
	}
	return out
}

// Generation returns the objects of a generation of a CA that has this name, by kind and name: what is to be deleted when nobody trusts it any more.
func Generation(c *v1alpha1.UnibusCluster, name string) []Object {
	return []Object{applycertmanagerv1.Issuer(name, c.Namespace), applycertmanagerv1.Certificate(name, c.Namespace)}
}

// leaf is a certificate that is no CA, for the given uses, in a Secret of the given name.
func leaf(c *v1alpha1.UnibusCluster, name, component string, spec v1alpha1.CertificatesSpec, usages ...certmanagerv1.KeyUsage) *applycertmanagerv1.CertificateSpecApplyConfiguration {
	out := applycertmanagerv1.CertificateSpec().
		WithSecretName(name).
		WithSubject(applycertmanagerv1.X509Subject().WithOrganizations(c.Namespace).WithOrganizationalUnits(c.Name)).
		WithDuration(*spec.Duration).
		WithPrivateKey(key(spec.KeyAlgorithm).WithRotationPolicy(certmanagerv1.RotationPolicyAlways)).
		WithUsages(certmanagerv1.UsageDigitalSignature).
		WithUsages(usages...)
	if spec.RenewBefore != nil {
		out.WithRenewBefore(*spec.RenewBefore)
	}
	return out
}

func key(algorithm v1alpha1.KeyAlgorithm) *applycertmanagerv1.CertificatePrivateKeyApplyConfiguration {
	k := applycertmanagerv1.CertificatePrivateKey().WithEncoding(certmanagerv1.PKCS8)
	switch algorithm {
	case v1alpha1.KeyEd25519:
		return k.WithAlgorithm(certmanagerv1.Ed25519KeyAlgorithm)
	case v1alpha1.KeyRSA:
		return k.WithAlgorithm(certmanagerv1.RSAKeyAlgorithm).WithSize(3072)
	default:
		return k.WithAlgorithm(certmanagerv1.ECDSAKeyAlgorithm).WithSize(256)
	}
}

func reference(ref *v1alpha1.IssuerReference) *applycmmetav1.IssuerReferenceApplyConfiguration {
	if ref == nil {
		return nil
	}
	return applycmmetav1.IssuerReference().WithName(ref.Name).WithKind(ref.Kind).WithGroup(ref.Group)
}

// clientNames are all names and addresses at which clients may reach a node: those of the Service, of pods, of the way through
// kubectl port-forward, and those from outside.
func clientNames(c *v1alpha1.UnibusCluster, in Inputs) (names, addresses []string) {
	names = []string{
		c.ServiceHost(), c.ServiceHost() + ".cluster.local", c.ServiceName() + "." + c.Namespace, c.ServiceName(),
		"*." + c.NodesServiceName() + "." + c.Namespace + ".svc", "localhost",
	}
	addresses = []string{"127.0.0.1", "::1"}
	for _, n := range slices.Concat(c.Spec.TLS.Client.Names, in.Addresses) {
		to := &names
		if net.ParseIP(n) != nil {
			to = &addresses
		}
		if !slices.Contains(*to, n) {
			*to = append(*to, n)
		}
	}
	return names, addresses
}
