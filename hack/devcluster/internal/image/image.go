// SPDX-License-Identifier: Apache-2.0

// Package image makes container images without a container engine: one program, for one or more architectures, public CAs, and nothing else.
package image

import (
	"archive/tar"
	"bytes"
	"context"
	"debug/elf"
	"encoding/pem"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
	"golang.org/x/crypto/x509roots/fallback/bundle"
)

// user is "nonroot", as images without a distribution have it.
const user = "65532:65532"

// Build returns the image of a program, given as a binary for each architecture. The same binaries make the same image, wherever.
func Build(binaries ...string) (v1.ImageIndex, error) {
	index := mutate.IndexMediaType(empty.Index, types.OCIImageIndex)
	by := map[string]string{} // architecture
	for _, binary := range binaries {
		image, platform, err := of(binary)
		if err != nil {
			return nil, err
		}
		if other := by[platform.Architecture]; other != "" {
			return nil, fmt.Errorf("%s and %s are both for %s: an image has one program of each architecture", other, binary, platform.Architecture)
		}
		by[platform.Architecture] = binary
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: &platform}})
	}
	return index, nil
}

// of returns the image of one binary.
func of(binary string) (v1.Image, v1.Platform, error) {
	platform := v1.Platform{OS: "linux"}
	var err error
	if platform.Architecture, err = architecture(binary); err != nil {
		return nil, platform, err
	}
	layer, err := archive(binary)
	if err != nil {
		return nil, platform, err
	}
	content, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layer)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, platform, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, content); err != nil {
		return nil, platform, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, platform, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = platform.OS, platform.Architecture
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config = v1.Config{User: user, WorkingDir: "/", Entrypoint: []string{"/" + filepath.Base(binary)}, Env: []string{"PATH=/"}}
	image, err = mutate.ConfigFile(image, config)
	return image, platform, err
}

// architecture tells what a program runs on, and refuses one that could not start: there is nothing in the image to link it with, or to
// interpret it.
func architecture(binary string) (string, error) {
	program, err := elf.Open(binary)
	if err != nil {
		return "", fmt.Errorf("%s is no program for Linux: %w", binary, err)
	}
	defer func() { _ = program.Close() }()
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP {
			return "", fmt.Errorf("%s is linked dynamically: build it with CGO_ENABLED=0", binary)
		}
	}
	switch program.Machine {
	case elf.EM_X86_64:
		return "amd64", nil
	case elf.EM_AARCH64:
		return "arm64", nil
	}
	return "", fmt.Errorf("%s is for %s: images are made for amd64 and arm64", binary, program.Machine)
}

// authorities is where Go looks first for the CAs that it trusts.
const authorities = "etc/ssl/certs/ca-certificates.crt"

// archive returns a tar of a program and of public CAs: root's, run and read by all, without times.
func archive(binary string) ([]byte, error) {
	text, err := os.ReadFile(binary)
	if err != nil {
		return nil, err
	}
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, file := range []struct {
		name string
		mode int64
		text []byte
	}{{filepath.Base(binary), 0o755, text}, {authorities, 0o644, roots()}} {
		if err := w.WriteHeader(&tar.Header{Name: file.name, Mode: file.mode, Size: int64(len(file.text)), ModTime: time.Unix(0, 0)}); err != nil {
			return nil, err
		}
		if _, err := w.Write(file.text); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), w.Close()
}

// roots returns Mozilla's CAs as the Go project keeps them, of the version in go.mod: this machine's own would make another image elsewhere.
// Those are left out that Mozilla trusts with a reservation, which a file of certificates can't hold.
func roots() []byte {
	var out bytes.Buffer
	for root := range bundle.Roots() {
		if root.Constraint == nil {
			out.Write(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: root.Certificate}))
		}
	}
	return out.Bytes()
}

// Push puts an image into the registry that its tag names, with what docker login has left as credentials.
func Push(ctx context.Context, image v1.ImageIndex, tag string) error {
	full, err := parse(tag)
	if err != nil {
		return err
	}
	if err := remote.WriteIndex(full, image, remote.WithAuthFromKeychain(authn.DefaultKeychain), remote.WithContext(ctx)); err != nil {
		return fmt.Errorf("push %s: %w", tag, err)
	}
	return nil
}

func parse(tag string) (name.Tag, error) {
	full, err := name.NewTag(tag)
	if err != nil {
		return full, fmt.Errorf("tag %q: %w (one looks like unibus/membershipd:dev)", tag, err)
	}
	return full, nil
}

// Write writes an image as a tar of an OCI layout that bears its tag, by way of a folder within the one that is named.
func Write(out io.Writer, within string, image v1.ImageIndex, tag string) error {
	full, err := parse(tag)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp(within, "image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	made, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	reference := strings.Replace(full.Name(), "index.docker.io/", "docker.io/", 1)
	err = made.AppendIndex(image, layout.WithAnnotations(map[string]string{
		"io.containerd.image.name":          reference,
		"org.opencontainers.image.ref.name": full.TagStr(),
	}))
	if err != nil {
		return err
	}
	w := tar.NewWriter(out)
	err = fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		text, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			return err
		}
		if err := w.WriteHeader(&tar.Header{Name: path, Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(0, 0)}); err != nil {
			return err
		}
		_, err = w.Write(text)
		return err
	})
	if err != nil {
		return err
	}
	return w.Close()
}
