// SPDX-License-Identifier: Apache-2.0

package main

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
)

// archive is as much of tar as `kubectl cp` asks for: `tar cf - FILE` and `tar xmf - [-C FOLDER]`, of plain files.
func archive(args []string) error {
	if len(args) < 2 || args[1] != "-" {
		return fmt.Errorf("tar %v: want cf - or xmf -", args)
	}
	folder := "."
	files := args[2:]
	if len(files) == 2 && files[0] == "-C" {
		folder, files = files[1], nil
	}
	if strings.HasPrefix(strings.TrimPrefix(args[0], "-"), "x") {
		return extract(os.Stdin, folder)
	}
	return pack(os.Stdout, files)
}

func pack(to io.Writer, files []string) error {
	w := tar.NewWriter(to)
	for _, path := range files {
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		header := &tar.Header{Name: strings.TrimPrefix(path, "/"), Mode: 0o644, Size: int64(len(content))}
		if err := w.WriteHeader(header); err != nil {
			return err
		}
		if _, err := w.Write(content); err != nil {
			return err
		}
	}
	return w.Close()
}

func extract(from io.Reader, folder string) error {
	for r := tar.NewReader(from); ; {
		header, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if header.Typeflag != tar.TypeReg {
			continue
		}
		content, err := io.ReadAll(r)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, filepath.Clean("/"+header.Name)), content, 0o644); err != nil {
			return err
		}
	}
}
