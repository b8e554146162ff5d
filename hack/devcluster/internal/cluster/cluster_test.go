// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestOpenRefuses(t *testing.T) {
	for _, name := range []string{"", "..", "a/b", "A", "a.b", "-a", "a-", strings.Repeat("a", 21)} {
		if _, err := Open(t.TempDir(), name); err == nil {
			t.Errorf("name %q: no error", name)
		}
	}
	// Nodes have a /var/lib of their own: they would not see their files.
	if _, err := Open("/var/lib/cache", "a"); err == nil {
		t.Error("a cache below /var/lib: no error")
	}
	c, err := Open(t.TempDir(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.NeedUp(); !errors.Is(err, ErrNotUp) {
		t.Errorf("got %v, want ErrNotUp", err)
	}
}

// A config that was cut short is that of a cluster that is half made.
func TestOpenHalfMade(t *testing.T) {
	cache := t.TempDir()
	c, err := Open(cache, "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := write(c.path("config.json"), `{"nodes": 3, "complete"`); err != nil {
		t.Fatal(err)
	}
	if c, err = Open(cache, "a"); err != nil || c.Config.Complete {
		t.Errorf("got %+v, %v", c.Config, err)
	}
}

func TestMountsBelow(t *testing.T) {
	info := `22 1 254:0 / / rw - ext4 /dev/vda rw
40 22 0:50 / /cache/run/a/volumes/v1 rw - xfs /dev/loop0 rw
41 22 0:51 / /cache/run/ab rw - tmpfs tmpfs rw
42 40 0:52 / /cache/run/a/volumes/v1/x rw - tmpfs tmpfs rw
`
	want := []string{"/cache/run/a/volumes/v1", "/cache/run/a/volumes/v1/x"}
	if diff := cmp.Diff(want, mountsBelow(info, "/cache/run/a")); diff != "" {
		t.Error(diff)
	}
}

// Every file that a machine reads can be written, with all that is asked for in it.
func TestFiles(t *testing.T) {
	c, err := Open(t.TempDir(), "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.writeNode(1); err != nil {
		t.Error(err)
	}
}
