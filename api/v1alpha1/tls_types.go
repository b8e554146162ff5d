// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// TLSSpec says how certificates are made.
type TLSSpec struct {
	// Certificates by which nodes and the operator know each other.
	// +optional
	// +kubebuilder:default={}
	Route RouteTLSSpec `json:"route,omitempty"`
	// Certificates by which clients know the bus. Their CA is never that of routes.
	// +optional
	// +kubebuilder:default={}
	Client ClientTLSSpec `json:"client,omitempty"`
}

// RouteTLSSpec says how the certificates of nodes among themselves are made.
type RouteTLSSpec struct {
	CertificatesSpec `json:",inline"`
}

// ClientTLSSpec says how the certificates for clients are made.
type ClientTLSSpec struct {
	CertificatesSpec `json:",inline"`
	// Names and addresses at which clients outside of Kubernetes reach the bus: DNS names (a first label of * is taken), IPv4 or IPv6
	// addresses. The names of the Service, of its pods, localhost, 127.0.0.1 and the addresses that expose brings are in the
	// certificate in any case. Default: none.
	// +optional
	// +listType=set
	// +kubebuilder:validation:MaxItems=32
	// +kubebuilder:validation:items:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.all(n, isIP(n) || n.matches('^([*][.])?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?([.][a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)*$'))",message="names: a DNS name in lower case such as bus.example.com or *.bus.example.com, or an IP address, without scheme or port"
	Names []string `json:"names,omitempty"`
}

// CertificatesSpec says who issues certificates, with what key and for how long.
//
// +kubebuilder:validation:XValidation:rule="!has(self.issuerRef) || !has(self.caDuration)",message="caDuration is for the CA that the operator has made; with issuerRef it is the issuer's own",fieldPath=".caDuration",reason=FieldValueForbidden
// +kubebuilder:validation:XValidation:rule="!has(self.duration) || !has(self.renewBefore) || !self.duration.matches('^([0-9]+([.][0-9]+)?(h|m|s))+$') || !self.renewBefore.matches('^([0-9]+([.][0-9]+)?(h|m|s))+$') || duration(self.renewBefore) < duration(self.duration)",message="renewBefore must be less than duration, or certificates would be renewed without end",fieldPath=".renewBefore",reason=FieldValueInvalid
// +kubebuilder:validation:XValidation:rule="!has(self.duration) || !has(self.caDuration) || !self.duration.matches('^([0-9]+([.][0-9]+)?(h|m|s))+$') || !self.caDuration.matches('^([0-9]+([.][0-9]+)?(h|m|s))+$') || duration(self.caDuration).getHours() >= 2 * duration(self.duration).getHours()",message="caDuration must be at least twice duration, so that a CA can be replaced before certificates outlive it",fieldPath=".caDuration",reason=FieldValueInvalid
type CertificatesSpec struct {
	// An issuer of cert-manager that issues the certificates. It must give them a CA (ca.crt in the Secret); for routes it must
	// issue certificates for server and client use. Default: a CA of the cluster's own, which the operator has cert-manager make.
	// +optional
	IssuerRef *IssuerReference `json:"issuerRef,omitempty"`
	// How long the cluster's own CA is valid: hours, minutes and seconds; at least twice duration. Not with issuerRef. Default: 87600h,
	// which is ten years.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(h|m|s))+$') && duration(self) >= duration('48h')",message="a duration of hours, minutes and seconds such as 87600h (there are no days or years); 48h at least"
	CADuration *metav1.Duration `json:"caDuration,omitempty"`
	// How long a certificate is valid: hours, minutes and seconds, 1h to 43800h. Default: 2160h, which is 90 days.
	// +optional
	// +kubebuilder:default="2160h"
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(h|m|s))+$') && duration(self) >= duration('1h') && duration(self) <= duration('43800h')",message="a duration of hours, minutes and seconds such as 2160h (there are no days); 1h to 43800h"
	Duration *metav1.Duration `json:"duration,omitempty"`
	// How long before its end a certificate is renewed: hours, minutes and seconds, 5m at least and less than duration. Default: a third
	// of duration.
	// +optional
	// +kubebuilder:validation:Type=string
	// +kubebuilder:validation:MaxLength=32
	// +kubebuilder:validation:XValidation:rule="self.matches('^([0-9]+([.][0-9]+)?(h|m|s))+$') && duration(self) >= duration('5m')",message="a duration of hours, minutes and seconds such as 720h (there are no days); 5m at least"
	RenewBefore *metav1.Duration `json:"renewBefore,omitempty"`
	// Algorithm of keys: ECDSA (P-256), Ed25519 or RSA (3072 bits). Default: ECDSA.
	// +optional
	// +kubebuilder:default=ECDSA
	// +kubebuilder:validation:Enum=ECDSA;Ed25519;RSA
	KeyAlgorithm KeyAlgorithm `json:"keyAlgorithm,omitempty"`
}

// IssuerReference names an issuer of cert-manager.
//
// +kubebuilder:validation:XValidation:rule="!has(self.kind) || self.kind in ['Issuer', 'ClusterIssuer'] || (has(self.group) && self.group != 'cert-manager.io')",message="kind is Issuer or ClusterIssuer, unless group names another API than cert-manager.io",fieldPath=".kind",reason=FieldValueInvalid
type IssuerReference struct {
	// Name of the issuer; an Issuer is in this namespace.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Name string `json:"name"`
	// Kind of the issuer. Default: Issuer.
	// +optional
	// +kubebuilder:default=Issuer
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	Kind string `json:"kind,omitempty"`
	// API group of the issuer. Default: cert-manager.io.
	// +optional
	// +kubebuilder:default="cert-manager.io"
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Group string `json:"group,omitempty"`
}

// KeyAlgorithm is the algorithm of a certificate's key.
type KeyAlgorithm string

// Algorithms of keys.
const (
	KeyECDSA   KeyAlgorithm = "ECDSA"
	KeyEd25519 KeyAlgorithm = "Ed25519"
	KeyRSA     KeyAlgorithm = "RSA"
)
