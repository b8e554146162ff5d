// SPDX-License-Identifier: Apache-2.0

// Package image makes container images without a container engine: one program, the certificates of public authorities,
// and nothing else.
package image

import (
	"archive/tar"
	"bytes"
	"debug/elf"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

const (
	authorities = "/etc/ssl/certs/ca-certificates.crt"
	// user is "nonroot", as images without a distribution have it.
	user = "65532:65532"
)

// Build returns the image of a program. The same program and the same certificates make the same image.
func Build(binary string) (v1.Image, error) {
	if err := static(binary); err != nil {
		return nil, err
	}
	program := "/" + filepath.Base(binary)
	layer, err := files(map[string]string{program: binary, authorities: authorities})
	if err != nil {
		return nil, err
	}
	content, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(layer)), nil
	}, tarball.WithMediaType(types.OCILayer))
	if err != nil {
		return nil, err
	}
	image := mutate.ConfigMediaType(mutate.MediaType(empty.Image, types.OCIManifestSchema1), types.OCIConfigJSON)
	if image, err = mutate.AppendLayers(image, content); err != nil {
		return nil, err
	}
	config, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", runtime.GOARCH
	config.Created = v1.Time{Time: time.Unix(0, 0).UTC()}
	config.Config = v1.Config{User: user, WorkingDir: "/", Entrypoint: []string{program}, Env: []string{"PATH=/"}}
	return mutate.ConfigFile(image, config)
}

// static refuses a program that could not start: there is nothing in the image to link it with.
func static(binary string) error {
	program, err := elf.Open(binary)
	if err != nil {
		return nil // no program, or not there: whoever reads it tells
	}
	defer func() { _ = program.Close() }()
	for _, part := range program.Progs {
		if part.Type == elf.PT_INTERP {
			return fmt.Errorf("%s is linked dynamically: build it with CGO_ENABLED=0", binary)
		}
	}
	return nil
}

// files returns a tar of files, by the name that they have in it: root's, readable by all, without times.
func files(named map[string]string) ([]byte, error) {
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, at := range slices.Sorted(maps.Keys(named)) {
		from := named[at]
		text, err := os.ReadFile(from)
		if err != nil {
			if from == authorities {
				return nil, fmt.Errorf("%w (install ca-certificates)", err)
			}
			return nil, err
		}
		for _, dir := range parents(at) {
			if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755, ModTime: time.Unix(0, 0)}); err != nil {
				return nil, err
			}
		}
		mode := int64(0o644)
		if from != authorities {
			mode = 0o755
		}
		if err := w.WriteHeader(&tar.Header{Name: at[1:], Mode: mode, Size: int64(len(text)), ModTime: time.Unix(0, 0)}); err != nil {
			return nil, err
		}
		if _, err := w.Write(text); err != nil {
			return nil, err
		}
	}
	return out.Bytes(), w.Close()
}

// parents returns the folders of a path, the outermost first.
func parents(path string) []string {
	var all []string
	for i, c := range path[1:] {
		if c == '/' {
			all = append(all, path[1:i+1])
		}
	}
	return all
}

// Write writes an image as a tar of an OCI layout that bears its tag.
func Write(out io.Writer, image v1.Image, tag string) error {
	full, err := name.NewTag(tag)
	if err != nil {
		return fmt.Errorf("tag %q: %w (one looks like unibus/membershipd:dev)", tag, err)
	}
	dir, err := os.MkdirTemp("", "devcluster-image-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	made, err := layout.Write(dir, empty.Index)
	if err != nil {
		return err
	}
	reference := strings.Replace(full.Name(), "index.docker.io/", "docker.io/", 1)
	err = made.AppendImage(image, layout.WithAnnotations(map[string]string{
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
