// SPDX-License-Identifier: Apache-2.0

package front

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestRun goes the way that a cluster goes: files, a port, and faults that come through the socket.
func TestRun(t *testing.T) {
	upstream := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer upstream.Close()
	dir := t.TempDir()
	own := upstream.TLS.Certificates[0]
	key, err := x509.MarshalPKCS8PrivateKey(own.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	o := Options{Upstream: upstream.URL, CAFile: filepath.Join(dir, "cert"), CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key"),
		Control: filepath.Join(dir, "control"), Log: slog.New(slog.DiscardHandler)}
	mustWrite(t, o.CertFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.Certificate[0]}))
	mustWrite(t, o.KeyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: key}))
	mustWrite(t, o.Control, nil) // a front that was killed leaves its socket
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- serve(ctx, o, listener) }()
	get := func() error {
		response, err := upstream.Client().Get("https://" + listener.Addr().String())
		if err == nil {
			response.Body.Close()
		}
		return err
	}
	if err := get(); err != nil {
		t.Fatalf("before any fault: %v", err)
	}
	if err := Set(t.Context(), o.Control, Fault{Mode: Down, For: time.Hour}); err != nil {
		t.Fatal(err)
	}
	if get() == nil {
		t.Error("down, and answers")
	}
	if err := Set(t.Context(), o.Control, Fault{Mode: "odd"}); err == nil || !strings.Contains(err.Error(), "slow, reject, down or none") {
		t.Errorf("an odd fault: %v, want the remedy", err)
	}
	if err := Set(t.Context(), o.Control, Fault{Mode: None}); err != nil {
		t.Fatal(err)
	}
	if err := get(); err != nil {
		t.Errorf("healed: %v", err)
	}
	cancel()
	if err := <-ended; err != nil {
		t.Errorf("a stopped front: %v", err)
	}
	if err := Set(t.Context(), o.Control, Fault{Mode: None}); err == nil || !strings.Contains(err.Error(), "devcluster status") {
		t.Errorf("without a front: %v, want the remedy", err)
	}
}

func TestRunSaysWhatIsWrong(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty")
	mustWrite(t, empty, nil)
	for want, o := range map[string]Options{
		"must be like https":  {Upstream: "127.0.0.1:6443"},
		"read the CA":         {Upstream: "https://127.0.0.1:6443", CAFile: empty + "-missing"},
		"no certificate":      {Upstream: "https://127.0.0.1:6443", CAFile: empty},
		"listen for what run": {Listen: "127.0.0.1:none"},
	} {
		if o.Listen == "" {
			o.Listen = "127.0.0.1:0"
		}
		if err := Run(t.Context(), o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: %v, want %q", o, err, want)
		}
	}
}

func mustWrite(t *testing.T, path string, content []byte) {
	t.Helper()
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
}
