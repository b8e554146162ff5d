// SPDX-License-Identifier: Apache-2.0

package bus

import (
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"

	"github.com/unibus/unibus/internal/natstest"
)

// pki is the certificates of all places, and of the command.
type pki struct {
	dir    string
	places int
	ips    []net.IP

	mu      sync.Mutex
	ca      *natstest.CA
	trusted []*natstest.CA
	made    int
}

func newPKI(c Config) (*pki, error) {
	p := &pki{dir: filepath.Join(c.Dir, "tls"), places: c.Places, ips: []net.IP{net.IPv4(127, 0, 0, 1)}}
	for _, h := range c.Hosts {
		p.ips = append(p.ips, net.ParseIP(h.Address))
	}
	var err error
	if p.ca, err = natstest.NewCA("first"); err != nil {
		return nil, err
	}
	p.trusted = []*natstest.CA{p.ca}
	return p, p.issue()
}

// owner are the folders of files: places by number, and the command's.
func (p *pki) folder(owner string) string { return filepath.Join(p.dir, owner) }

func (p *pki) files(owner string) natstest.Files {
	d := p.folder(owner)
	return natstest.Files{Cert: filepath.Join(d, "tls.crt"), Key: filepath.Join(d, "tls.key"), CA: filepath.Join(d, "ca.crt")}
}

const command = "command"

// issue writes new leaves for everybody, with all that is trusted now.
func (p *pki) issue() error {
	owners := []string{command}
	for i := range p.places {
		owners = append(owners, fmt.Sprint(i))
	}
	for _, o := range owners {
		leaf, err := p.ca.Issue(natstest.LeafSpec{CommonName: o, Names: []string{natstest.RouteName, "localhost"}, IPs: p.ips})
		if err != nil {
			return err
		}
		if err := os.MkdirAll(p.folder(o), 0o700); err != nil {
			return fmt.Errorf("folder of certificates: %w", err)
		}
		if _, err := natstest.WriteFiles(p.folder(o), leaf, p.trusted...); err != nil {
			return err
		}
	}
	return nil
}

// CA is a file with the CAs of the nodes' certificates, which clients trust.
func (b *Bus) CA() string { return b.pki.files(command).CA }

// client trusts what is trusted now, whenever it connects.
func (p *pki) client() *tls.Config {
	return &tls.Config{
		MinVersion: tls.VersionTLS13,
		// The verification below is against the CAs of the moment, which RootCAs can't be.
		InsecureSkipVerify: true,
		VerifyConnection: func(s tls.ConnectionState) error {
			p.mu.Lock()
			pool := p.trusted[0].Pool(p.trusted[1:]...)
			p.mu.Unlock()
			return verify(s, pool)
		},
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			f := p.files(command)
			c, err := tls.LoadX509KeyPair(f.Cert, f.Key)
			return &c, err
		},
	}
}

// Stage is one step of a rotation.
type Stage int

// Stages of a rotation, in their order.
const (
	// NewLeaves gives everybody a new leaf of the current CA.
	NewLeaves Stage = iota
	// TrustBoth makes a second CA that is trusted beside the first.
	TrustBoth
	// NewCALeaves gives everybody a leaf of the second CA.
	NewCALeaves
	// DropOld no longer trusts the first CA.
	DropOld
)

// Stages are all of them.
var Stages = []Stage{NewLeaves, TrustBoth, NewCALeaves, DropOld}

// Rotate makes one step of a rotation: files are replaced, nobody is told.
func (b *Bus) Rotate(s Stage) error {
	p := b.pki
	p.mu.Lock()
	defer p.mu.Unlock()
	switch s {
	case NewLeaves:
	case TrustBoth:
		p.made++
		next, err := natstest.NewCA(fmt.Sprintf("next %d", p.made))
		if err != nil {
			return err
		}
		p.trusted = append(p.trusted, next)
	case NewCALeaves:
		p.ca = p.trusted[len(p.trusted)-1]
	case DropOld:
		p.trusted = p.trusted[len(p.trusted)-1:]
	}
	return p.issue()
}

// Issue gives the place another leaf of the bus's CA, or of a stranger's.
func (p *Place) Issue(spec natstest.LeafSpec, stranger bool) error {
	k := p.bus.pki
	k.mu.Lock()
	defer k.mu.Unlock()
	ca := k.ca
	if stranger {
		var err error
		if ca, err = natstest.NewCA("stranger"); err != nil {
			return err
		}
	}
	if spec.Names == nil {
		spec.Names, spec.IPs = []string{natstest.RouteName, "localhost"}, k.ips
	}
	leaf, err := ca.Issue(spec)
	if err != nil {
		return err
	}
	_, err = natstest.WriteFiles(k.folder(fmt.Sprint(p.Number)), leaf, k.trusted...)
	return err
}

// HalfRotate gives the place a new certificate, but leaves the key of the old one.
func (p *Place) HalfRotate() error {
	f := p.bus.pki.files(fmt.Sprint(p.Number))
	key, err := os.ReadFile(f.Key)
	if err != nil {
		return fmt.Errorf("read the key: %w", err)
	}
	if err := p.Issue(natstest.LeafSpec{}, false); err != nil {
		return err
	}
	return os.WriteFile(f.Key, key, 0o600)
}
