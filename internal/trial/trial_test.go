// SPDX-License-Identifier: Apache-2.0

package trial

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unibus/unibus/api/client"
	"github.com/unibus/unibus/internal/contexts"
)

// TestKeysStay: a key is made once, whoever starts at the same time.
func TestKeysStay(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "dev")
	found := make(chan *Trial, 4)
	for range cap(found) {
		go func() {
			x, err := Open(t.Context(), dir)
			if err != nil {
				t.Error(err)
			}
			found <- x
		}()
	}
	first := <-found
	for range cap(found) - 1 {
		if x := <-found; *x != *first {
			t.Errorf("%+v, %+v", x, first)
		}
	}
	if key, err := client.SeedFile(filepath.Join(dir, "dev-guest.nk")).PublicKey(); err != nil || key != first.guestKey {
		t.Errorf("%s, %v, want %s", key, err, first.guestKey)
	}
	if err := os.Chmod(filepath.Join(dir, "dev-admin.nk"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), dir); err == nil {
		t.Error("a key that others may read is taken")
	}
}

// names are the files of a folder.
func names(t *testing.T, dir string) (all []string) {
	t.Helper()
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		all = append(all, f.Name())
	}
	return all
}

// TestOtherFolders: what has something else is refused and left as it is; what a start left that was ended early is not.
func TestOtherFolders(t *testing.T) {
	for name, tt := range map[string]struct {
		files []string
		good  bool
	}{
		"a node":           {files: []string{"disk-id", "identity.json", "lock"}},
		"a node with lock": {files: []string{lockFile, "disk-id"}},
		"a lock":           {files: []string{lockFile}, good: true},
		"half a key":       {files: []string{lockFile, "dev-admin.nk.new"}, good: true},
	} {
		dir := t.TempDir()
		for _, file := range tt.files {
			if err := os.WriteFile(filepath.Join(dir, file), nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		before := names(t, dir)
		_, err := Open(t.Context(), dir)
		if tt.good {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		if err == nil || !strings.Contains(err.Error(), "choose another --store-dir") {
			t.Errorf("%s: %v", name, err)
		}
		if diff := cmp.Diff(before, names(t, dir)); diff != "" {
			t.Errorf("%s is changed, -before +after:\n%s", name, diff)
		}
	}
}

// TestSlowStart: a node that takes long to start still has its minute from then on.
func TestSlowStart(t *testing.T) {
	dir := t.TempDir()
	x, err := Open(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		began, runs := time.Now(), time.Time{}
		server := func() string {
			if time.Since(began) < 2*furnishLimit {
				return ""
			}
			if runs.IsZero() {
				runs = time.Now()
			}
			return "nats://127.0.0.1:1"
		}
		_, err := x.Furnish(t.Context(), "http://127.0.0.1:1", "unibus", server) // where nobody listens
		if got := time.Since(runs); err == nil || runs.IsZero() || got < furnishLimit {
			t.Errorf("given up %v after it ran (%v): %v", got, runs, err)
		}
	})
}

// TestContextsInTheWay: those of a trial whose folder is gone are taken over, one that may be in use is not, and is told.
func TestContextsInTheWay(t *testing.T) {
	there := filepath.Join(t.TempDir(), "dev-guest.nk")
	if err := os.WriteFile(there, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for key, taken := range map[string]bool{"/gone/dev-guest.nk": true, there: false, "/gone/mine.nk": false, "dev-guest.nk": false} {
		dir, own := t.TempDir(), filepath.Join(t.TempDir(), "contexts.json")
		t.Setenv(contexts.EnvFile, own)
		c := contexts.Context{API: "http://127.0.0.1:1", Key: key}
		if err := contexts.Update(t.Context(), own, func(f *contexts.File) error { return f.Add(Guest, c) }); err != nil {
			t.Fatal(err)
		}
		x := &Trial{dir: dir}
		lines, err := x.remember(t.Context(), c, "unibus")
		if err != nil {
			t.Fatal(err)
		}
		var said strings.Builder
		if err := x.Tell(&said, lines); err != nil {
			t.Fatal(err)
		}
		f, err := contexts.Load(own)
		if err != nil {
			t.Fatal(err)
		}
		told := strings.Contains(said.String(), "there is a context dev-guest already, whose key is "+key)
		if got := f.Contexts[Guest].Key == x.seed(Guest); got != taken || told == taken {
			t.Errorf("key %s: taken over %v, want %v\n%s", key, got, taken, &said)
		}
	}
}
