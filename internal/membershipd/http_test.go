// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/formation"
)

// TestSafeToRestartIsGivenUp: who no longer waits for the answer must not be kept waiting for those who asked before.
func TestSafeToRestartIsGivenUp(t *testing.T) {
	e := newEndpoints(newHealth(time.Now), func() v1.NodeStatus { return v1.NodeStatus{} }, func() *embeddednats.Server { return nil })
	e.safe <- struct{}{} // somebody is being answered
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	expect(t, "with somebody before", func() (bool, string) { return e.safeToRestart(ctx) }, false, "given up")
	<-e.safe
	expect(t, "alone", func() (bool, string) { return e.safeToRestart(context.Background()) }, false, "")
}

// TestSlowAndLargeRequestsAreCutOff: connections are held by nobody who sends half a request, or a very long header.
func TestSlowAndLargeRequestsAreCutOff(t *testing.T) {
	n := mustRun(t, planFor(t, "", t.TempDir(), func(p *plan) { p.formation.Mode = formation.ModeOrder }))
	for name, c := range map[string]struct{ url, request, want string }{
		"slow body of an order": {n.controlURL, "POST " + v1.PathOrders + " HTTP/1.1\r\nHost: n\r\nContent-Length: 100\r\n\r\n{", "408"},
		"slow body":             {n.httpURL, "GET /livez HTTP/1.1\r\nHost: n\r\nContent-Length: 100\r\n\r\n{", "200"},
		"half a header":         {n.controlURL, "GET " + v1.PathNode + " HTTP/1.1\r\nHo", ""},
		"large header":          {n.httpURL, "GET /livez HTTP/1.1\r\nHost: n\r\nX: " + strings.Repeat("x", 2*maxHeader) + "\r\n\r\n", "431"},
	} {
		t.Run(name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			if err := conn.SetDeadline(time.Now().Add(limit)); err != nil {
				t.Fatal(err)
			}
			if _, err := io.WriteString(conn, c.request); err != nil {
				t.Fatal(err)
			}
			said, err := io.ReadAll(conn) // until the node hangs up
			if err != nil && len(said) == 0 || !strings.HasPrefix(strings.TrimPrefix(string(said), "HTTP/1.1 "), c.want) {
				t.Errorf("answered %q, %v; want %q", said, err, c.want)
			}
		})
	}
}
