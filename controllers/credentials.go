// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"

	"github.com/nats-io/nkeys"
	corev1 "k8s.io/api/core/v1"

	"github.com/unibus/unibus/api/v1alpha1"
)

// credentials are what the operator enters a cluster with, from Secrets.
type credentials struct {
	operator, order nkeys.KeyPair
	// own is the operator's certificate for control endpoints, with the CA of nodes; clientCA is that of the client port.
	own      map[string][]byte
	clientCA []byte
	// nodes is the name in all nodes' certificates for routes and control, service one in those for clients.
	nodes, service string
}

// errIncomplete is returned while a Secret that credentials are made of lacks something.
var errIncomplete = errors.New("credentials are incomplete")

// credentialsFrom takes the Secrets with keys, the operator's certificate and that of clients.
func credentialsFrom(c *v1alpha1.UnibusCluster, keys, own, client *corev1.Secret) (*credentials, error) {
	a := &credentials{nodes: c.RouteName(), service: c.ServiceHost()}
	if keys == nil || own == nil || client == nil {
		return nil, errIncomplete
	}
	var err error
	if a.operator, err = nkeys.FromSeed(keys.Data[keyOperator]); err != nil {
		return nil, fmt.Errorf("the Secret %s has no %s: %w", keys.Name, keyOperator, err)
	}
	if a.order, err = nkeys.FromSeed(keys.Data[keyOrder]); err != nil {
		return nil, fmt.Errorf("the Secret %s has no %s: %w", keys.Name, keyOrder, err)
	}
	a.own, a.clientCA = own.Data, client.Data[caKey]
	return a, nil
}

// fingerprint tells credentials apart.
func (a *credentials) fingerprint() string {
	h := sha256.New()
	public, _ := a.operator.PublicKey() // a key without one can't enter, which is told then
	for _, b := range [][]byte{[]byte(public), a.own[corev1.TLSCertKey], a.own[caKey], a.clientCA} {
		fmt.Fprintf(h, "%d\n", len(b))
		h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// tls returns the configurations for control endpoints and for the client port. Addresses prove nothing: nodes have a name in common,
// which no other cluster's have.
func (a *credentials) tls() (control, clients *tls.Config, err error) {
	pair, err := tls.X509KeyPair(a.own[corev1.TLSCertKey], a.own[corev1.TLSPrivateKeyKey])
	if err != nil {
		return nil, nil, fmt.Errorf("the operator's certificate: %w", err)
	}
	nodes, clientCA := x509.NewCertPool(), x509.NewCertPool()
	if !nodes.AppendCertsFromPEM(a.own[caKey]) || !clientCA.AppendCertsFromPEM(a.clientCA) {
		return nil, nil, fmt.Errorf("%w: no CA", errIncomplete)
	}
	control = &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, RootCAs: nodes, ServerName: a.nodes}
	return control, &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: clientCA, ServerName: a.service}, nil
}
