// SPDX-License-Identifier: Apache-2.0

package client_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/nats-io/nkeys"

	"github.com/unibus/unibus/api/client"
	"github.com/unibus/unibus/internal/contexts"
)

// TestLoadContext: what unibus writes is read as unibus reads it.
func TestLoadContext(t *testing.T) {
	dir := t.TempDir()
	path, key := filepath.Join(dir, "contexts.json"), filepath.Join(dir, "ann.nk")
	pair, err := nkeys.CreateUser()
	must(t, err)
	seed, err := pair.Seed()
	must(t, err)
	must(t, os.WriteFile(key, seed, 0o600))
	t.Setenv("UNIBUS_CONTEXTS", path)
	t.Setenv("UNIBUS_CONTEXT", "")
	expect(t, "no file", "", client.ErrNotFound)
	home := contexts.Context{Servers: []string{"nats://a:4222", "nats://b:4222"}, API: "https://a:8223,https://b:8223", CA: "/ca.crt", Key: key, ClusterID: "abc"}
	work := contexts.Context{API: "https://work.example", Key: key}
	must(t, contexts.Update(t.Context(), path, func(f *contexts.File) error { return errors.Join(f.Add("home", home), f.Add("work", work)) }))

	same := func(name string, want contexts.Context) {
		t.Helper()
		got, err := client.LoadContext(name)
		must(t, err)
		public, err := got.Key.PublicKey()
		must(t, err)
		if own, err := pair.PublicKey(); err != nil || public != own {
			t.Errorf("context %q has the key %s", name, public)
		}
		key, o := cmp.FilterPath(func(p cmp.Path) bool { return p.String() == "Key" }, cmp.Ignore()), want.Options()
		if diff := cmp.Diff(o, got, key); diff != "" {
			t.Errorf("context %q: %s", name, diff)
		}
	}
	same("home", home)
	same("work", work)
	same("", home)
	t.Setenv("UNIBUS_CONTEXT", "work")
	same("", work)
	same("home", home)
	expect(t, "no such context", "elsewhere", client.ErrNotFound)
	t.Setenv("UNIBUS_CONTEXT", "")
	must(t, contexts.Update(t.Context(), path, func(f *contexts.File) error { f.Current = ""; return nil }))
	expect(t, "none is the current one", "", client.ErrNotFound)
	for _, mode := range []os.FileMode{0o620, 0o602} {
		must(t, os.Chmod(path, mode))
		expect(t, "others may write", "home", client.ErrInvalid)
	}
	must(t, os.Chmod(path, 0o644))
	same("home", home)
	for what, content := range map[string]string{
		"half a file": "{", "more than contexts": `{"contexts":{},"more":1}`, "one that can't be used": `{"contexts":{"home":{"key":"k"}}}`,
		"a name for a terminal": `{"contexts":{"\u001b[2J":{"api":"x","key":"k"}}}`, "a seed": `{"contexts":{"home":{"api":"x","key":"` + string(seed) + `"}}}`,
		"too large": strings.Repeat(" ", 1<<20) + "{}",
	} {
		must(t, os.WriteFile(path, []byte(content), 0o600))
		expect(t, what, "home", client.ErrInvalid)
	}
	link := filepath.Join(dir, "link")
	must(t, os.Symlink(path, link))
	t.Setenv("UNIBUS_CONTEXTS", link)
	must(t, os.Remove(path))
	expect(t, "a link that leads nowhere", "home", client.ErrInvalid)
	t.Setenv("UNIBUS_CONTEXTS", dir)
	expect(t, "a folder", "home", syscall.EISDIR)

	// The file is where unibus keeps it.
	t.Setenv("UNIBUS_CONTEXTS", "")
	t.Setenv("XDG_CONFIG_HOME", dir)
	if path, err = contexts.Path(); err != nil {
		t.Fatal(err)
	}
	must(t, contexts.Update(t.Context(), path, func(f *contexts.File) error { return f.Add("home", home) }))
	same("home", home)
}

func must(t *testing.T, err error) {
	if t.Helper(); err != nil {
		t.Fatal(err)
	}
}

func expect(t *testing.T, what, name string, want error) {
	t.Helper()
	_, err := client.LoadContext(name)
	if !errors.Is(err, want) || strings.Contains(err.Error(), "SU") {
		t.Errorf("%s: %v, want %v", what, err, want)
	}
}
