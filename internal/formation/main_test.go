// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"context"
	"crypto/ed25519"
	"errors"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.uber.org/goleak"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" {
		child() // never returns
	}
	goleak.VerifyTestMain(m, natstest.Leaks()...)
}

// testKey is the cluster's order key in all tests.
var testKey = ed25519.NewKeyFromSeed([]byte(strings.Repeat("k", ed25519.SeedSize)))

func testVerify(message, signature []byte) error {
	if !ed25519.Verify(testKey.Public().(ed25519.PublicKey), message, signature) {
		return errors.New("wrong signature")
	}
	return nil
}

func testSign(message []byte) ([]byte, error) { return ed25519.Sign(testKey, message), nil }

// testConfig is that of a node that has nothing to start.
func testConfig(dir string) Config {
	return Config{StoreDir: dir, ClusterName: "bus", Verify: testVerify, Logger: slog.New(slog.DiscardHandler),
		Server: func(string, string, []*url.URL) (embeddednats.ServerConfig, error) {
			return embeddednats.ServerConfig{}, errors.New("no server in this test")
		}}
}

func MustOpen(t *testing.T, cfg Config) *Formation {
	t.Helper()
	f, err := Open(cfg)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

func MustClose(t *testing.T, f *Formation) {
	t.Helper()
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}

// order is one that matches the node as it is now.
func order(f *Formation, kind v1.OrderKind, name string) v1.Order {
	s := f.Status()
	o := v1.Order{Kind: kind, ClusterID: s.ClusterID, ServerName: name, DiskID: s.DiskID, Nonce: s.Nonce}
	if o.ClusterID == "" {
		o.ClusterID = "c1"
	}
	if kind == v1.OrderWipeAndJoin {
		o.Old = s.ServerName
	}
	return o
}

func take(f *Formation, o v1.Order) error {
	s, err := o.Sign(testSign)
	if err != nil {
		return err
	}
	return f.Take(s)
}

func MustTake(t *testing.T, f *Formation, o v1.Order) {
	t.Helper()
	if err := take(f, o); err != nil {
		t.Fatalf("order %s: %v", o.Kind, err)
	}
}

// ExpectCode takes an order that is to be refused, and must change nothing.
func ExpectCode(t *testing.T, f *Formation, o v1.Order, code string) {
	t.Helper()
	before := f.Status()
	err := take(f, o)
	var refused *v1.Error
	if !errors.As(err, &refused) || refused.Code != code {
		t.Errorf("order %s of %s: %v, want code %s", o.Kind, o.ServerName, err, code)
	}
	after := f.Status()
	before.Meta, after.Meta = nil, nil // it changes by itself
	if d := cmp.Diff(before, after); d != "" {
		t.Errorf("a refused order changed the node (-before +after):\n%s", d)
	}
}

func ExpectRefused(t *testing.T, err error, words ...string) {
	t.Helper()
	if !errors.Is(err, ErrRefused) || !strings.Contains(err.Error(), "remedy: ") {
		t.Errorf("%v, want it refused with a remedy", err)
		return
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("%v: does not say %q", err, w)
		}
	}
}

// ExpectOpenRefused opens a folder that is to be refused, and must be left as it is.
func ExpectOpenRefused(t *testing.T, cfg Config, words ...string) {
	t.Helper()
	before := files(t, cfg.StoreDir)
	f, err := Open(cfg)
	if err == nil {
		MustClose(t, f)
	}
	ExpectRefused(t, err, words...)
	ExpectFiles(t, cfg.StoreDir, before)
}

// files returns what a folder holds, but for the lock.
func files(t *testing.T, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e os.DirEntry, err error) error {
		if err != nil || e.IsDir() || e.Name() == lockFile {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func ExpectFiles(t *testing.T, dir string, want map[string]string) {
	t.Helper()
	got := files(t, dir)
	for name := range want {
		if got[name] != want[name] {
			t.Errorf("%s was changed or lost", name)
		}
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("%s was added", name)
		}
	}
}

// MustWriteFile writes a file of a store folder that is made if need be.
func MustWriteFile(t *testing.T, content string, elem ...string) {
	t.Helper()
	path := filepath.Join(elem...)
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// MustStore makes what a JetStream store of a cluster looks like from outside.
func MustStore(t *testing.T, dir string) {
	t.Helper()
	MustWriteFile(t, "peers", dir, storeDir, "SYS", "_js_", "_meta_", "peers.idx")
	MustWriteFile(t, "a message", dir, storeDir, "HISTORY", "streams", "S", "msgs", "1.blk")
}

// MustMember makes a disk of the server a-1 in the cluster c1, with a store, and returns it opened.
func MustMember(t *testing.T, cfg Config) *Formation {
	t.Helper()
	f := MustOpen(t, cfg)
	MustTake(t, f, order(f, v1.OrderJoin, "a-1"))
	MustStore(t, cfg.StoreDir)
	if err := f.advance("c1", stateComplete); err != nil {
		t.Fatal(err)
	}
	return f
}

// waitLimit is how long a condition may take. It judges that something happens at all, on a slow machine, not when.
const waitLimit = 90 * time.Second

// ExpectSoon polls until the condition holds.
func ExpectSoon(t *testing.T, what string, cond func() bool) {
	t.Helper()
	deadline := time.Now().Add(waitLimit)
	for !cond() {
		if time.Now().After(deadline) {
			t.Fatalf("not within %v: %s", waitLimit, what)
		}
		<-time.After(10 * time.Millisecond)
	}
}

// MustRun runs a node until the returned function is called, or the test ends. The function returns Run's error.
func MustRun(t *testing.T, f *Formation) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- f.Run(ctx) }()
	stop = sync.OnceValue(func() error {
		cancel()
		return <-ended
	})
	t.Cleanup(func() { _ = stop() })
	return stop
}
