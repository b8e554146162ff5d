// SPDX-License-Identifier: Apache-2.0

// Package certificate makes the keys of a cluster: one authority, and who is who below it.
package certificate

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"
)

// Authority signs certificates, valid for ten years, and writes them into a folder: NAME.crt and NAME.key.
type Authority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
	pem  []byte
}

// Holder is whom a certificate is for.
type Holder struct {
	Name   string   // common name: the user
	Groups []string // organizations
	Hosts  []string // names and addresses that it may serve under
}

// New makes an authority, and writes its ca.crt and ca.key into dir.
func New(dir string) (*Authority, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	a := &Authority{dir: dir}
	template := template(Holder{Name: "devcluster"})
	template.IsCA, template.BasicConstraintsValid = true, true
	template.KeyUsage = x509.KeyUsageCertSign | x509.KeyUsageDigitalSignature
	a.cert = template
	var err error
	if a.key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader); err != nil {
		return nil, err
	}
	cert, err := a.sign(template, a.key, "ca")
	if err != nil {
		return nil, err
	}
	a.pem = cert
	return a, nil
}

// Issue writes the certificate and the key of a holder as FILE.crt and FILE.key, and returns both as PEM.
func (a *Authority) Issue(file string, h Holder) (cert, key []byte, err error) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, nil, err
	}
	if cert, err = a.sign(template(h), private, file); err != nil {
		return nil, nil, err
	}
	key, err = os.ReadFile(filepath.Join(a.dir, file+".key"))
	return cert, key, err
}

// Kubeconfig writes FILE, by which a holder reaches the API server.
func (a *Authority) Kubeconfig(file, server string, h Holder) error {
	cert, key, err := a.Issue(filepath.Base(file), h)
	if err != nil {
		return err
	}
	b64 := base64.StdEncoding.EncodeToString
	text := fmt.Sprintf(`apiVersion: v1
kind: Config
current-context: devcluster
contexts:
- name: devcluster
  context: {cluster: devcluster, user: %[5]q}
clusters:
- name: devcluster
  cluster:
    server: %[1]s
    certificate-authority-data: %[2]s
users:
- name: %[5]q
  user:
    client-certificate-data: %[3]s
    client-key-data: %[4]s
`, server, b64(a.pem), b64(cert), b64(key), h.Name)
	return os.WriteFile(file, []byte(text), 0o600)
}

func template(h Holder) *x509.Certificate {
	now := time.Now()
	t := &x509.Certificate{
		SerialNumber: serial(),
		Subject:      pkix.Name{CommonName: h.Name, Organization: h.Groups},
		NotBefore:    now.Add(-time.Hour),
		NotAfter:     now.AddDate(10, 0, 0),
		KeyUsage:     x509.KeyUsageDigitalSignature,
		ExtKeyUsage:  []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
	}
	for _, host := range h.Hosts {
		if ip := net.ParseIP(host); ip != nil {
			t.IPAddresses = append(t.IPAddresses, ip)
		} else {
			t.DNSNames = append(t.DNSNames, host)
		}
	}
	return t
}

func serial() *big.Int {
	n, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return big.NewInt(time.Now().UnixNano()) // it never fails
	}
	return n
}

func (a *Authority) sign(template *x509.Certificate, key *ecdsa.PrivateKey, file string) ([]byte, error) {
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		return nil, fmt.Errorf("sign the certificate of %s: %w", template.Subject.CommonName, err)
	}
	private, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return nil, err
	}
	cert := pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})
	if err := os.WriteFile(filepath.Join(a.dir, file+".crt"), cert, 0o644); err != nil {
		return nil, err
	}
	return cert, os.WriteFile(filepath.Join(a.dir, file+".key"),
		pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: private}), 0o600)
}
