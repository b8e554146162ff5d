// SPDX-License-Identifier: Apache-2.0

package manifests

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"

	corev1 "k8s.io/client-go/applyconfigurations/core/v1"

	"github.com/unibus/unibus/api/v1alpha1"
	"github.com/unibus/unibus/internal/daemonconfig"
)

// Where things are in a node's container.
const (
	configDir      = "/etc/unibus/config"
	identityDir    = "/etc/unibus/identity"
	routeSecretDir = "/etc/unibus/route-secret"
	routeTLSDir    = "/etc/unibus/route-tls"
	clientTLSDir   = "/etc/unibus/client-tls"
	dataDir        = "/var/lib/unibus"

	configFile = "membershipd.yaml"
)

// Keys of the objects that nodes mount and that others write.
const (
	// IdentityKey is the record's key in the identity ConfigMap.
	IdentityKey = "record.json"
	// RouteSecretKey is the password's key in the Secret of routes.
	RouteSecretKey = "password"
	// RouteSecretAlsoKey is the key of the password that is accepted beside it, empty or missing for none.
	RouteSecretAlsoKey = "also"
)

// Config is the immutable ConfigMap with the nodes' configuration. Its name has the hash of what it holds.
func Config(c *v1alpha1.UnibusCluster, in Inputs) (*corev1.ConfigMapApplyConfiguration, error) {
	b, err := nodeConfig(c, in).Marshal()
	if err != nil {
		return nil, fmt.Errorf("configuration of %s/%s: %w", c.Namespace, c.Name, err)
	}
	sum := sha256.Sum256(b)
	return corev1.ConfigMap(c.ConfigName(hex.EncodeToString(sum[:5])), c.Namespace).
		WithLabels(labels(c, node)).
		WithOwnerReferences(owner(c)).
		WithImmutable(true).
		WithData(map[string]string{configFile: string(b)}), nil
}

// nodeConfig is the same for all nodes. What differs from pod to pod, where others reach it, is in its environment.
func nodeConfig(c *v1alpha1.UnibusCluster, in Inputs) daemonconfig.Config {
	spec := c.Spec
	n := daemonconfig.Default()
	n.Bind = "0.0.0.0"
	n.StoreDir = dataDir + "/store" // below the volume's root, where file systems have folders of their own
	n.Formation = daemonconfig.FormationOrder
	n.ClusterName = c.Name
	for place := range v1alpha1.MaxReplicas {
		n.Routes = append(n.Routes, fmt.Sprintf("nats://%s:%d", c.PodHost(place), n.ClusterPort))
	}
	n.ClusterPassFile, n.ClusterPassAlsoFile = routeSecretDir+"/"+RouteSecretKey, routeSecretDir+"/"+RouteSecretAlsoKey
	n.RouteTLSCert, n.RouteTLSKey, n.RouteTLSCA = routeTLSDir+"/tls.crt", routeTLSDir+"/tls.key", routeTLSDir+"/ca.crt"
	n.RouteTLSName = c.RouteName()
	n.TLSCert, n.TLSKey = clientTLSDir+"/tls.crt", clientTLSDir+"/tls.key"
	n.OperatorKeys, n.OrderKeys = in.OperatorKeys, in.OrderKeys
	if n.Admins = spec.Admins; len(n.Admins) == 0 {
		n.Admins = []string{in.Admin}
	}
	n.IdentityRecord = identityDir + "/" + IdentityKey

	n.CutOffRefuse, n.CutOffDrop = spec.Limits.CutOffRefuse.Duration, spec.Limits.CutOffDrop.Duration
	n.MaxPayload, n.MaxPending = daemonconfig.Bytes(spec.Limits.MaxPayload.Value()), daemonconfig.Bytes(spec.Limits.MaxPending.Value())
	n.MaxConnections, n.MaxSubscriptions = int(*spec.Limits.MaxConnections), int(*spec.Limits.MaxSubscriptions)
	// A node that asked its file system would take what others have on the same disk for its own, with volumes that are folders.
	n.StoreMaxBytes = daemonconfig.Bytes(in.Volume.Value() / 4 * 3)
	if s := spec.JetStream.MaxStoreSize; s != nil {
		n.StoreMaxBytes = daemonconfig.Bytes(min(s.Value(), in.Volume.Value()))
	}
	n.SyncAlways, n.SyncInterval = spec.JetStream.SyncAlways, spec.JetStream.SyncInterval.Duration
	n.RaftTimers = strings.ToLower(string(spec.JetStream.RaftTimers))
	n.LogFormat, n.LogLevel = strings.ToLower(string(spec.Log.Format)), strings.ToLower(string(spec.Log.Level))
	return n
}
