// SPDX-License-Identifier: Apache-2.0

package client

import (
	"crypto/tls"
	"os"
	"path/filepath"
	"testing"

	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

func TestTLS(t *testing.T) {
	ca, err := natstest.NewCA("bus")
	if err != nil {
		t.Fatal(err)
	}
	other, err := natstest.NewCA("other")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Issue(natstest.LeafSpec{})
	if err != nil {
		t.Fatal(err)
	}
	s := &scene{bus: mustBusWith(t, 1, func(cfg *embeddednats.ServerConfig) {
		cfg.TLS = &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{leaf.TLS}}
	})}
	s.ann = s.user("ann")
	file := filepath.Join(t.TempDir(), "ca.crt")
	s.must(os.WriteFile(file, ca.PEM(), 0o600))
	for what, o := range map[string]Options{"a file": {CAFile: file}, "a pool": {CAs: ca.Pool()}} {
		o.Servers, o.Key = s.urls(), s.ann
		c, err := Connect(t.Context(), o)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if _, err := c.Rooms(t.Context()); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		c.Close()
	}
	for what, o := range map[string]Options{"another CA": {CAs: other.Pool()}, "the system's": {}} {
		o.Servers, o.Key = s.urls(), s.ann
		_, err := Connect(t.Context(), o)
		expectErr(t, what, err, ErrUnavailable)
	}
	_, err = Connect(t.Context(), Options{Servers: s.urls(), Key: s.ann, CAFile: file + ".none"})
	expectErr(t, "no file", err, ErrInvalid)
	s.must(os.WriteFile(file, []byte("nothing"), 0o600))
	_, err = Connect(t.Context(), Options{Servers: s.urls(), Key: s.ann, CAFile: file})
	expectErr(t, "no certificate", err, ErrInvalid)
}

// A server without TLS is told nothing when TLS is wanted.
func TestPlainServerIsRefused(t *testing.T) {
	pair, _ := mustPair(t)
	ca, err := natstest.NewCA("bus")
	if err != nil {
		t.Fatal(err)
	}
	url, got := impostor(t, "bc-_ABCDEF0123456")
	_, err = Connect(t.Context(), Options{Servers: []string{url}, Key: pair, CAs: ca.Pool()})
	expectErr(t, "a plain server", err, ErrInsecure)
	if line := <-got; line != "" {
		t.Errorf("it was sent %q", line)
	}
}
