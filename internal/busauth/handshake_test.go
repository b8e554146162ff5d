// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/unibus/unibus/internal/natstest"
)

// handshake has two ends meet over TCP and returns what each of them says.
func handshake(t testing.TB, accepting, dialing *tls.Config) (acceptErr, dialErr error) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	accepted := make(chan error, 1)
	go func() {
		conn, err := l.Accept()
		if err == nil {
			defer conn.Close()
			err = exchange(tls.Server(conn, accepting))
		}
		accepted <- err
	}()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	dialErr = exchange(tls.Client(conn, dialing))
	conn.Close()
	return <-accepted, dialErr
}

// exchange shakes hands and passes one byte each way: in TLS 1.3 the dialing end is done before the accepting one has judged.
func exchange(c *tls.Conn) error {
	if err := c.SetDeadline(time.Now().Add(patience)); err != nil {
		return err
	}
	if err := c.Handshake(); err != nil {
		return err
	}
	if _, err := c.Write([]byte{1}); err != nil {
		return err
	}
	_, err := c.Read(make([]byte, 1))
	return err
}

// TestRoutePeers has a good node meet others, each of which dials it and is dialled by it.
func TestRoutePeers(t *testing.T) {
	ca, wrong := mustCA(t, "the cluster's"), mustCA(t, "another")
	day := 24 * time.Hour
	ago, later := time.Now().Add(-2*day), time.Now().Add(2*day)
	tests := []struct {
		name string
		peer *natstest.Leaf
		want error
		says string
	}{
		{"good", mustLeafOf(t, ca, natstest.LeafSpec{}), nil, ""},
		{"good, with more names", mustLeafOf(t, ca, natstest.LeafSpec{Names: []string{"n1.svc", "NODE.unibus"}}), nil, ""},
		{"expired", mustLeafOf(t, ca, natstest.LeafSpec{NotBefore: ago, NotAfter: ago.Add(day)}), ErrExpired, "renew it"},
		{"not yet valid", mustLeafOf(t, ca, natstest.LeafSpec{NotBefore: later}), ErrNotYetValid, "is a clock wrong?"},
		{"wrong CA", mustLeafOf(t, wrong, natstest.LeafSpec{}), ErrAuthority, "ca.crt"},
		{"CA of the same name", mustLeafOf(t, mustCA(t, "the cluster's"), natstest.LeafSpec{}), ErrAuthority, "ca.crt"},
		{"for clients only", mustLeafOf(t, ca, natstest.LeafSpec{Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}), ErrUsage, "server authentication"},
		{"for servers only", mustLeafOf(t, ca, natstest.LeafSpec{Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}), ErrUsage, "client authentication"},
		{"for another thing of the same CA", mustLeafOf(t, ca, natstest.LeafSpec{CommonName: DefaultName, Names: []string{"db.example"}}), ErrName, DefaultName},
		{"for a wildcard", mustLeafOf(t, ca, natstest.LeafSpec{Names: []string{"*.unibus"}}), ErrName, DefaultName},
		{"for an address only", mustLeafOf(t, ca, natstest.LeafSpec{Names: []string{}, IPs: []net.IP{net.IPv4(127, 0, 0, 1)}}), ErrName, DefaultName},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			node := nodePKI(t, ca).open(t)
			// The peer itself trusts everybody: only the node stands between.
			peer := mustPKI(t, tt.peer, ca, wrong).open(t).RouteConfig()
			peer.VerifyConnection = nil
			whenDialled, _ := handshake(t, node.RouteConfig(), peer)
			_, whenDialling := handshake(t, peer, node.RouteConfig())
			for how, err := range map[string]error{"dialled by it": whenDialled, "dialling it": whenDialling} {
				expectVerdict(t, how, err, tt.want, tt.says)
			}
			if got := node.Refused(); tt.want != nil && got[tt.want.Error()] != 2 {
				t.Errorf("refused peers %v, want 2 %v", got, tt.want)
			}
		})
	}
}

func expectVerdict(t testing.TB, how string, err, want error, says string) {
	t.Helper()
	if !errors.Is(err, want) || want != nil && !strings.Contains(err.Error(), says) {
		t.Errorf("%s: error %v, want %v with %q", how, err, want, says)
	}
	// One of these makes the server forget the name it verifies routes by.
	if host := (x509.HostnameError{}); errors.As(err, &host) {
		t.Errorf("%s: x509.HostnameError", how)
	}
}

func TestRoutePeerWithoutCertificate(t *testing.T) {
	node := nodePKI(t, mustCA(t, "ca")).open(t)
	err, _ := handshake(t, node.RouteConfig(), &tls.Config{InsecureSkipVerify: true})
	if err == nil {
		t.Error("a peer without a certificate was let in")
	}
	if err := node.verifyPeer(tls.ConnectionState{}, routeUsages, DefaultName); !errors.Is(err, ErrNoCertificate) {
		t.Errorf("error %v, want %v", err, ErrNoCertificate)
	}
}

