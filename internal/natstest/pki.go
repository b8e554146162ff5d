// SPDX-License-Identifier: Apache-2.0

package natstest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// RouteName is the DNS name that all leafs of Issue bear unless they are told otherwise.
const RouteName = "member.unibus.test"

// CA is a certificate authority for tests.
type CA struct {
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

// NewCA makes an authority that is valid for a day.
func NewCA(name string) (*CA, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key of CA %s: %w", name, err)
	}
	template := &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("certificate of CA %s: %w", name, err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, fmt.Errorf("certificate of CA %s: %w", name, err)
	}
	return &CA{cert: cert, key: key}, nil
}

// PEM is the authority's certificate.
func (c *CA) PEM() []byte { return pemOf("CERTIFICATE", c.cert.Raw) }

// Pool trusts this authority and the others.
func (c *CA) Pool(others ...*CA) *x509.CertPool {
	p := x509.NewCertPool()
	p.AddCert(c.cert)
	for _, o := range others {
		p.AddCert(o.cert)
	}
	return p
}

// LeafSpec says what a leaf is for. The zero value is a node's: RouteName, localhost and 127.0.0.1,
// server and client auth, valid from an hour ago for a day.
type LeafSpec struct {
	CommonName          string
	Names               []string // DNS names
	IPs                 []net.IP
	Usage               []x509.ExtKeyUsage
	NotBefore, NotAfter time.Time
}

// Leaf is a certificate with its key.
type Leaf struct {
	CertPEM, KeyPEM []byte
	TLS             tls.Certificate
}

// Issue signs a leaf.
func (c *CA) Issue(spec LeafSpec) (*Leaf, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("key of leaf %s: %w", spec.CommonName, err)
	}
	template := spec.template()
	der, err := x509.CreateCertificate(rand.Reader, template, c.cert, key.Public(), c.key)
	if err != nil {
		return nil, fmt.Errorf("leaf %s: %w", spec.CommonName, err)
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, fmt.Errorf("key of leaf %s: %w", spec.CommonName, err)
	}
	l := &Leaf{CertPEM: pemOf("CERTIFICATE", der), KeyPEM: pemOf("PRIVATE KEY", pkcs8)}
	if l.TLS, err = tls.X509KeyPair(l.CertPEM, l.KeyPEM); err != nil {
		return nil, fmt.Errorf("leaf %s: %w", spec.CommonName, err)
	}
	return l, nil
}

func (s LeafSpec) template() *x509.Certificate {
	if s.CommonName == "" {
		s.CommonName = "member"
	}
	if s.Names == nil && s.IPs == nil {
		s.Names, s.IPs = []string{RouteName, "localhost"}, []net.IP{net.IPv4(127, 0, 0, 1)}
	}
	if s.Usage == nil {
		s.Usage = []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth}
	}
	if s.NotBefore.IsZero() {
		s.NotBefore = time.Now().Add(-time.Hour)
	}
	if s.NotAfter.IsZero() {
		s.NotAfter = s.NotBefore.Add(24 * time.Hour)
	}
	return &x509.Certificate{
		SerialNumber: serial(), Subject: pkix.Name{CommonName: s.CommonName},
		DNSNames: s.Names, IPAddresses: s.IPs, NotBefore: s.NotBefore, NotAfter: s.NotAfter,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: s.Usage,
	}
}

// Files are where certificates were written.
type Files struct{ Cert, Key, CA string }

// WriteFiles writes tls.crt, tls.key and ca.crt into the folder, each by a rename, so that whoever
// reads them meanwhile sees the old file or the new one. Several CAs are trusted together.
func WriteFiles(dir string, leaf *Leaf, cas ...*CA) (Files, error) {
	f := Files{Cert: filepath.Join(dir, "tls.crt"), Key: filepath.Join(dir, "tls.key"), CA: filepath.Join(dir, "ca.crt")}
	var trusted []byte
	for _, c := range cas {
		trusted = append(trusted, c.PEM()...)
	}
	for name, content := range map[string][]byte{f.Cert: leaf.CertPEM, f.Key: leaf.KeyPEM, f.CA: trusted} {
		if err := os.WriteFile(name+".new", content, 0o600); err != nil {
			return Files{}, fmt.Errorf("write %s: %w", name, err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			return Files{}, fmt.Errorf("write %s: %w", name, err)
		}
	}
	return f, nil
}

// RouteTLS is a fixed configuration for both ends of a route.
func (c *CA) RouteTLS(leaf *Leaf) *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13, Certificates: []tls.Certificate{leaf.TLS},
		RootCAs: c.Pool(), ClientCAs: c.Pool(), ClientAuth: tls.RequireAndVerifyClientCert,
	}
}

func pemOf(kind string, der []byte) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der})
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		panic(err) // crypto/rand never fails on the systems that we run on
	}
	return n
}
