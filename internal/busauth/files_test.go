// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unibus/unibus/internal/natstest"
)

// pki is one node's folder of certificate files.
type pki struct {
	dir   string
	files natstest.Files
}

func mustCA(t testing.TB, name string) *natstest.CA {
	t.Helper()
	ca, err := natstest.NewCA(name)
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

func mustLeafOf(t testing.TB, ca *natstest.CA, spec natstest.LeafSpec) *natstest.Leaf {
	t.Helper()
	if spec.Names == nil {
		spec.Names = []string{DefaultName}
	}
	l, err := ca.Issue(spec)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustPKI(t testing.TB, leaf *natstest.Leaf, cas ...*natstest.CA) *pki {
	t.Helper()
	p := &pki{dir: t.TempDir()}
	p.write(t, leaf, cas...)
	return p
}

// nodePKI is a good node's: a leaf of the CA, which it trusts.
func nodePKI(t testing.TB, ca *natstest.CA) *pki {
	t.Helper()
	return mustPKI(t, mustLeafOf(t, ca, natstest.LeafSpec{}), ca)
}

func (p *pki) write(t testing.TB, leaf *natstest.Leaf, cas ...*natstest.CA) {
	t.Helper()
	var err error
	if p.files, err = natstest.WriteFiles(p.dir, leaf, cas...); err != nil {
		t.Fatal(err)
	}
}

func (p *pki) config() FilesConfig {
	return FilesConfig{CertFile: p.files.Cert, KeyFile: p.files.Key, CAFile: p.files.CA}
}

func (p *pki) open(t testing.TB, change ...func(*FilesConfig)) *Files {
	t.Helper()
	c := p.config()
	for _, f := range change {
		f(&c)
	}
	files, err := NewFiles(c)
	if err != nil {
		t.Fatal(err)
	}
	return files
}

func mustWrite(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// text collects a log.
type text struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (w *text) Write(b []byte) (int, error) { w.mu.Lock(); defer w.mu.Unlock(); return w.buf.Write(b) }
func (w *text) String() string              { w.mu.Lock(); defer w.mu.Unlock(); return w.buf.String() }
func (w *text) logger() *slog.Logger        { return slog.New(slog.NewTextHandler(w, nil)) }

func TestNewFilesRefusesWhatIsBroken(t *testing.T) {
	ca := mustCA(t, "ca")
	one, two := mustLeafOf(t, ca, natstest.LeafSpec{}), mustLeafOf(t, ca, natstest.LeafSpec{})
	tests := []struct {
		name   string
		damage func(*pki, *FilesConfig)
		want   string
	}{
		{"no certificate configured", func(_ *pki, c *FilesConfig) { c.CertFile = "" }, "both a certificate file and a key file"},
		{"no key configured", func(_ *pki, c *FilesConfig) { c.KeyFile = "" }, "both a certificate file and a key file"},
		{"certificate file missing", func(p *pki, _ *FilesConfig) { os.Remove(p.files.Cert) }, "TLS certificate file: open"},
		{"key file missing", func(p *pki, _ *FilesConfig) { os.Remove(p.files.Key) }, "TLS key file: open"},
		{"CA file missing", func(p *pki, _ *FilesConfig) { os.Remove(p.files.CA) }, "TLS CA file: open"},
		{"half rotated", func(p *pki, _ *FilesConfig) { mustWrite(t, p.files.Key, two.KeyPEM) }, "half rotated?"},
		{"key cut off", func(p *pki, _ *FilesConfig) { mustWrite(t, p.files.Key, one.KeyPEM[:60]) }, "not a pair"},
		{"certificate garbled", func(p *pki, _ *FilesConfig) { mustWrite(t, p.files.Cert, []byte("hello")) }, "not a pair"},
		{"CA empty", func(p *pki, _ *FilesConfig) { mustWrite(t, p.files.CA, nil) }, "0 whole certificates"},
		{"CA cut off", func(p *pki, _ *FilesConfig) {
			mustWrite(t, p.files.CA, append(ca.PEM(), ca.PEM()[:len(ca.PEM())-40]...))
		}, "cut off"},
		{"leaf for CA", func(p *pki, _ *FilesConfig) { mustWrite(t, p.files.CA, one.CertPEM) }, "is not a CA's"},
		{"key for CA", func(p *pki, _ *FilesConfig) { mustWrite(t, p.files.CA, one.KeyPEM) }, "CA certificates only"},
		{"huge file", func(p *pki, _ *FilesConfig) { mustWrite(t, p.files.CA, make([]byte, maxFile+1)) }, "is it the right file?"},
		{"name with a star in the middle", func(_ *pki, c *FilesConfig) { c.Name = "a.*.b" }, "is not a DNS name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustPKI(t, one, ca)
			c := p.config()
			tt.damage(p, &c)
			_, err := NewFiles(c)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error %v, want one with %q", err, tt.want)
			}
		})
	}
}

// TestHalfRotatedKeepsTheLastGood: what can't be used changes nothing but the log and the metric, and once.
func TestHalfRotatedKeepsTheLastGood(t *testing.T) {
	ca, ca2 := mustCA(t, "ca"), mustCA(t, "ca2")
	one, two := mustLeafOf(t, ca, natstest.LeafSpec{}), mustLeafOf(t, ca2, natstest.LeafSpec{NotAfter: time.Now().Add(48 * time.Hour)})
	p := mustPKI(t, one, ca)
	log := &text{}
	f := p.open(t, func(c *FilesConfig) { c.Logger = log.logger() })
	expectPair := func(when string, want *natstest.Leaf) {
		t.Helper()
		if diff := cmp.Diff(want.TLS.Certificate, f.current().pair.Certificate); diff != "" {
			t.Errorf("%s: another certificate is in force", when)
		}
	}
	mustWrite(t, p.files.Cert, two.CertPEM)
	for range 3 {
		expectPair("half rotated", one)
	}
	if err := f.Problem(); err == nil || !strings.Contains(err.Error(), p.files.Key) {
		t.Errorf("half rotated: problem %v, want one that names %s", err, p.files.Key)
	}
	if n := strings.Count(log.String(), "level=WARN"); n != 1 {
		t.Errorf("half rotated: %d warnings, want 1:\n%s", n, log)
	}
	// The CA is taken over meanwhile: peers may have rotated already.
	p2 := natstest.Files{CA: p.files.CA}
	mustWrite(t, p2.CA, append(ca.PEM(), ca2.PEM()...))
	expectPair("half rotated, CA rotated", one)
	if n := len(f.current().cas); n != 2 {
		t.Errorf("%d CAs are trusted, want 2", n)
	}
	mustWrite(t, p.files.Key, two.KeyPEM)
	expectPair("rotated", two)
	if err := f.Problem(); err != nil {
		t.Errorf("rotated: problem %v", err)
	}
	if !strings.Contains(log.String(), "level=INFO msg=\"certificate files read anew\"") {
		t.Errorf("the rotation is not in the log:\n%s", log)
	}
	for what, path := range map[string]string{"certificate": p.files.Cert, "key": p.files.Key, "CA": p.files.CA} {
		if err := os.Rename(path, path+".away"); err != nil {
			t.Fatal(err)
		}
		expectPair(what+" file gone", two)
		if f.Problem() == nil {
			t.Errorf("%s file gone: no problem", what)
		}
		if err := os.Rename(path+".away", path); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Problem(); err != nil {
		t.Errorf("all files back: problem %v", err)
	}
}

// TestRotationOfAFolderBehindASymlink is how Kubernetes rotates a mounted secret.
func TestRotationOfAFolderBehindASymlink(t *testing.T) {
	ca := mustCA(t, "ca")
	dir := t.TempDir()
	link := filepath.Join(dir, "..data")
	use := func(p *pki) {
		if err := os.Symlink(p.dir, link+"_tmp"); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(link+"_tmp", link); err != nil {
			t.Fatal(err)
		}
	}
	one, two := mustLeafOf(t, ca, natstest.LeafSpec{}), mustLeafOf(t, ca, natstest.LeafSpec{})
	use(mustPKI(t, one, ca))
	at := func(name string) string { return filepath.Join(link, name) }
	f, err := NewFiles(FilesConfig{CertFile: at("tls.crt"), KeyFile: at("tls.key"), CAFile: at("ca.crt")})
	if err != nil {
		t.Fatal(err)
	}
	use(mustPKI(t, two, ca))
	if diff := cmp.Diff(two.TLS.Certificate, f.current().pair.Certificate); diff != "" {
		t.Error("the old certificate is still in force")
	}
}

func TestExpiry(t *testing.T) {
	ca, other := mustCA(t, "ca"), mustCA(t, "other")
	end := time.Now().Add(5 * time.Hour).UTC().Truncate(time.Second)
	leaf, until := mustPKI(t, mustLeafOf(t, ca, natstest.LeafSpec{NotAfter: end}), other, ca).open(t).Expiry()
	if !leaf.Equal(end) {
		t.Errorf("leaf ends at %v, want %v", leaf, end)
	}
	if d := time.Until(until); d < 23*time.Hour || d > 24*time.Hour {
		t.Errorf("CA ends in %v, want a day", d)
	}
	_, until = nodePKI(t, ca).open(t, func(c *FilesConfig) { c.CAFile = "" }).Expiry()
	if !until.IsZero() {
		t.Errorf("without a CA file the CA ends at %v", until)
	}
}
