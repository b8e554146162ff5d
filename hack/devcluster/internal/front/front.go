// SPDX-License-Identifier: Apache-2.0

// Package front stands between kube-apiserver and what runs inside the cluster: the endpoint of the `kubernetes` Service is here, while
// kubelets go to the API server directly. It passes everything on, bearer tokens too, and makes the API server slow, refusing or dead for
// one ServiceAccount when a test asks for that.
package front

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"
)

// Options say what the front stands before, and where.
type Options struct {
	Listen            string // host:port
	Upstream          string // https URL of kube-apiserver
	CAFile            string // that signed the certificate of Upstream
	CertFile, KeyFile string // of the front, for the names and addresses by which pods reach it
	Control           string // path of the unix socket by which Set reaches it
	Log               *slog.Logger
}

// Run serves until ctx ends. Connections that are open then are closed.
func Run(ctx context.Context, o Options) error {
	listener, err := net.Listen("tcp", o.Listen)
	if err != nil {
		return fmt.Errorf("listen for what runs inside the cluster: %w", err)
	}
	return serve(ctx, o, listener)
}

func serve(ctx context.Context, o Options, listener net.Listener) error {
	defer listener.Close()
	if o.Log == nil {
		o.Log = slog.Default()
	}
	upstream, err := url.Parse(o.Upstream)
	if err != nil || upstream.Scheme != "https" || upstream.Host == "" {
		return fmt.Errorf("upstream %q: must be like https://10.0.0.1:6443", o.Upstream)
	}
	ca, err := os.ReadFile(o.CAFile)
	if err != nil {
		return fmt.Errorf("read the CA of the API server: %w", err)
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(ca) {
		return fmt.Errorf("CA %s: no certificate in it", o.CAFile)
	}
	control, err := listenControl(o.Control)
	if err != nil {
		return err
	}
	defer control.Close()
	faults := newFaults(time.Now)
	quiet := slog.NewLogLogger(o.Log.Handler(), slog.LevelDebug) // handshakes that break off are nobody's fault
	front := &http.Server{Handler: newProxy(upstream, roots, faults, o.Log), ErrorLog: quiet, ReadHeaderTimeout: time.Minute,
		ConnContext: withLine, TLSConfig: &tls.Config{MinVersion: tls.VersionTLS12}}
	door := &http.Server{Handler: controlHandler(faults, o.Log), ErrorLog: quiet, ReadHeaderTimeout: time.Minute}
	ended := make(chan error, 2)
	go func() { ended <- front.ServeTLS(listener, o.CertFile, o.KeyFile) }()
	go func() { ended <- door.Serve(control) }()
	left := 2
	select {
	case <-ctx.Done():
	case err = <-ended:
		left--
	}
	closeAll(front, door)
	for range left {
		o.Log.Debug("closed", "error", <-ended)
	}
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return err
}

func closeAll(all ...io.Closer) {
	for _, c := range all {
		c.Close()
	}
}
