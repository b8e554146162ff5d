// SPDX-License-Identifier: Apache-2.0

package main

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/unibus/unibus/internal/natstest"
)

// workshop has what all buses of one run share: programs, a folder, certificates and keys.
type workshop struct {
	stock, membershipd, unibus string // programs
	dir                        string
	files                      natstest.Files
	roots                      *x509.CertPool
	keys                       map[string]key
}

// key is an nkey of a user.
type key struct {
	public string
	pair   nkeys.KeyPair
	file   string // with the seed
}

func (k key) option() nats.Option { return nats.Nkey(k.public, k.pair.Sign) }

func newWorkshop(stock, membershipd, unibus string) (*workshop, error) {
	dir, err := os.MkdirTemp("", "unibus-bench-")
	if err != nil {
		return nil, err
	}
	w := &workshop{dir: dir, keys: map[string]key{}}
	for to, path := range map[*string]string{&w.stock: stock, &w.membershipd: membershipd, &w.unibus: unibus} {
		if *to, err = filepath.Abs(path); err != nil {
			return nil, err
		}
		if _, err := os.Stat(*to); err != nil {
			return nil, fmt.Errorf("%w: make bench builds it", err)
		}
	}
	ca, err := natstest.NewCA("bench")
	if err != nil {
		return nil, err
	}
	leaf, err := ca.Issue(natstest.LeafSpec{Names: []string{"node.unibus", "localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
	if err != nil {
		return nil, err
	}
	certs, err := w.folder("certificates")
	if err != nil {
		return nil, err
	}
	if w.files, err = natstest.WriteFiles(certs, leaf, ca); err != nil {
		return nil, err
	}
	w.roots = ca.Pool()
	for _, account := range []string{accountSystem, accountData} {
		if w.keys[account], err = w.newKey(account); err != nil {
			return nil, err
		}
	}
	return w, nil
}

func (w *workshop) newKey(name string) (key, error) {
	pair, err := nkeys.CreateUser()
	if err != nil {
		return key{}, err
	}
	public, err := pair.PublicKey()
	if err != nil {
		return key{}, err
	}
	seed, err := pair.Seed()
	if err != nil {
		return key{}, err
	}
	file := filepath.Join(w.dir, name+".nk")
	return key{public, pair, file}, os.WriteFile(file, seed, 0o600)
}

func (w *workshop) close() { os.RemoveAll(w.dir) }

// folder makes a folder in the workshop's.
func (w *workshop) folder(parts ...string) (string, error) {
	dir := filepath.Join(append([]string{w.dir}, parts...)...)
	return dir, os.MkdirAll(dir, 0o755)
}

func (w *workshop) clientTLS() *tls.Config { return trust(w.roots) }

func trust(roots *x509.CertPool) *tls.Config {
	return &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12}
}
