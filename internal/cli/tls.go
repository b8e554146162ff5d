// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// defaultTLSName is what nodes' certificates bear unless they are configured otherwise (--route-tls-name of the node).
const defaultTLSName = "node.unibus"

// base is what both kinds of connection have in common, nil when no files are given.
func (t tlsFiles) base() (*tls.Config, error) {
	if t.CA == "" && t.Cert == "" && t.Key == "" {
		return nil, nil
	}
	if t.CA == "" || t.Cert == "" || t.Key == "" {
		return nil, failf(exitUsage, "mutual TLS needs all of --tls-ca, --tls-cert and --tls-key")
	}
	pair, err := tls.LoadX509KeyPair(t.Cert, t.Key)
	if err != nil {
		return nil, fmt.Errorf("load --tls-cert and --tls-key: %w", err)
	}
	pem, err := os.ReadFile(t.CA)
	if err != nil {
		return nil, fmt.Errorf("load --tls-ca: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("load --tls-ca: %s has no certificate", t.CA)
	}
	return &tls.Config{MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{pair}, RootCAs: pool}, nil
}

// client is for connections to client ports, whose certificates bear the host.
func (t tlsFiles) client() (*tls.Config, error) { return t.base() }

// control is for connections to control endpoints, whose certificates bear a name that is common to all nodes, whatever the host: a
// certificate of the same CA for something else is refused.
func (t tlsFiles) control() (*tls.Config, error) {
	c, err := t.base()
	if c == nil || err != nil {
		return nil, err
	}
	name := t.Name
	if name == "" {
		name = defaultTLSName
	}
	c.ServerName = strings.TrimPrefix(name, "*.")
	if !strings.HasPrefix(name, "*.") {
		return c, nil
	}
	// The standard verification takes no pattern. It is replaced, not skipped.
	c.InsecureSkipVerify = true
	pool := c.RootCAs
	c.VerifyConnection = func(cs tls.ConnectionState) error { return verifyPattern(cs, pool, name) }
	return c, nil
}

// verifyPattern verifies the chain of a server, and that its certificate bears a name with exactly one label in place of the star.
func verifyPattern(cs tls.ConnectionState, pool *x509.CertPool, pattern string) error {
	if len(cs.PeerCertificates) == 0 {
		return errors.New("the node shows no certificate")
	}
	between := x509.NewCertPool()
	for _, c := range cs.PeerCertificates[1:] {
		between.AddCert(c)
	}
	leaf := cs.PeerCertificates[0]
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: pool, Intermediates: between}); err != nil {
		return fmt.Errorf("the node's certificate: %w", err)
	}
	if !slices.ContainsFunc(leaf.DNSNames, func(n string) bool {
		label, rest, ok := strings.Cut(n, ".")
		return ok && label != "" && label != "*" && strings.EqualFold("*."+rest, pattern)
	}) {
		return fmt.Errorf("the node's certificate bears %v, none of which is %s", leaf.DNSNames, pattern)
	}
	return nil
}
