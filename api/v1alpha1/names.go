// SPDX-License-Identifier: Apache-2.0

package v1alpha1

import "strconv"

const (
	// MaxNameLength is the longest name of a UnibusCluster: the hash of a StatefulSet's revision, 11 characters, is put behind it in a
	// label, which takes 63.
	MaxNameLength = 52
	// MaxReplicas is the most nodes that a cluster may have.
	MaxReplicas = 5
)

// Names of objects that belong to a cluster. No two clusters in a namespace share one of the same kind: what is put behind a name never
// ends in what is put behind another, and no cluster is called *-nodes.

// StatefulSetName is the name of the StatefulSet of the nodes.
func (c *UnibusCluster) StatefulSetName() string { return c.Name }

// PodName is the name of the pod at a place, from 0 on.
func (c *UnibusCluster) PodName(place int) string { return c.Name + "-" + strconv.Itoa(place) }

// DataVolume is the name of the volume that holds a node's store.
const DataVolume = "data"

// ClaimName is the name of the PersistentVolumeClaim of a place.
func (c *UnibusCluster) ClaimName(place int) string { return DataVolume + "-" + c.PodName(place) }

// ServiceName is the name of the Service for clients.
func (c *UnibusCluster) ServiceName() string { return c.Name }

// NodesServiceName is the name of the headless Service that gives every pod a name.
func (c *UnibusCluster) NodesServiceName() string { return c.child("nodes") }

// PodHost is the DNS name of the pod at a place.
func (c *UnibusCluster) PodHost(place int) string {
	return c.PodName(place) + "." + c.NodesServiceName() + "." + c.Namespace + ".svc"
}

// ServiceHost is the DNS name of the Service for clients.
func (c *UnibusCluster) ServiceHost() string { return c.ServiceName() + "." + c.Namespace + ".svc" }

// RouteName is the DNS name that the certificates of all nodes carry, and of no other cluster's nodes.
func (c *UnibusCluster) RouteName() string { return c.Name + "." + c.Namespace + ".node.unibus" }

// ServiceAccountName is the name of the pods' ServiceAccount, which may do nothing.
func (c *UnibusCluster) ServiceAccountName() string { return c.child("node") }

// ConfigName is the name of the ConfigMap with the nodes' configuration; hash is that of what it holds.
func (c *UnibusCluster) ConfigName(hash string) string { return c.child("config-" + hash) }

// IdentityName is the name of the ConfigMap with the record of server names. It lives and dies with the volumes.
func (c *UnibusCluster) IdentityName() string { return c.child("identity") }

// ClientCAName is the name of the ConfigMap with the CA of the certificates for clients.
func (c *UnibusCluster) ClientCAName() string { return c.child("client-ca") }

// AdminSecretName is the name of the Secret with the first admin's key.
func (c *UnibusCluster) AdminSecretName() string { return c.child("admin") }

// KeysSecretName is the name of the Secret with the operator's key and the order key. No pod mounts it.
func (c *UnibusCluster) KeysSecretName() string { return c.child("keys") }

// RouteSecretName is the name of the Secret with the password of routes.
func (c *UnibusCluster) RouteSecretName() string { return c.child("route-secret") }

// RouteTLSName is the name of the Secret with certificate, key and trusted CAs of routes that pods mount. The operator writes it.
func (c *UnibusCluster) RouteTLSName() string { return c.child("route-tls") }

// ClientTLSName is the name of the Secret with certificate and key for clients that pods mount. The operator writes it.
func (c *UnibusCluster) ClientTLSName() string { return c.child("client-tls") }

// SelfSignedName is the name of the Issuer that signs the cluster's own CAs.
func (c *UnibusCluster) SelfSignedName() string { return c.child("selfsigned") }

// RouteCAName is the name of a generation of the routes' CA: of its Certificate, Secret and Issuer.
func (c *UnibusCluster) RouteCAName(generation int64) string {
	return c.child("route-ca-" + strconv.FormatInt(generation, 10))
}

// ClientCAIssuerName is the name of a generation of the clients' CA: of its Certificate, Secret and Issuer.
func (c *UnibusCluster) ClientCAIssuerName(generation int64) string {
	return c.child("client-ca-" + strconv.FormatInt(generation, 10))
}

// RouteCertificateName is the name of the nodes' Certificate for routes, and of the Secret that cert-manager writes. No pod mounts it.
func (c *UnibusCluster) RouteCertificateName() string { return c.child("route-issued") }

// ClientCertificateName is the name of the Certificate for clients, and of the Secret that cert-manager writes. No pod mounts it.
func (c *UnibusCluster) ClientCertificateName() string { return c.child("client-issued") }

// OperatorCertificateName is the name of the operator's own Certificate for the control endpoint, and of its Secret. No pod mounts it.
func (c *UnibusCluster) OperatorCertificateName() string { return c.child("operator-issued") }

// OperatorTLSName is the name of the Secret with the operator's own certificate that it uses, which nodes take. The operator writes it; no pod
// mounts it.
func (c *UnibusCluster) OperatorTLSName() string { return c.child("operator-tls") }

// DisruptionBudgetName is the name of the PodDisruptionBudget.
func (c *UnibusCluster) DisruptionBudgetName() string { return c.child("node") }

// NetworkPolicyName is the name of the NetworkPolicy.
func (c *UnibusCluster) NetworkPolicyName() string { return c.child("node") }

// PodMonitorName is the name of the PodMonitor.
func (c *UnibusCluster) PodMonitorName() string { return c.child("node") }

func (c *UnibusCluster) child(what string) string { return c.Name + "-" + what }
