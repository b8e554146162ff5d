// SPDX-License-Identifier: Apache-2.0

package cluster

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/unibus/unibus/hack/devcluster/internal/build"
	"github.com/unibus/unibus/hack/devcluster/internal/network"
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

// What is mounted in the cluster's folder goes, whatever its name; its neighbour's stays.
func TestUnmountBelow(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root mounts")
	}
	dir := t.TempDir()
	inner, neighbour := filepath.Join(dir, "a", "with space"), filepath.Join(dir, "ab")
	mount := func(at string) {
		t.Helper()
		if err := errors.Join(os.MkdirAll(at, 0o755), unix.Mount("tmpfs", at, "tmpfs", 0, "")); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = unix.Unmount(at, unix.MNT_DETACH) })
	}
	mount(neighbour)
	mount(inner)
	mount(filepath.Join(inner, "deeper"))
	if err := unmountBelow(filepath.Join(dir, "a")); err != nil {
		t.Fatal(err)
	}
	left, err := mountinfo.GetMounts(mountinfo.PrefixFilter(dir))
	if err != nil || len(left) != 1 || left[0].Mountpoint != neighbour {
		t.Errorf("got %v, %v: want what is mounted at %s", left, err, neighbour)
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

// What is in the cgroup is killed by down: another cache may have a cluster of the same name.
func TestCgroupIsTheFolders(t *testing.T) {
	seen := map[string]bool{}
	for range 2 {
		c, err := Open(t.TempDir(), "a")
		if err != nil {
			t.Fatal(err)
		}
		seen[c.cgroup()] = true
	}
	if len(seen) != 2 {
		t.Errorf("two clusters have the cgroups %v", seen)
	}
}

func TestNodeDir(t *testing.T) {
	c := Cluster{Name: "a", Dir: "/d", Config: Config{Nodes: 3}}
	for n, want := range map[int]string{-1: "", 0: "/d/control", 3: "/d/node3", 4: ""} {
		if got, err := c.NodeDir(n); got != want || (err == nil) != (want != "") {
			t.Errorf("node %d: got %q, %v, want %q", n, got, err, want)
		}
	}
}

// A cluster that did not come up can be looked at, and its logs outlive it.
func TestWhatAFailedUpLeaves(t *testing.T) {
	cache := t.TempDir()
	made, err := Open(cache, "a")
	if err != nil {
		t.Fatal(err)
	}
	if err := made.NeedAny(); !errors.Is(err, ErrNothing) {
		t.Errorf("got %v, want ErrNothing", err)
	}
	made.Config.Nodes, made.Tools = 1, build.Tools{"components": "/tools"}
	if err := errors.Join(made.save(), write(made.path("node1", "log", "kubelet.log"), "why")); err != nil {
		t.Fatal(err)
	}
	c, err := Open(cache, "a")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Log("kubelet"); err != nil || !errors.Is(c.NeedUp(), ErrNotUp) || c.Tools.Path("kubectl") != "/tools/kubectl" {
		t.Errorf("log: %v, up: %v, tools: %v", err, c.NeedUp(), c.Tools)
	}
	if err := c.keepLogs(); err != nil {
		t.Fatal(err)
	}
	if text, err := os.ReadFile(filepath.Join(c.last(), "node1", "kubelet.log")); err != nil || string(text) != "why" {
		t.Errorf("got %q, %v", text, err)
	}
}

// Of two commands at a time the second goes on from what the first left, not from what it saw before it waited.
func TestHoldReadsTheConfigAnew(t *testing.T) {
	cache := t.TempDir()
	first, err := Open(cache, "a")
	if err != nil {
		t.Fatal(err)
	}
	second, err := Open(cache, "a")
	if err != nil {
		t.Fatal(err)
	}
	release, err := first.hold(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	first.Config.Cuts = []network.Cut{network.NewCut(1, 2)}
	if err := first.save(); err != nil {
		t.Fatal(err)
	}
	release()
	if release, err = second.hold(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer release()
	if diff := cmp.Diff(first.Config, second.Config); diff != "" {
		t.Error(diff)
	}
}