// TestDialledHostIsIgnored: gossip dials addresses, and the server sets as ServerName whatever it likes.
func TestDialledHostIsIgnored(t *testing.T) {
	ca := mustCA(t, "ca")
	one, two := nodePKI(t, ca).open(t), nodePKI(t, ca).open(t)
	for _, host := range []string{"", "10.1.2.3", "elsewhere.example"} {
		c := two.RouteConfig()
		c.ServerName = host
		if accept, dial := handshake(t, one.RouteConfig(), c); accept != nil || dial != nil {
			t.Errorf("dialled as %q: %v, %v", host, accept, dial)
		}
	}
}

func TestNamePattern(t *testing.T) {
	tests := []struct {
		pattern, name string
		want          bool
	}{
		{"node.unibus", "node.unibus", true},
		{"node.unibus", "Node.UniBus", true},
		{"node.unibus", "x.node.unibus", false},
		{"node.unibus", "node.unibus.example", false},
		{"node.unibus", "*.unibus", false},
		{"*.unibus", "a.unibus", true},
		{"*.unibus", "*.unibus", true},
		{"*.unibus", "a.b.unibus", false},
		{"*.unibus", "unibus", false},
		{"*.unibus", ".unibus", false},
		{"*.unibus", "*x.unibus", false},
		{"*.unibus", "a.unibusx", false},
	}
	for _, tt := range tests {
		if got := matchName(tt.pattern, tt.name); got != tt.want {
			t.Errorf("pattern %q, name %q: %v, want %v", tt.pattern, tt.name, got, tt.want)
		}
	}
	for name, ok := range map[string]bool{"node.unibus": true, "*.unibus": true, "a": true, "": false, "*": false, "*.": false, "a..b": false,
		".a": false, "a.": false, "**.a": false, "a.*": false, "https://a": false, "a:6222": false, "a b": false} {
		if err := CheckName(name); (err == nil) != ok {
			t.Errorf("name %q: %v, want ok %v", name, err, ok)
		}
	}
}

// TestRotationIsSeenByTheNextHandshake: leaf, then CA in three steps, with configurations that were made before.
func TestRotationIsSeenByTheNextHandshake(t *testing.T) {
	old, fresh := mustCA(t, "old"), mustCA(t, "fresh")
	one, two := nodePKI(t, old), nodePKI(t, old)
	a, b := one.open(t).RouteConfig(), two.open(t).RouteConfig()
	leaf := func(ca *natstest.CA) *natstest.Leaf { return mustLeafOf(t, ca, natstest.LeafSpec{}) }
	expect := func(when string, want error) {
		t.Helper()
		_, dial := handshake(t, a, b.Clone())
		accept, _ := handshake(t, b.Clone(), a)
		expectVerdict(t, when+", b dialling", dial, want, "")
		expectVerdict(t, when+", b accepting", accept, want, "")
	}
	expect("before", nil)
	one.write(t, leaf(old), old)
	expect("new leaf", nil)
	one.write(t, leaf(fresh), old, fresh)
	expect("leaf of a CA that b doesn't know", ErrAuthority)
	two.write(t, leaf(old), old, fresh)
	expect("both CAs known", nil)
	two.write(t, leaf(fresh), fresh)
	expect("the old CA forgotten by b", nil)
	one.write(t, leaf(old), old, fresh)
	expect("back to the old CA", ErrAuthority)
}

// TestWrongClock: certificates are judged by the injected clock, those of CAs too.
func TestWrongClock(t *testing.T) {
	ca := mustCA(t, "ca")
	long := mustLeafOf(t, ca, natstest.LeafSpec{NotBefore: time.Now().Add(-365 * 24 * time.Hour), NotAfter: time.Now().Add(365 * 24 * time.Hour)})
	for _, tt := range []struct {
		name   string
		leaf   *natstest.Leaf
		offset time.Duration
		want   error
		says   string
	}{
		{"right", long, 0, nil, ""},
		{"behind", mustLeafOf(t, ca, natstest.LeafSpec{}), -48 * time.Hour, ErrNotYetValid, "is a clock wrong?"},
		{"ahead", mustLeafOf(t, ca, natstest.LeafSpec{}), 48 * time.Hour, ErrExpired, "set the clock"},
		{"behind the CA", long, -48 * time.Hour, ErrNotYetValid, "its CA,"},
		{"ahead of the CA", long, 48 * time.Hour, ErrExpired, "its CA,"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := mustPKI(t, tt.leaf, ca)
			node := p.open(t, func(c *FilesConfig) {
				c.Clock = func() time.Time { return time.Now().Add(tt.offset) }
			})
			peer := p.open(t).RouteConfig()
			peer.VerifyConnection = nil
			accept, _ := handshake(t, node.RouteConfig(), peer)
			expectVerdict(t, "peer", accept, tt.want, tt.says)
			expectVerdict(t, "own", node.CheckRoute(), tt.want, tt.says)
			if err := node.CheckRoute(); err != nil && !strings.Contains(err.Error(), p.files.Cert) {
				t.Errorf("own: %v, does not name %s", err, p.files.Cert)
			}
		})
	}
}
