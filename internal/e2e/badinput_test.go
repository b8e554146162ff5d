// SPDX-License-Identifier: Apache-2.0

package e2e_test

import (
	"context"
	"crypto/x509"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/unibus/unibus/internal/e2e/bus"
	"github.com/unibus/unibus/internal/natstest"
)

// TestBadCertificates: a member that comes back with a certificate that is no good is refused with the reason; the others go on,
// and with a good one it is back.
func TestBadCertificates(t *testing.T) {
	c := mustBus(t, bus.Config{Places: 3})
	c.mustForm(3)
	bad := c.Places[2]
	for _, b := range []struct {
		name string
		make func() error
		word string
	}{
		{"expired", func() error {
			return bad.Issue(natstest.LeafSpec{NotAfter: time.Now().Add(-time.Minute), NotBefore: time.Now().Add(-time.Hour)}, false)
		}, "has expired"},
		{"wrong host", func() error { return bad.Issue(natstest.LeafSpec{Names: []string{"somebody.else"}}, false) }, natstest.RouteName},
		{"wrong usage", func() error {
			return bad.Issue(natstest.LeafSpec{Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}, false)
		}, `lacks the extended usage "client authentication"`},
		{"wrong CA", func() error { return bad.Issue(natstest.LeafSpec{}, true) }, "not of a trusted CA"},
		{"half rotated", func() error { return bad.HalfRotate() }, "half rotated"},
	} {
		t.Run(b.name, func(t *testing.T) {
			c := c.in(t)
			must(t, bad.Stop(t.Context()))
			must(t, b.make())
			c.expectRefused(bad, "--route-tls-cert", b.word)
			c.mustWrite(20)
			must(t, bad.Issue(natstest.LeafSpec{}, false))
			c.mustStart(bad)
			c.expectSettled(3)
		})
	}
	c.expectKept(3)
}

// TestGarbledIdentity: half a file, an empty one and rubbish are refused with a remedy, and the disk stays as it is.
func TestGarbledIdentity(t *testing.T) {
	c := mustBus(t, bus.Config{Places: 3})
	c.mustForm(3)
	p := c.Places[1]
	must(t, p.Stop(t.Context()))
	file := filepath.Join(p.Disk, "identity.json")
	good, err := os.ReadFile(file)
	must(t, err)
	for name, content := range map[string][]byte{"empty": nil, "half": good[:len(good)/2], "rubbish": []byte("{]"), "another's": []byte(strings.Replace(string(good), "unibus-1-0", "unibus-0-0", 1))} {
		t.Run(name, func(t *testing.T) {
			c := c.in(t)
			must(t, os.WriteFile(file, content, 0o600))
			c.expectRefused(p, "identity.json")
			if got, err := os.ReadFile(file); err != nil || string(got) != string(content) {
				t.Errorf("the file was changed to %q, %v", got, err)
			}
		})
	}
	c.mustWrite(20)
	must(t, os.WriteFile(file, good, 0o600))
	c.mustStart(p)
	c.expectSettled(3)
	c.expectKept(3)
}

// TestPortInUse: each port that somebody else has is told with its flag.
func TestPortInUse(t *testing.T) {
	c := mustBus(t, bus.Config{Places: 1})
	p := c.Places[0]
	must(t, p.Set(map[string]string{"formation": "found"}))
	for _, flag := range []string{"port", "http-port", "control-port", "cluster-port", "api-port"} {
		t.Run(flag, func(t *testing.T) {
			l, err := net.Listen("tcp", "127.0.0.1:0")
			must(t, err)
			defer l.Close()
			old := p.Setting(flag)
			must(t, p.Set(map[string]string{flag: fmt.Sprint(l.Addr().(*net.TCPAddr).Port)}))
			must(t, p.Start())
			ctx, cancel := context.WithTimeout(t.Context(), limit)
			defer cancel()
			if err := p.Process().Wait(ctx); err == nil || !strings.Contains(p.Process().Output(), "--"+flag) {
				t.Errorf("%v: %s", err, p.Process().Output())
			}
			must(t, p.Set(map[string]string{flag: old}))
		})
	}
	c.mustStart(p)
	c.expectReady(p)
}

// TestManyConnections opens and drops 5,000 connections; those that stay are not disturbed.
func TestManyConnections(t *testing.T) {
	c := mustBus(t, bus.Config{Places: 1})
	c.mustForm(1)
	p := c.Places[0]
	addr := strings.TrimPrefix(p.Client(), "tls://")
	nc := c.mustConnect(account)
	defer nc.Close()
	var wg sync.WaitGroup
	for w := range 10 {
		wg.Go(func() {
			for i := range 500 {
				conn, err := net.Dial("tcp", addr)
				if err != nil {
					t.Errorf("connection %d of %d: %v", i, w, err)
					return
				}
				if i%2 == 0 { // some say nothing, some rubbish
					fmt.Fprint(conn, "CONNECT {\"nkey\":\"U\",\"sig\":\"x\"}\r\nPING\r\n")
				}
				conn.Close()
			}
		})
	}
	wg.Wait()
	if n := nc.Stats().Reconnects; n > 0 || !nc.IsConnected() {
		t.Errorf("a client that stayed was disconnected %d times", n)
	}
	c.mustWrite(50)
	c.expectKept(1)
	c.expectReady(p)
}
