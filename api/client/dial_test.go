// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// TestDial: certificates are checked by the host of the URL, wherever a connection leads.
func TestDial(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"id":"here"}`)) }))
	t.Cleanup(srv.Close)
	pair, _ := mustPair(t)
	cas := x509.NewCertPool()
	cas.AddCert(srv.Certificate()) // of example.com
	for host, ok := range map[string]bool{"example.com": true, "elsewhere.invalid": false} {
		api, err := NewAPI(Options{API: "https://" + host + ":1", Key: pair, CAs: cas, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
			return new(net.Dialer).DialContext(ctx, network, srv.Listener.Addr().String())
		}})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(api.Close)
		c, err := api.Cluster(t.Context())
		var wrong *tls.CertificateVerificationError
		if ok && (err != nil || c.ID != "here") || !ok && !errors.As(err, &wrong) {
			t.Errorf("%s: %+v, %v", host, c, err)
		}
	}
}
