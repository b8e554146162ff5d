// SPDX-License-Identifier: Apache-2.0

package controllers

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/manifests"
	"github.com/unibus/unibus/internal/steering"
)

// unseen says which node has not been seen to be as a change asks for, empty when all have. Every pod counts, whatever its node does: one that
// does not answer comes back with what it has.
func (p *pass) unseen(ctx context.Context, a *authority, wait gate, now time.Time) string {
	words := make([]string, max(p.seen.Size, len(p.seen.Places)))
	var wg sync.WaitGroup
	for place := range words {
		if p.pods[place] == nil && place >= p.seen.Size {
			continue // only a volume
		}
		wg.Go(func() { words[place] = p.sight(ctx, a, wait, place, now) })
	}
	wg.Wait()
	return cmp.Or(words...)
}

// sight says what a node has not been seen to do: to take the operator's new certificate, and to present one of the new CA itself. Each look is a
// connection of its own, since nodes judge anew and read their files anew for each.
func (p *pass) sight(ctx context.Context, a *authority, wait gate, place int, now time.Time) string {
	name := p.c.PodName(place)
	if p.endpoint(place) == "" {
		return fmt.Sprintf("the pod %s does not run", name)
	}
	ctx, cancel := context.WithTimeout(ctx, steering.StatusLimit)
	defer cancel()
	c := &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: pool(a.trusted()), ServerName: p.c.ServiceHost()}
	at := p.at(place, manifests.APIPort())
	if wait.trusted {
		pair, err := tls.X509KeyPair(a.own.cert, a.own.key)
		if err != nil {
			return err.Error()
		}
		c.Certificates, c.ServerName, at = []tls.Certificate{pair}, p.c.RouteName(), p.at(place, manifests.ControlPort())
	}
	presented, err := p.look(ctx, at, c)
	switch {
	case len(presented) == 0:
		return fmt.Sprintf("the node of the pod %s does not answer", name)
	case err != nil: // it would name a port of this connection, and so be another one each time
		return fmt.Sprintf("the node of the pod %s does not take a certificate of the new CA yet", name)
	case wait.presented && !trusts(a.issued.anchors(now), presented, now):
		return fmt.Sprintf("the node of the pod %s presents its old certificate yet", name)
	}
	return ""
}

// look asks for anything and returns what the node presents, also beside an error: a node that refuses a certificate says so after that, in place
// of an answer.
func (p *pass) look(ctx context.Context, address string, c *tls.Config) ([]*x509.Certificate, error) {
	dial := p.Dial
	if dial == nil {
		dial = new(net.Dialer).DialContext
	}
	raw, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	defer raw.Close()
	stop := context.AfterFunc(ctx, func() { raw.Close() })
	defer stop()
	conn := tls.Client(raw, c)
	if err := conn.HandshakeContext(ctx); err != nil {
		return nil, err
	}
	presented := conn.ConnectionState().PeerCertificates
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+address+v1.PathNode, nil)
	if err == nil {
		err = req.Write(conn)
	}
	if err != nil {
		return presented, err
	}
	resp, err := http.ReadResponse(bufio.NewReader(conn), req)
	if err == nil {
		err = resp.Body.Close()
	}
	return presented, err
}
