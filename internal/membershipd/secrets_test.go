// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/daemonconfig"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// secretFiles are those of one node.
type secretFiles struct{ dial, also string }

func (f secretFiles) mustHold(t *testing.T, dial, also string) {
	t.Helper()
	for path, text := range map[string]string{f.dial: dial, f.also: also} {
		if err := os.WriteFile(path+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(path+".new", path); err != nil {
			t.Fatal(err)
		}
	}
}

// lines is a log that several goroutines write and a test reads.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// TestRouteSecretIsReplaced: two nodes take another secret of routes, in the steps of the documents. Each tells what it accepts and what it shows,
// by marks; no route ends but those of the node that is started anew; and in the end who has the former secret is refused.
func TestRouteSecretIsReplaced(t *testing.T) {
	files, log := make([]secretFiles, 2), new(lines)
	nodes := mustBootstrap(t, []string{"n0", "n1"}, func(i int, p *plan) {
		dir := t.TempDir()
		files[i] = secretFiles{filepath.Join(dir, "password"), filepath.Join(dir, "also")}
		files[i].mustHold(t, "former", "")
		c := daemonconfig.Config{ClusterPassFile: files[i].dial, ClusterPassAlsoFile: files[i].also}
		secrets, err := newRouteSecrets(c.RouteSecrets, slog.New(slog.NewTextHandler(log, nil)))
		if err != nil {
			t.Fatal(err)
		}
		p.secrets, p.server.Cluster.User, p.formation.RouteSecrets = secrets, "unibus", secrets.marks
	})
	mustBecome(t, "/healthz", 200, nodes...)
	all := func(dial, also string) {
		t.Helper()
		for i, f := range files {
			f.mustHold(t, dial, also)
			if m := nodes[i].mustMetrics(t); !strings.Contains(m, "unibus_route_secret_files_usable 1") {
				t.Error("good files are not called usable")
			}
		}
	}
	expect := func(n *testNode, dials, next string, accepts ...string) {
		t.Helper()
		s := n.formation.Status()
		for i, secret := range accepts {
			accepts[i] = v1.SecretMark(secret, s.Nonce)
		}
		slices.Sort(accepts)
		slices.Sort(s.RouteSecrets.Accepts)
		want := &v1.RouteSecrets{Dials: v1.SecretMark(dials, s.Nonce), Next: v1.SecretMark(next, s.Nonce), Accepts: accepts}
		if d := cmp.Diff(want, s.RouteSecrets); d != "" {
			t.Errorf("%s tells -want +got:\n%s", n.name, d)
		}
	}
	route := func(n *testNode) (id uint64) {
		t.Helper()
		z, err := n.formation.Server().Unwrap().Routez(nil)
		if err != nil || z.NumRoutes != 1 {
			t.Fatalf("%s has other than one route: %+v, %v", n.name, z, err)
		}
		return z.Routes[0].Rid
	}
	first := route(nodes[0])
	expect(nodes[0], "former", "former", "former")
	all("former", "latter")
	expect(nodes[1], "former", "former", "former", "latter")
	all("latter", "former")
	expect(nodes[0], "former", "latter", "former", "latter")
	if now := route(nodes[0]); now != first {
		t.Errorf("the route is number %d, and was %d", now, first)
	}
	for _, n := range nodes {
		if err := n.formation.Restart(t.Context(), "another secret of routes"); err != nil {
			t.Fatal(err)
		}
		mustBecome(t, "/healthz", 200, nodes...)
		expect(n, "latter", "latter", "former", "latter")
	}
	second := route(nodes[0])
	all("latter", "")
	expect(nodes[0], "latter", "latter", "latter")
	expectRefused(t, nodes[0], "former")
	if now := route(nodes[0]); now != second {
		t.Errorf("the route is number %d, and was %d", now, second)
	}

	files[0].mustHold(t, "two\nlines", "")
	if m := nodes[0].mustMetrics(t); !strings.Contains(m, "unibus_route_secret_files_usable 0") {
		t.Error("a file that holds two lines is called usable")
	}
	expect(nodes[0], "latter", "latter", "latter")
	for _, secret := range []string{"former", "latter", "two\nlines"} {
		if strings.Contains(log.String(), secret) {
			t.Errorf("the log tells the secret %q", secret)
		}
	}
}

// expectRefused waits until a server with the secret was refused.
func expectRefused(t *testing.T, n *testNode, secret string) {
	t.Helper()
	said := natstest.NewLog()
	cfg := natstest.MustConfigs(t, 1, natstest.Options{})[0]
	cfg.ServerName, cfg.Logger, cfg.Timers = "stranger", said.Logger(), n.plan.server.Timers
	cfg.Cluster.Name, cfg.Cluster.User, cfg.Cluster.Password = "test", "unibus", secret
	cfg.Cluster.Routes = n.plan.server.Cluster.Routes[:1]
	natstest.MustStart(t, embeddednats.Probe, cfg)
	natstest.Within(t, limit, "a server refused", func() bool { return said.Said("Authorization Violation") })
}

// TestMarksAreForThoseWhoShowACertificate: on loopback whoever is on the machine could guess by them.
func TestMarksAreForThoseWhoShowACertificate(t *testing.T) {
	c, _ := mustExposed(t)
	p, err := assemble(c, io.Discard)
	if err != nil || p.formation.RouteSecrets == nil {
		t.Errorf("a node off loopback tells nothing: %v", err)
	}
	c.Bind = "127.0.0.1"
	if p, err = assemble(c, io.Discard); err != nil || p.formation.RouteSecrets != nil || p.secrets == nil {
		t.Errorf("a node on loopback tells marks: %v", err)
	}
}

// TestAServerStartsWithTheSecretOfThen: a node that has waited does not show what was there when its process began.
func TestAServerStartsWithTheSecretOfThen(t *testing.T) {
	c, _ := mustExposed(t)
	f := secretFiles{filepath.Join(t.TempDir(), "password"), filepath.Join(t.TempDir(), "also")}
	f.mustHold(t, "former", "")
	c.ClusterPass, c.ClusterPassFile, c.ClusterPassAlsoFile = "", f.dial, f.also
	p, err := assemble(c, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	n := mustRun(t, p)
	f.mustHold(t, "latter", "former")
	s := n.formation.Status()
	if mark := v1.SecretMark("latter", s.Nonce); s.RouteSecrets == nil || s.RouteSecrets.Dials != mark || len(s.RouteSecrets.Accepts) != 2 {
		t.Errorf("a node that waits tells %+v", s.RouteSecrets)
	}
	cfg, err := n.serverConfig("n0", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"latter", "former"}, append([]string{}, cfg.Cluster.Also()...)); cfg.Cluster.Password != "latter" || d != "" {
		t.Errorf("it would start with %s; accepted, -want +got:\n%s", cfg.Cluster.Password, d)
	}
}
