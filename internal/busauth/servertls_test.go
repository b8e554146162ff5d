// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"log"
	"net"
	"net/http"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nkeys"

	"github.com/unibus/unibus/internal/natstest"
)

func localLeaf(t testing.TB, ca *natstest.CA) *natstest.Leaf {
	t.Helper()
	return mustLeafOf(t, ca, natstest.LeafSpec{Names: []string{"localhost"}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}})
}

// TestClientPortRotates: a client that trusts the new CA only gets in after the rotation, and who is connected stays.
func TestClientPortRotates(t *testing.T) {
	old, fresh := mustCA(t, "old"), mustCA(t, "fresh")
	p := mustPKI(t, localLeaf(t, old), old)
	f := p.open(t, func(c *FilesConfig) { c.CAFile = "" })
	keys, operator := mustKeys(t), mustKey(t, nkeys.CreateUser)
	srv := mustServer(t, mustAuth(t, Config{Keys: keys, Operators: []string{operator.public}}), func(o *server.Options) {
		o.TLSConfig, o.TLSTimeout = f.ServerConfig(false), patience.Seconds()
	})
	trusting := func(ca *natstest.CA) nats.Option { return nats.Secure(&tls.Config{RootCAs: ca.Pool()}) }
	before := mustConnect(t, srv, operator.option(), trusting(old), nats.NoReconnect())
	if nc, err := nats.Connect(srv.ClientURL(), operator.option(), trusting(fresh)); err == nil {
		nc.Close()
		t.Fatal("the certificate is of the new CA before the rotation")
	}
	// Without a URL: with the server's, whose scheme is tls, the client would want TLS inside the process as well.
	inside, err := nats.Connect("", nats.Nkey(keys.Login(AccountSystem)), nats.InProcessServer(srv))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(inside.Close)
	p.write(t, localLeaf(t, fresh), fresh)
	mustConnect(t, srv, operator.option(), trusting(fresh))
	for _, nc := range []*nats.Conn{before, inside} {
		if err := nc.FlushTimeout(patience); err != nil {
			t.Errorf("a connection from before the rotation: %v", err)
		}
	}
}

// TestControlWantsCertificates: clients of the control endpoint present one of the CA, for client use.
func TestControlWantsCertificates(t *testing.T) {
	ca, wrong := mustCA(t, "ca"), mustCA(t, "wrong")
	f := mustPKI(t, localLeaf(t, ca), ca).open(t)
	l, err := tls.Listen("tcp", "127.0.0.1:0", f.ServerConfig(true))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: http.NotFoundHandler(), ReadHeaderTimeout: patience, ErrorLog: log.New(io.Discard, "", 0)}
	done := make(chan error, 1)
	go func() { done <- srv.Serve(l) }()
	t.Cleanup(func() { srv.Close(); <-done })
	for _, tt := range []struct {
		name string
		leaf *natstest.Leaf
		ok   bool
	}{
		{"client", mustLeafOf(t, ca, natstest.LeafSpec{Names: []string{}, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), true},
		{"another node", mustLeafOf(t, ca, natstest.LeafSpec{}), true},
		{"server", mustLeafOf(t, ca, natstest.LeafSpec{Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), false},
		{"wrong CA", mustLeafOf(t, wrong, natstest.LeafSpec{}), false},
		{"expired", mustLeafOf(t, ca, natstest.LeafSpec{NotBefore: time.Now().Add(-48 * time.Hour)}), false},
		{"none", nil, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := &tls.Config{RootCAs: ca.Pool()}
			if tt.leaf != nil {
				c.Certificates = []tls.Certificate{tt.leaf.TLS}
			}
			transport := &http.Transport{TLSClientConfig: c}
			defer transport.CloseIdleConnections()
			resp, err := (&http.Client{Transport: transport, Timeout: patience}).Get("https://" + l.Addr().String())
			if err == nil {
				resp.Body.Close()
			}
			if (err == nil) != tt.ok {
				t.Errorf("error %v, want ok %v", err, tt.ok)
			}
		})
	}
}

// TestOwnCertificate: a node can say what is wrong with its own files before a peer does.
func TestOwnCertificate(t *testing.T) {
	ca, wrong := mustCA(t, "ca"), mustCA(t, "wrong")
	client := []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	old := time.Now().Add(-48 * time.Hour)
	for _, tt := range []struct {
		name          string
		leaf          *natstest.Leaf
		route, server error
	}{
		{"good", mustLeafOf(t, ca, natstest.LeafSpec{}), nil, nil},
		{"for clients", mustLeafOf(t, ca, natstest.LeafSpec{Usage: client}), ErrUsage, ErrUsage},
		{"expired", mustLeafOf(t, ca, natstest.LeafSpec{NotBefore: old}), ErrExpired, ErrExpired},
		{"too early", mustLeafOf(t, ca, natstest.LeafSpec{NotBefore: time.Now().Add(time.Hour)}), ErrNotYetValid, ErrNotYetValid},
		{"another name", mustLeafOf(t, ca, natstest.LeafSpec{Names: []string{"db"}}), ErrName, nil},
		{"another CA", mustLeafOf(t, wrong, natstest.LeafSpec{}), ErrAuthority, nil},
	} {
		f := mustPKI(t, tt.leaf, ca).open(t)
		expectVerdict(t, tt.name+", route", f.CheckRoute(), tt.route, "tls.crt")
		expectVerdict(t, tt.name+", server", f.CheckServer(), tt.server, "tls.crt")
	}
	f := nodePKI(t, ca).open(t, func(c *FilesConfig) { c.CAFile = "" })
	expectVerdict(t, "no CA file", f.CheckRoute(), ErrAuthority, "no CA file")
}
