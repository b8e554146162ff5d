// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"crypto/tls"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/daemonconfig"
	"github.com/unibus/unibus/internal/natstest"
)

// mustExposed is a configuration that may be reached from other machines, with the authority of its certificates.
func mustExposed(t *testing.T) (daemonconfig.Config, *natstest.CA) {
	t.Helper()
	ca, err := natstest.NewCA("test")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Issue(natstest.LeafSpec{})
	if err != nil {
		t.Fatal(err)
	}
	files, err := natstest.WriteFiles(t.TempDir(), leaf, ca)
	if err != nil {
		t.Fatal(err)
	}
	user, err := nkeys.CreateUser()
	if err != nil {
		t.Fatal(err)
	}
	operator, err := user.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	signer, err := nkeys.CreateOperator()
	if err != nil {
		t.Fatal(err)
	}
	order, err := signer.PublicKey()
	if err != nil {
		t.Fatal(err)
	}
	c := daemonconfig.Default()
	c.Bind, c.Port, c.HTTPPort, c.APIPort, c.ControlPort, c.ClusterPort = "0.0.0.0", 0, 0, 0, 0, 0
	c.StoreDir, c.ClusterPass = t.TempDir(), "secret"
	c.RouteTLSCert, c.RouteTLSKey, c.RouteTLSCA, c.RouteTLSName = files.Cert, files.Key, files.CA, natstest.RouteName
	c.TLSCert, c.TLSKey = files.Cert, files.Key
	c.OperatorKeys, c.OrderKeys = []string{operator}, []string{order}
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	return c, ca
}

func TestControlOffLoopbackWantsACertificate(t *testing.T) {
	c, ca := mustExposed(t)
	p, err := assemble(c, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	n := mustRun(t, p)
	// The node listens on all addresses; the certificate is for this one.
	_, port, _ := strings.Cut(strings.TrimPrefix(n.controlURL, "https://["), "]:")
	url := "https://127.0.0.1:" + port + v1.PathNode
	get := func(certificates ...tls.Certificate) (int, error) {
		client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
			TLSClientConfig: &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: ca.Pool(), Certificates: certificates}}}
		resp, err := client.Get(url)
		if err != nil {
			return 0, err
		}
		return resp.StatusCode, resp.Body.Close()
	}
	if code, err := get(); err == nil {
		t.Errorf("control without a certificate answers %d", code)
	}
	stranger, err := natstest.NewCA("stranger")
	if err != nil {
		t.Fatal(err)
	}
	for _, from := range []*natstest.CA{stranger, ca} {
		leaf, err := from.Issue(natstest.LeafSpec{CommonName: "cli"})
		if err != nil {
			t.Fatal(err)
		}
		code, err := get(leaf.TLS)
		if ok := err == nil && code == 200; ok != (from == ca) {
			t.Errorf("with a certificate of its own CA %v: %d, %v", from == ca, code, err)
		}
	}
	m := n.mustMetrics(t)
	for _, use := range []string{"route", "route-ca", "client"} {
		if !strings.Contains(m, `unibus_certificate_expiry_timestamp_seconds{use="`+use+`"}`) {
			t.Errorf("the metrics lack the expiry of %s", use)
		}
	}
}

// TestClientsAreToldTheAdvertisedHost: nobody can connect to "all addresses".
func TestClientsAreToldTheAdvertisedHost(t *testing.T) {
	c, _ := mustExposed(t)
	c.Formation, c.ServerName, c.Advertise, c.ClusterPort = daemonconfig.FormationFound, "n0", "node.example", natstest.MustFreePort(t)
	p, err := assemble(c, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	n := mustRun(t, p)
	natstest.Within(t, limit, "the node runs", func() bool { return n.formation.Server() != nil })
	s := n.formation.Status()
	if !strings.HasPrefix(s.ClientURL, "tls://node.example:") || !strings.HasPrefix(s.RouteURL, "nats://node.example:") {
		t.Errorf("clients are told %s, nodes %s", s.ClientURL, s.RouteURL)
	}
}

func TestAssembleTakesEverything(t *testing.T) {
	c, _ := mustExposed(t)
	c.Advertise, c.ClusterPort, c.MaxConnections, c.RaftTimers = "node.example", 7000, 77, daemonconfig.RaftTimersStock
	c.SelfRepair, c.SyncAlways, c.LogFormat = false, true, daemonconfig.LogJSON
	p, err := assemble(c, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	s := p.server
	if s.Auth == nil || s.Connect == nil || s.TLS == nil || s.Cluster.TLS == nil || p.controlTLS == nil || p.apiTLS == nil || p.formation.Verify == nil {
		t.Errorf("authentication or TLS is missing: %+v", p)
	}
	got := []any{s.Cluster.Advertise, s.Cluster.User, s.Cluster.Password, s.Limits.MaxConnections, s.SyncAlways, p.repair}
	if d := cmp.Diff([]any{"node.example:7000", "unibus", "secret", 77, true, false}, got); d != "" {
		t.Error(d)
	}
	c.ClusterPass = ""
	c.RouteTLSCert, c.RouteTLSKey, c.RouteTLSCA = "", "", ""
	if _, err := assemble(c, io.Discard); err == nil {
		t.Error("control would be open off loopback without TLS")
	}
}
