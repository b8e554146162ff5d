// SPDX-License-Identifier: Apache-2.0

package contexts

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/pflag"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var home = Context{Servers: []string{"nats://127.0.0.1:4222"}, API: "http://127.0.0.1:8223", Key: "/home/ann/ann.nk", ClusterID: "abc"}

// TestTwoWriters: none of many who add contexts at the same time loses what another added.
func TestTwoWriters(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "contexts.json")
	var all sync.WaitGroup
	for i := range 20 {
		all.Go(func() {
			if err := Update(t.Context(), path, func(f *File) error { return f.Add(fmt.Sprint("bus-", i), home) }); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	f, err := Load(path)
	if err != nil || len(f.Contexts) != 20 || f.Current == "" {
		t.Errorf("%d contexts, current %q, %v", len(f.Contexts), f.Current, err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
}

// TestNothingIsWrittenOnFailure: a change that fails leaves the file as it was.
func TestNothingIsWrittenOnFailure(t *testing.T) {
	path := filepath.Join(t.TempDir(), "contexts.json")
	for name, want := range map[string]string{"a b": "letters", "-x": "letters", "": "letters", "twice": "already"} {
		err := Update(t.Context(), path, func(f *File) error { return errors.Join(f.Add("twice", home), f.Add(name, home)) })
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", name, err, want)
		}
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file was written: %v", err)
	}
}

// TestLinkedFile: who keeps the file elsewhere and a link in its place keeps both; a file that is out of reach is not taken for none.
func TestLinkedFile(t *testing.T) {
	dir, there := t.TempDir(), t.TempDir()
	link, path := filepath.Join(dir, "contexts.json"), filepath.Join(there, "mine.json")
	if err := os.Symlink(path, link); err != nil {
		t.Fatal(err)
	}
	add := func(name string) error {
		return Update(t.Context(), link, func(f *File) error { return f.Add(name, home) })
	}
	if _, err := Load(link); err == nil || !strings.Contains(err.Error(), "leads nowhere") {
		t.Errorf("what is out of reach: %v", err)
	}
	if err := add("one"); err == nil || !strings.Contains(err.Error(), "leads nowhere") {
		t.Errorf("what is out of reach: %v", err)
	}
	if err := Update(t.Context(), path, func(f *File) error { return f.Add("one", home) }); err != nil {
		t.Fatal(err)
	}
	if err := add("two"); err != nil {
		t.Fatal(err)
	}
	if f, err := Load(path); err != nil || len(f.Contexts) != 2 {
		t.Errorf("%v, %v", f.Names(), err)
	}
	if names, err := os.ReadDir(dir); err != nil || len(names) != 1 || names[0].Type()&os.ModeSymlink == 0 {
		t.Errorf("where the link was: %v, %v", names, err)
	}
}

func TestCurrentContext(t *testing.T) {
	f := File{Contexts: map[string]Context{}}
	step := func(err error) {
		if err != nil {
			t.Fatal(err)
		}
	}
	if _, err := f.Get(""); err == nil || !strings.Contains(err.Error(), "unibus context add") {
		t.Errorf("of none: %v", err)
	}
	step(f.Add("one", home))
	step(f.Add("two", home))
	if f.Current != "one" {
		t.Errorf("the first is not the current one: %q", f.Current)
	}
	step(f.Use("two"))
	step(f.Remove("two"))
	if _, err := f.Get(""); err == nil || !strings.Contains(err.Error(), "unibus context use") {
		t.Errorf("the current one is removed: %v", err)
	}
	if err := f.Use("two"); err == nil || !strings.Contains(err.Error(), `no context "two"`) {
		t.Errorf("one that was removed: %v", err)
	}
}

// TestOthersMayNotWrite: who may write the file says where keys are used.
func TestOthersMayNotWrite(t *testing.T) {
	path := filepath.Join(t.TempDir(), "contexts.json")
	if err := Update(t.Context(), path, func(f *File) error { return f.Add("home", home) }); err != nil {
		t.Fatal(err)
	}
	for mode, good := range map[os.FileMode]bool{0o600: true, 0o644: true, 0o664: false, 0o622: false} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); good != (err == nil) || err != nil && (!errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), "chmod 600")) {
			t.Errorf("mode %04o: %v", mode, err)
		}
	}
}

