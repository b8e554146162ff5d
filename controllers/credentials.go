// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nkeys"
	corev1 "k8s.io/api/core/v1"

	"github.com/unibus/unibus/api/v1alpha1"
)

// credentials are what the operator enters a cluster with, from Secrets.
type credentials struct {
	operator, order nkeys.KeyPair
	// own is the operator's certificate for control endpoints. Nodes and clients are the CAs by which control endpoints and the client port are known:
	// those that are in use, and those that are about to be.
	own            *material
	nodes, clients []*x509.Certificate
	// name is that in all nodes' certificates for routes and control, service one in those for clients.
	name, service string
}

// errIncomplete is returned while a Secret that credentials are made of lacks something.
var errIncomplete = errors.New("credentials are incomplete")

// credentialsFrom takes the Secret with keys, and what there is of certificates. The operator uses the certificate that it has kept, which nodes
// take, and not one of a CA that they might not know yet; unless the one that it has kept is of no use any more.
func credentialsFrom(c *v1alpha1.UnibusCluster, keys *corev1.Secret, route, clients *authority, now time.Time) (*credentials, error) {
	a := &credentials{name: c.RouteName(), service: c.ServiceHost(), nodes: route.trusted(), clients: clients.trusted(), own: route.kept}
	if !trusts(route.used.cas, route.kept.chain, now) && len(route.own.chain) > 0 {
		a.own = route.own
	}
	if keys == nil || len(a.own.chain) == 0 || len(a.nodes) == 0 || len(a.clients) == 0 {
		return nil, errIncomplete
	}
	for key, pair := range map[string]*nkeys.KeyPair{keyOperator: &a.operator, keyOrder: &a.order} {
		var err error
		if *pair, err = nkeys.FromSeed(keys.Data[key]); err != nil {
			return nil, damaged(keys.Name, key, err)
		}
	}
	return a, nil
}

// fingerprint tells credentials apart.
func (a *credentials) fingerprint() string {
	h := sha256.New()
	public, _ := a.operator.PublicKey() // a key without one can't enter, which is told then
	for _, b := range [][]byte{[]byte(public), a.own.cert, encode(a.nodes), encode(a.clients)} {
		fmt.Fprintf(h, "%d\n", len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// tls returns the configurations for control endpoints and for the client port. Addresses prove nothing: nodes have a name in common,
// which no other cluster's have.
func (a *credentials) tls() (control, clients *tls.Config, err error) {
	pair, err := tls.X509KeyPair(a.own.cert, a.own.key)
	if err != nil {
		return nil, nil, fmt.Errorf("the operator's certificate: %w", err)
	}
	control = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, RootCAs: pool(a.nodes), ServerName: a.name}
	return control, &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool(a.clients), ServerName: a.service}, nil
}
