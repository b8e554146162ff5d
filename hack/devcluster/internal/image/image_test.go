// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
)

func mustProgram(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// mustBuild returns the digest of a program's image, and the whole tar.
func mustBuild(t *testing.T, program string) (string, []byte) {
	t.Helper()
	made, err := Build(program)
	if err != nil {
		t.Fatal(err)
	}
	digest, err := made.Digest()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := Write(&out, made, "unibus/program:dev"); err != nil {
		t.Fatal(err)
	}
	return digest.String(), out.Bytes()
}

func TestSameProgramSameImage(t *testing.T) {
	one, other := mustProgram(t, "one"), mustProgram(t, "one")
	if err := os.Chtimes(other, time.Unix(1, 0), time.Unix(1, 0)); err != nil {
		t.Fatal(err)
	}
	digest, text := mustBuild(t, one)
	again, textAgain := mustBuild(t, other)
	if digest != again || !bytes.Equal(text, textAgain) {
		t.Errorf("digests %s and %s of the same program", digest, again)
	}
	if third, _ := mustBuild(t, mustProgram(t, "two")); third == digest {
		t.Error("another program has the same digest")
	}
}

func TestNothingButTheProgramAndCertificates(t *testing.T) {
	made, err := Build(mustProgram(t, "one"))
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]int64{}
	for r := tar.NewReader(mutate.Extract(made)); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		got[h.Name] = h.Mode
	}
	want := map[string]int64{"program": 0o755, "etc": 0o755, "etc/ssl": 0o755, "etc/ssl/certs": 0o755, "etc/ssl/certs/ca-certificates.crt": 0o644}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	config, err := made.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	if config.Config.User != "65532:65532" {
		t.Errorf("user %q", config.Config.User)
	}
}

func TestWriteRefusesATagThatIsNone(t *testing.T) {
	made, err := Build(mustProgram(t, "one"))
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(io.Discard, made, "No Tag"); err == nil {
		t.Error("no error")
	}
}

func TestBuildRefusesWhatCouldNotStart(t *testing.T) {
	if _, err := Build("/bin/sh"); err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=0") {
		t.Errorf("got %v, want the remedy", err)
	}
}
