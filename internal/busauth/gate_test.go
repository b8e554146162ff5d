// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/unibus/unibus/internal/natstest"
)

// TestGate: who finds all places taken is turned away; each handshake takes one and gives it back, also one that fails and one that goes no further.
func TestGate(t *testing.T) {
	ca := mustCA(t, "ca")
	leaf := localLeaf(t, ca)
	g, asked := gate{make(chan struct{}, 1), patience, new(refusals)}, make(chan struct{}, 2)
	c := &tls.Config{GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
		asked <- struct{}{}
		return &leaf.TLS, nil
	}}
	guarded, hasty := g.guard(c), gate{g.places, time.Millisecond, g.refused}.guard(c)
	client := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost"}
	stranger := &tls.Config{RootCAs: ca.Pool(), ServerName: "localhost", MaxVersion: tls.VersionTLS11, MinVersion: tls.VersionTLS10}
	free := func() bool { return len(g.places) == 0 }

	g.places <- struct{}{}
	if server, dialer := handshake(t, hasty, client); !errors.Is(server, ErrCrowd) || dialer == nil {
		t.Errorf("with no place left the server says %v, the client %v", server, dialer)
	}
	<-g.places
	if g.refused.by[ErrCrowd.Error()] != 1 {
		t.Errorf("counted are %v", g.refused.by)
	}

	if server, dialer := handshake(t, guarded, stranger); server == nil || errors.Is(server, ErrCrowd) || dialer == nil {
		t.Errorf("with versions that differ the server says %v, the client %v", server, dialer)
	}
	natstest.Within(t, patience, "a place that a failure gives back", free)

	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	go tls.Server(ours, guarded).Handshake()
	go tls.Client(deaf{theirs, t.Context()}, client).Handshake()
	<-asked
	if server, dialer := handshake(t, guarded, client); server != nil || dialer != nil {
		t.Errorf("beside a client that does not read the server says %v, the client %v", server, dialer)
	}
	if !free() {
		t.Error("a place is taken for good")
	}
}

// deaf is the end of a client that says hello, and does not hear what it is answered.
type deaf struct {
	net.Conn
	ctx context.Context
}

func (d deaf) Read([]byte) (int, error) {
	<-d.ctx.Done()
	return 0, io.EOF
}

// TestClientPortsHaveAGate: clients stand in line, and whoever has a certificate for control does not.
func TestClientPortsHaveAGate(t *testing.T) {
	ca := mustCA(t, "ca")
	f := mustPKI(t, localLeaf(t, ca), ca).open(t)
	if f.ServerConfig(false).GetConfigForClient == nil || f.ServerConfig(true).GetConfigForClient != nil {
		t.Error("the port of clients has no gate, or that of control has one")
	}
}