func TestDamagedFiles(t *testing.T) {
	path := filepath.Join(t.TempDir(), "contexts.json")
	for _, content := range []string{"", "{", "[]", "null x", `{"contexts":{"a":{"key":"k"}}}`, `{"contexts":{"a":{"key":"","api":"x"}}}`, `{"current":"b"}`,
		`{"contexts":{"a b":{"key":"k","api":"x"}}}`, `{"more":1}`, `{"contexts":{"a":{"key":"k\u001b","api":"x"}}}`, strings.Repeat(" ", 1<<20+1)} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(path); !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
			t.Errorf("%.40q: %v", content, err)
		}
		if err := Update(t.Context(), path, func(f *File) error { return f.Add("new", home) }); !errors.Is(err, ErrDamaged) {
			t.Errorf("%.40q is written over: %v", content, err)
		}
	}
}

// TestResolve: a flag beats the environment, which beats the context; without any of them it is said what is missing.
func TestResolve(t *testing.T) {
	t.Setenv(EnvFile, filepath.Join(t.TempDir(), "contexts.json"))
	resolve := func(args ...string) (Context, string, error) {
		var f Flags
		set := pflag.NewFlagSet("", pflag.ContinueOnError)
		f.Add(set)
		if err := set.Parse(args); err != nil {
			t.Fatal(err)
		}
		return f.Resolve()
	}
	if _, _, err := resolve(); err == nil || !strings.Contains(err.Error(), "unibus context add") {
		t.Errorf("with nothing: %v", err)
	}
	c, name, err := resolve("--server", "a,b", "--server", "c", "--key", "k")
	if d := cmp.Diff(Context{Servers: []string{"a", "b", "c"}, Key: "k"}, c); d != "" || name != "" || err != nil {
		t.Errorf("with flags only: %q %v\n%s", name, err, d)
	}
	if err := Update(t.Context(), os.Getenv(EnvFile), func(f *File) error { return errors.Join(f.Add("home", home), f.Add("work", home)) }); err != nil {
		t.Fatal(err)
	}
	want := home
	for _, s := range []struct {
		env, value string
		change     func()
	}{
		{"UNIBUS_SERVER", "x,y", func() { want.Servers = []string{"x", "y"} }}, {"UNIBUS_API", "api", func() { want.API = "api" }},
		{"UNIBUS_CA", "ca", func() { want.CA = "ca" }}, {"UNIBUS_KEY", "key", func() { want.Key = "key" }},
		{"UNIBUS_CLUSTER_ID", "id", func() { want.ClusterID = "id" }},
	} {
		t.Setenv(s.env, s.value)
		s.change()
		if c, name, err = resolve(); cmp.Diff(want, c) != "" || name != "home" || err != nil {
			t.Errorf("with %s: %q %v\n%s", s.env, name, err, cmp.Diff(want, c))
		}
	}
	t.Setenv("UNIBUS_CONTEXT", "work")
	c, name, err = resolve("--server", "s", "--api", "a", "--ca", "c", "--key", "k", "--cluster-id", "i")
	if d := cmp.Diff(Context{Servers: []string{"s"}, API: "a", CA: "c", Key: "k", ClusterID: "i"}, c); d != "" || name != "work" || err != nil {
		t.Errorf("with flags: %q %v\n%s", name, err, d)
	}
	if _, name, err = resolve("--context", "home"); name != "home" || err != nil {
		t.Errorf("--context home is %q, %v", name, err)
	}
	if _, _, err = resolve("--context", "nowhere"); err == nil {
		t.Error("--context nowhere")
	}
}
