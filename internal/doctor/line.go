// SPDX-License-Identifier: Apache-2.0

package doctor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"strings"
	"syscall"
	"time"
)

const lookAtNode = "see that a node runs there, that host and port are right, and that no firewall is between"

// dial finds the address of a host and connects to it.
func (e *examination) dial(ctx context.Context, host, port string) (net.Conn, Finding) {
	if net.ParseIP(host) == nil {
		if _, err := e.Resolver.LookupHost(ctx, host); err != nil {
			var dns *net.DNSError
			if errors.As(err, &dns) && dns.IsNotFound {
				return nil, fault(NameUnknown, "look for a typing error, or have the name put into DNS", "DNS knows no host %s", host)
			}
			return nil, fault(NameFailed, "see that this machine's DNS server works (/etc/resolv.conf)", "DNS does not answer for host %s: %v", host, err)
		}
	}
	conn, err := (&net.Dialer{Resolver: e.Resolver}).DialContext(ctx, "tcp", net.JoinHostPort(host, port))
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return nil, fault(Refused, "start the node, or correct host and port", "the host refuses: nothing listens on port %s", port)
	case err != nil:
		return nil, fault(Unreachable, lookAtNode, "no connection is made: %v", err)
	}
	return conn, fine("connected to %s", conn.RemoteAddr())
}

// guard ends what is done with a connection when the context ends.
func guard(ctx context.Context, conn net.Conn) (stop func() bool) {
	return context.AfterFunc(ctx, func() { conn.Close() })
}

// handshake makes a TLS connection of one, by the CAs that the client library would check the server by.
func (e *examination) handshake(ctx context.Context, conn net.Conn, host string) Finding {
	c := tls.Client(conn, &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: e.roots, ServerName: host})
	if err := c.HandshakeContext(ctx); err != nil {
		return e.distrust(err, host)
	}
	leaf := c.ConnectionState().PeerCertificates[0]
	return fine("the certificate is good until %s", leaf.NotAfter.UTC().Format(time.RFC3339))
}

// distrust says what is wrong with a server's TLS.
func (e *examination) distrust(err error, host string) Finding {
	var authority x509.UnknownAuthorityError
	var invalid x509.CertificateInvalidError
	var name x509.HostnameError
	var record tls.RecordHeaderError
	now := e.Now().UTC()
	clock := "see that this machine's clock is right (it says " + now.Format(time.RFC3339) + "); if it is, who runs the node has to "
	switch {
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired && now.Before(invalid.Cert.NotBefore):
		return fault(CertificateEarly, clock+"give it a certificate that is good by now",
			"the certificate is good from %s on only", invalid.Cert.NotBefore.UTC().Format(time.RFC3339))
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return fault(CertificateOver, clock+"renew its certificate",
			"the certificate has expired at %s", invalid.Cert.NotAfter.UTC().Format(time.RFC3339))
	case errors.As(err, &name):
		return fault(CertificateName, "use a name that is in it, or have one made that has this name",
			"the certificate is not for %s, but for %s", host, names(name.Certificate))
	case errors.As(err, &authority):
		trusted := "the CAs of this system"
		if e.bus.CA != "" {
			trusted = e.bus.CA
		}
		return fault(CertificateCA, "get the CA of the nodes from who runs them, and name its file: --ca FILE",
			"the certificate is of a CA that is not among %s: %v", trusted, err)
	case errors.As(err, &record):
		return fault(NoTLS, "have the node given a certificate; without TLS nodes are used on loopback only", "it does not speak TLS")
	}
	return fault(TLSFailed, "have who runs the node look at its certificate and log", "no TLS connection is made: %v", err)
}

func names(c *x509.Certificate) string {
	all := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		all = append(all, ip.String())
	}
	if len(all) == 0 {
		return "nothing"
	}
	return strings.Join(all, ", ")
}
