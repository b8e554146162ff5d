// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"strings"
	"testing"
)

func TestRouteTLSMustVerify(t *testing.T) {
	_, err := Start(t.Context(), ServerConfig{ServerName: "n0", StoreDir: t.TempDir(), JetStream: true,
		Cluster: &ClusterConfig{Name: "tests", TLS: &tls.Config{InsecureSkipVerify: true}}})
	if err == nil || !strings.Contains(err.Error(), "verifies nobody") {
		t.Errorf("error %v, want one about route TLS that verifies nobody", err)
	}
}

// TestOwnVerificationIsNoWarning: the server calls route TLS with a verification of its own unfit for production.
func TestOwnVerificationIsNoWarning(t *testing.T) {
	var log bytes.Buffer
	b := newBridge(slog.New(slog.NewTextHandler(&log, nil)), func(string) {})
	b.Warnf(skipWarning + ". DO NOT USE IN PRODUCTION!")
	if log.Len() != 0 {
		t.Errorf("logged: %s", &log)
	}
	b.Warnf("something else")
	if !strings.Contains(log.String(), "level=WARN") {
		t.Error("another warning is not logged")
	}
}
