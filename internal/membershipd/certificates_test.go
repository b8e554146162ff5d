// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"crypto/tls"
	"errors"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unibus/unibus/internal/busauth"
	"github.com/unibus/unibus/internal/natstest"
)

// TestCertificatesAreMeasured: who was refused and why, and files that are half rotated, show before anything breaks.
func TestCertificatesAreMeasured(t *testing.T) {
	c, ca := mustExposed(t)
	p, err := assemble(c, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	n := mustRun(t, p)
	expired, err := ca.Issue(natstest.LeafSpec{NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	u, err := url.Parse(n.controlURL)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := tls.Dial("tcp", "127.0.0.1:"+u.Port(), &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: ca.Pool(), Certificates: []tls.Certificate{expired.TLS}})
	if err == nil { // in TLS 1.3 the refusal comes after the client's own end of the handshake
		_, err = conn.Read(make([]byte, 1))
		conn.Close()
	}
	if err == nil {
		t.Error("an expired certificate was taken")
	}
	const refused = `unibus_tls_peers_refused_total{reason="expired",use="route"} 1`
	const usable = `unibus_certificate_files_usable{use="route"} `
	if !natstest.Until(limit, func() bool { return strings.Contains(n.mustMetrics(t), refused) }) {
		t.Errorf("the metrics lack %s", refused)
	}
	if !strings.Contains(n.mustMetrics(t), usable+"1") {
		t.Error("good files are not called usable")
	}
	if err := os.WriteFile(c.RouteTLSKey, expired.KeyPEM, 0o600); err != nil { // half rotated: the certificate is to follow
		t.Fatal(err)
	}
	if m := n.mustMetrics(t); !strings.Contains(m, usable+"0") || !strings.Contains(m, `expiry_timestamp_seconds{use="route"}`) {
		t.Errorf("half-rotated files are not told:\n%s", m)
	}
}

// TestExpiredCertificateRefusesTheStart: no peer would take it, so the node says so before it touches anything.
func TestExpiredCertificateRefusesTheStart(t *testing.T) {
	for _, flag := range []string{"--route-tls-cert", "--tls-cert"} {
		c, ca := mustExposed(t)
		expired, err := ca.Issue(natstest.LeafSpec{NotBefore: time.Now().Add(-2 * time.Hour), NotAfter: time.Now().Add(-time.Hour)})
		if err != nil {
			t.Fatal(err)
		}
		files, err := natstest.WriteFiles(t.TempDir(), expired, ca)
		if err != nil {
			t.Fatal(err)
		}
		if flag == "--tls-cert" {
			c.TLSCert, c.TLSKey = files.Cert, files.Key
		} else {
			c.RouteTLSCert, c.RouteTLSKey = files.Cert, files.Key
		}
		_, err = assemble(c, io.Discard)
		if !errors.Is(err, busauth.ErrExpired) || !strings.HasPrefix(err.Error(), flag+":") || !strings.Contains(err.Error(), "renew it") {
			t.Errorf("%s: %v, want it refused as expired, with the flag and a remedy", flag, err)
		}
		if left, _ := filepath.Glob(filepath.Join(c.StoreDir, "*")); left != nil {
			t.Errorf("%s: the store was touched: %v", flag, left)
		}
	}
}
