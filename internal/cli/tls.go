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

	"github.com/unibus/unibus/internal/console"
)

// defaultTLSName is what nodes' certificates bear unless they are configured otherwise (--route-tls-name of the node).
const defaultTLSName = "node.unibus"

// base is what both kinds of connection have in common, nil when no files are given.
func (t tlsFiles) base() (*tls.Config, error) {
	if t.CA == "" && t.Cert == "" && t.Key == "" {
		return nil, nil
	}
	if t.CA == "" || t.Cert == "" || t.Key == "" {
		return nil, console.Failf(console.ExitUsage, "mutual TLS needs all of --tls-ca, --tls-cert and --tls-key")
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

// name is what the nodes' certificates bear.
func (t tlsFiles) name() string {
	if t.Name == "" {
		return defaultTLSName
	}
	return t.Name
}

// control is for connections to control endpoints, whose certificates bear a name that is common to all nodes, whatever the host: a
// certificate of the same CA for something else is refused.
func (t tlsFiles) control() (*tls.Config, error) { return t.verifying(nil) }

// client is for connections to client ports, whose certificates bear that name or the host of one of the nodes. A node tells the
// address of its client port itself, so that the address proves nothing.
func (t tlsFiles) client(places []place) (*tls.Config, error) {
	var hosts []string
	for _, p := range places {
		if h := hostOf(p.Control); h != "" {
			hosts = append(hosts, h)
		}
	}
	return t.verifying(hosts)
}

// verifying replaces the standard verification, which knows neither patterns nor several names; it is not skipped.
func (t tlsFiles) verifying(hosts []string) (*tls.Config, error) {
	c, err := t.base()
	if c == nil || err != nil {
		return nil, err
	}
	pool, name := c.RootCAs, t.name()
	c.InsecureSkipVerify = true
	c.VerifyConnection = func(cs tls.ConnectionState) error { return verify(cs, pool, name, hosts) }
	return c, nil
}

// verify verifies the chain, validity and use of a server's certificate, and that it bears the name or one of the hosts.
func verify(cs tls.ConnectionState, pool *x509.CertPool, name string, hosts []string) error {
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
	bears := slices.ContainsFunc(leaf.DNSNames, func(n string) bool { return matchName(name, n) }) ||
		slices.ContainsFunc(hosts, func(h string) bool { return leaf.VerifyHostname(h) == nil })
	if !bears {
		return fmt.Errorf("the node's certificate bears %v %v, not %s; see --tls-name", leaf.DNSNames, leaf.IPAddresses, strings.Join(append(hosts, name), " or "))
	}
	return nil
}

// matchName compares DNS names; *.x stands for any one label before x.
func matchName(pattern, name string) bool {
	if strings.EqualFold(pattern, name) {
		return true
	}
	label, rest, ok := strings.Cut(name, ".")
	return ok && label != "" && label != "*" && strings.EqualFold("*."+rest, pattern)
}
