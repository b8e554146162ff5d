// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"strings"
	"time"
)

// DefaultName is the DNS name that every node's route certificate carries unless configured otherwise. It is common to all
// nodes, since routes are dialled by IP address and nodes come and go; it is a name of its own, so that another certificate of
// the same CA (a database's, a client's) is not taken for a node's.
const DefaultName = "node.unibus"

// routeUsages are what a route certificate must be good for, whichever end dials: two nodes dial each other at once and which
// connection stays is chance, so that a certificate with one of them would work today and not tomorrow.
var routeUsages = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}

// CheckName says whether a name is one that route certificates can be asked for: a DNS name, or "*." and one, which any name with
// exactly one more label matches.
func CheckName(name string) error {
	rest := strings.TrimPrefix(name, "*.")
	if rest == "" || strings.ContainsAny(rest, "*/:@ ") || strings.HasPrefix(rest, ".") || strings.HasSuffix(rest, ".") || strings.Contains(rest, "..") {
		return fmt.Errorf("route certificate name %q is not a DNS name such as %s or *.%s", name, DefaultName, DefaultName)
	}
	return nil
}

// matchName compares DNS names without regard to case. A certificate for a wildcard matches only the same wildcard.
func matchName(pattern, name string) bool {
	if strings.EqualFold(pattern, name) {
		return true
	}
	suffix, ok := strings.CutPrefix(pattern, "*")
	if !ok || strings.HasPrefix(name, "*") {
		return false
	}
	label, rest, ok := strings.Cut(name, ".")
	return ok && label != "" && strings.EqualFold("."+rest, suffix)
}

// RouteConfig returns the one configuration for both ends of a route, which the server may clone: all that changes is behind
// functions. Both ends verify the peer's chain, validity, usage (server and client) and name, against the CA file as it is now, and
// ignore the host that was dialled.
func (f *Files) RouteConfig() *tls.Config {
	return &tls.Config{
		MinVersion:           tls.VersionTLS13,
		Time:                 f.config.Clock,
		GetCertificate:       func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.current().pair, nil },
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return f.current().pair, nil },
		// The standard verification works with pools that can't change and with the dialled host. It is replaced, not skipped:
		// VerifyConnection runs in every handshake of either end.
		ClientAuth:         tls.RequireAnyClientCert,
		InsecureSkipVerify: true,
		VerifyConnection:   func(cs tls.ConnectionState) error { return f.verifyPeer(cs, routeUsages, f.config.Name) },
		// A resumed session would not be asked for its certificate again.
		SessionTicketsDisabled: true,
	}
}

// ServerConfig returns the configuration of a port that clients connect to: the certificate is the file's as it is now. With
// clientCerts every client must present a certificate for client use, of a CA in the CA file as it is now, under whatever name;
// who it is, is for the layer above. Without them clients stand in line, and are turned away with ErrCrowd.
func (f *Files) ServerConfig(clientCerts bool) *tls.Config {
	c := &tls.Config{
		MinVersion:             tls.VersionTLS13,
		Time:                   f.config.Clock,
		GetCertificate:         func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return f.current().pair, nil },
		SessionTicketsDisabled: true,
	}
	if clientCerts {
		c.ClientAuth = tls.RequireAnyClientCert
		c.VerifyConnection = func(cs tls.ConnectionState) error {
			return f.verifyPeer(cs, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, "")
		}
		return c
	}
	return newGate(&f.refused).guard(c)
}

// CheckRoute says whether peers with the same CA file would accept the node's own certificate on a route, now.
func (f *Files) CheckRoute() error {
	s := f.current()
	if s.problem != nil {
		return s.problem
	}
	return f.judge(s, certificates(s.pair), routeUsages, f.config.Name, "certificate in "+f.config.CertFile)
}

// CheckServer says whether the node's own certificate can serve clients, now: it is valid and for server use. Which CA clients
// trust, is not known here.
func (f *Files) CheckServer() error {
	s := f.current()
	if s.problem != nil {
		return s.problem
	}
	return f.judgeAlone(s.pair.Leaf, x509.ExtKeyUsageServerAuth, "certificate in "+f.config.CertFile)
}

// Expiry returns when the certificate in force ends, and when the trust in it ends: the end of the CA that issued it, or of the
// first CA to end when none did; zero without a CA file.
func (f *Files) Expiry() (leaf, ca time.Time) {
	s := f.current()
	chain := certificates(s.pair)
	top := chain[len(chain)-1]
	var first time.Time
	for _, c := range s.cas {
		if top.Equal(c) || top.CheckSignatureFrom(c) == nil {
			if c.NotAfter.After(ca) {
				ca = c.NotAfter
			}
		}
		if first.IsZero() || c.NotAfter.Before(first) {
			first = c.NotAfter
		}
	}
	if ca.IsZero() {
		ca = first
	}
	return s.pair.Leaf.NotAfter, ca
}
