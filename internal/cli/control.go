// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"net"
	"net/url"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/steering"
)

// newControl returns a client with the given files, plain HTTP for loopback only.
func newControl(files tlsFiles) (*steering.Control, error) {
	cfg, err := files.control()
	if err != nil {
		return nil, err
	}
	return steering.NewControl(cfg, nil), nil
}

// checkControl says why a control URL can't be used.
func checkControl(raw string, files tlsFiles) error {
	u, err := url.Parse(raw)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return console.Failf(console.ExitUsage, "--node %q is not the URL of a control endpoint, such as https://10.0.0.2:6223", raw)
	}
	if u.Scheme == "http" && !loopback(u.Hostname()) {
		return console.Failf(console.ExitUsage, "--node %s: off loopback a control endpoint speaks mutual TLS only; use https:// with --tls-ca, --tls-cert and --tls-key", raw)
	}
	if u.Scheme == "https" && files == (tlsFiles{}) {
		return console.Failf(console.ExitUsage, "--node %s needs --tls-ca, --tls-cert and --tls-key", raw)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// hostOf is the host of a URL, empty when it can't be read.
func hostOf(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return ""
	}
	return u.Hostname()
}
