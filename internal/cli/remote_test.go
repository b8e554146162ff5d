// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/e2e/proc"
	"github.com/unibus/unibus/internal/natstest"
)

// mustCertificates writes a leaf of the CA, with tls.crt, tls.key and ca.crt.
func mustCertificates(t *testing.T, ca *natstest.CA) natstest.Files {
	t.Helper()
	leaf, err := ca.Issue(natstest.LeafSpec{})
	must(t, err)
	files, err := natstest.WriteFiles(t.TempDir(), leaf, ca)
	must(t, err)
	return files
}

// mustNode starts a node that is not the folder's, and returns the URL of its control endpoint.
func (l *lab) mustNode(i int, ca *natstest.CA, keys publicKeys, more ...string) string {
	l.t.Helper()
	files, dir := mustCertificates(l.t, ca), l.t.TempDir()
	pass := filepath.Join(dir, "pass")
	must(l.t, os.WriteFile(pass, []byte("secret\n"), 0o600))
	control := natstest.MustFreePort(l.t)
	p, err := proc.Start(proc.Command{Name: fmt.Sprint("node", i), Path: l.bin.Membershipd, Log: filepath.Join(dir, "log"), Args: append([]string{
		// Off loopback in the node's eyes, so that control and clients go over TLS; reached here all the same.
		"--bind", "0.0.0.0", "--advertise", "127.0.0.1", "--tls-cert", files.Cert, "--tls-key", files.Key,
		"--store-dir", filepath.Join(dir, "store"), "--port", "0", "--http-port", "0", "--api-port", "0", "--control-port", fmt.Sprint(control),
		"--cluster-port", fmt.Sprint(natstest.MustFreePort(l.t)), "--cluster-pass-file", pass,
		"--operator-key", keys.Operator, "--order-key", keys.Order,
		"--route-tls-cert", files.Cert, "--route-tls-key", files.Key, "--route-tls-ca", files.CA, "--route-tls-name", natstest.RouteName,
	}, more...)})
	must(l.t, err)
	l.t.Cleanup(func() {
		p.Kill()
		if l.t.Failed() {
			l.t.Logf("node %d said last:\n%s", i, proc.Tail(filepath.Join(dir, "log"), 15))
		}
	})
	natstest.Within(l.t, limit, "the control endpoint of a node", func() bool {
		c, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", control))
		if err == nil {
			c.Close()
		}
		return err == nil
	})
	return fmt.Sprintf("https://127.0.0.1:%d", control)
}

// Nodes that the folder does not start are spoken to over mutual TLS: one that founded by its flag is taken over, then others join.
func TestAdoptAndJoinByURL(t *testing.T) {
	l := mustLab(t)
	code, out, said := l.run("init", "-o", "json")
	if code != 0 {
		t.Fatal(said)
	}
	var keys publicKeys
	must(t, json.Unmarshal([]byte(out), &keys))
	ca, err := natstest.NewCA("bus")
	must(t, err)
	files := mustCertificates(t, ca)
	with := []string{"--tls-ca", files.CA, "--tls-cert", files.Cert, "--tls-key", files.Key, "--tls-name", natstest.RouteName}
	first := l.mustNode(0, ca, keys, "--formation", "found")
	if !natstest.Until(limit, func() bool {
		code, _, said = l.run(append([]string{"adopt", "--node", first, "--yes"}, with...)...)
		return code == 0
	}) {
		t.Fatalf("the node was not taken over:\n%s", said)
	}
	js := l.mustJS()
	l.mustStream(js, 1, 50)
	if code, _, said := l.run("grow", "--replicas", "3", "--yes"); code != console.ExitUsage || !strings.Contains(said, "--node") {
		t.Fatalf("grow without nodes to grow to: exit code %d\n%s", code, said)
	}
	grow := append([]string{"grow", "--replicas", "3"}, with...)
	for i := 1; i < 3; i++ {
		grow = append(grow, "--node", l.mustNode(i, ca, keys))
	}
	r := l.mustRun(grow...)
	l.expectMembers(r, 3)
	l.expectNothingLost(r)
	stranger, err := natstest.NewCA("another")
	must(t, err)
	foreign := mustCertificates(t, stranger)
	code, _, said = l.run("grow", "--replicas", "3", "--node", first, "--tls-ca", foreign.CA, "--tls-cert", foreign.Cert, "--tls-key", foreign.Key)
	if code == 0 {
		t.Fatalf("nodes took a certificate of another CA:\n%s", said)
	}
	r = l.mustRun("shrink", "--replicas", "1")
	l.expectMembers(r, 1)
	l.expectNothingLost(r)
	r = l.mustRun("grow", "--replicas", "3") // they wait where they were, with disks that were used
	l.expectMembers(r, 3)
	l.expectNothingLost(r)
}
