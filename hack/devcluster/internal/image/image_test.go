// SPDX-License-Identifier: Apache-2.0

package image

import (
	"archive/tar"
	"bytes"
	"crypto/x509"
	"debug/elf"
	"encoding/binary"
	"errors"
	"io"
	"log"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/registry"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
)

func mustFile(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "program")
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

// mustProgram makes what begins as a program for amd64 does.
func mustProgram(t *testing.T, text string) string { return mustBinary(t, elf.EM_X86_64, text) }

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
	if err := Write(&out, t.TempDir(), made, "unibus/program:dev"); err != nil {
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

func TestTheProgramAndPublicCAs(t *testing.T) {
	made, platform, err := of(mustProgram(t, "one"))
	if err != nil {
		t.Fatal(err)
	}
	if platform.Architecture != "amd64" {
		t.Errorf("platform %s", platform)
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
		if h.Name == authorities {
			text, err := io.ReadAll(r)
			if pool := x509.NewCertPool(); err != nil || !pool.AppendCertsFromPEM(text) || bytes.Count(text, []byte("BEGIN CERTIFICATE")) < 100 {
				t.Errorf("%d bytes of CAs, %v", len(text), err)
			}
		}
	}
	want := map[string]int64{"program": 0o755, authorities: 0o644}
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
	if err := Write(io.Discard, t.TempDir(), made, "No Tag"); err == nil {
		t.Error("no error")
	}
}

func TestBuildRefusesWhatCouldNotStart(t *testing.T) {
	if _, err := Build(mustFile(t, "#!/bin/sh\n")); err == nil || !strings.Contains(err.Error(), "no program for Linux") {
		t.Errorf("got %v for a script", err)
	}
	if _, err := Build("/bin/sh"); err == nil || !strings.Contains(err.Error(), "CGO_ENABLED=0") {
		t.Errorf("got %v, want the remedy", err)
	}
}

// TestPush: one image for two architectures, in a registry by its tag, as it was made.
func TestPush(t *testing.T) {
	server := httptest.NewServer(registry.New(registry.Logger(log.New(io.Discard, "", 0))))
	defer server.Close()
	made, err := Build(mustBinary(t, elf.EM_X86_64, ""), mustBinary(t, elf.EM_AARCH64, ""))
	if err != nil {
		t.Fatal(err)
	}
	tag := strings.TrimPrefix(server.URL, "http://") + "/unibus/program:dev"
	if err := Push(t.Context(), made, tag); err != nil {
		t.Fatal(err)
	}
	full, err := parse(tag)
	if err != nil {
		t.Fatal(err)
	}
	pushed, err := remote.Index(full)
	if err != nil {
		t.Fatal(err)
	}
	want, err := made.Digest()
	if err != nil {
		t.Fatal(err)
	}
	if got, err := pushed.Digest(); err != nil || got != want {
		t.Errorf("pushed %s (%v), made %s", got, err, want)
	}
	for _, architecture := range []string{"amd64", "arm64"} {
		image, err := remote.Image(full, remote.WithPlatform(v1.Platform{OS: "linux", Architecture: architecture}))
		if err != nil {
			t.Fatal(err)
		}
		if config, err := image.ConfigFile(); err != nil || config.Architecture != architecture {
			t.Errorf("%s: got %+v (%v)", architecture, config, err)
		}
	}
	if err := Push(t.Context(), made, "No Tag"); err == nil {
		t.Error("no error")
	}
}

// mustBinary makes the head of a program for an architecture, and a text.
func mustBinary(t *testing.T, machine elf.Machine, text string) string {
	t.Helper()
	header := elf.Header64{Ident: [16]byte{0x7f, 'E', 'L', 'F', byte(elf.ELFCLASS64), byte(elf.ELFDATA2LSB), byte(elf.EV_CURRENT)},
		Type: uint16(elf.ET_EXEC), Machine: uint16(machine), Version: uint32(elf.EV_CURRENT), Ehsize: 64, Phentsize: 56, Shentsize: 64}
	var all bytes.Buffer
	if err := binary.Write(&all, binary.LittleEndian, header); err != nil {
		t.Fatal(err)
	}
	return mustFile(t, all.String()+text)
}

func TestBuildRefusesArchitectures(t *testing.T) {
	if _, err := Build(mustBinary(t, elf.EM_RISCV, "")); err == nil || !strings.Contains(err.Error(), "EM_RISCV") {
		t.Errorf("got %v", err)
	}
	if _, err := Build(mustBinary(t, elf.EM_X86_64, "one"), mustBinary(t, elf.EM_X86_64, "other")); err == nil || !strings.Contains(err.Error(), "both for amd64") {
		t.Errorf("two for one: got %v", err)
	}
}
