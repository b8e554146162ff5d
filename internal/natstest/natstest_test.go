// SPDX-License-Identifier: Apache-2.0

package natstest_test

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/unibus/unibus/internal/natstest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m, natstest.Leaks()...) }

func TestLinkCutsAndHeals(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); c.Close() }()
		}
	}()
	k, err := natstest.NewLink(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer k.Close()
	echoes := func() bool {
		c, err := net.Dial("tcp", k.Addr())
		if err != nil {
			return false
		}
		defer c.Close()
		fmt.Fprintln(c, "hello")
		said, err := bufio.NewReader(c).ReadString('\n')
		return err == nil && said == "hello\n"
	}
	if !echoes() {
		t.Fatal("a new link lets nothing through")
	}
	standing, err := net.Dial("tcp", k.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer standing.Close()
	fmt.Fprintln(standing, "hello")
	if _, err := bufio.NewReader(standing).ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	k.Cut()
	if _, err := standing.Read(make([]byte, 1)); err == nil {
		t.Fatal("a connection outlived the cut")
	}
	if echoes() {
		t.Fatal("a cut link lets something through")
	}
	k.Heal()
	if !echoes() {
		t.Fatal("a healed link lets nothing through")
	}
}

func TestLeafsAreWhatTheyAreAskedFor(t *testing.T) {
	ca, err := natstest.NewCA("a")
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := ca.Issue(natstest.LeafSpec{
		Names: []string{"other.test"}, Usage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}, NotAfter: time.Now().Add(-time.Minute),
	})
	if err != nil {
		t.Fatal(err)
	}
	files, err := natstest.WriteFiles(t.TempDir(), leaf, ca)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := tls.LoadX509KeyPair(files.Cert, files.Key)
	if err != nil {
		t.Fatal(err)
	}
	verify := func(name string, usage x509.ExtKeyUsage, at time.Time) error {
		_, err := pair.Leaf.Verify(x509.VerifyOptions{
			Roots: ca.Pool(), DNSName: name, KeyUsages: []x509.ExtKeyUsage{usage}, CurrentTime: at,
		})
		return err
	}
	valid := time.Now().Add(-30 * time.Minute)
	if err := verify("other.test", x509.ExtKeyUsageClientAuth, valid); err != nil {
		t.Errorf("as asked for: %v", err)
	}
	for what, err := range map[string]error{
		"another name": verify(natstest.RouteName, x509.ExtKeyUsageClientAuth, valid),
		"another use":  verify("other.test", x509.ExtKeyUsageServerAuth, valid),
		"expired":      verify("other.test", x509.ExtKeyUsageClientAuth, time.Now()),
	} {
		if err == nil {
			t.Errorf("%s: taken", what)
		}
	}
}
