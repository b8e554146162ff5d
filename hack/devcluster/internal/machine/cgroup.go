// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"
)

const cgroups = "/sys/fs/cgroup"

// hierarchy is one of cgroup v1, or the one of v2.
type hierarchy struct {
	path    string
	kind    string // file system type: cgroup or cgroup2
	options string // for a mount of the same
}

func hierarchies() ([]hierarchy, error) {
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return nil, err
	}
	all := hierarchiesOf(mounts)
	if len(all) == 0 {
		return nil, fmt.Errorf("no cgroups are mounted below %s: mount them as your distribution does", cgroups)
	}
	return all, nil
}

func hierarchiesOf(mounts []*mountinfo.Info) []hierarchy {
	var all []hierarchy
	for _, m := range mounts {
		if m.FSType != "cgroup" && m.FSType != "cgroup2" || !strings.HasPrefix(m.Mountpoint, cgroups) {
			continue
		}
		h := hierarchy{path: m.Mountpoint, kind: m.FSType}
		if h.kind == "cgroup" {
			h.options = strings.Join(slices.DeleteFunc(strings.Split(m.VFSOptions, ","), func(o string) bool {
				return slices.Contains([]string{"rw", "ro", "xattr", "clone_children"}, o) || strings.HasPrefix(o, "release_agent=")
			}), ",")
		}
		all = append(all, h)
	}
	return all
}

// join makes a cgroup and moves the caller into it.
func (h hierarchy) join(cgroup string) error {
	dir := h.path
	for part := range strings.SplitSeq(cgroup, "/") {
		if h.kind == "cgroup2" {
			delegate(dir)
		}
		up := dir
		dir = filepath.Join(dir, part)
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return err
		}
		// A cpuset of v1 is born without any CPU, and takes nobody in until it has one.
		for _, name := range []string{"cpuset.cpus", "cpuset.mems"} {
			has, err := os.ReadFile(filepath.Join(dir, name))
			if h.kind != "cgroup" || err != nil || len(bytes.TrimSpace(has)) > 0 {
				continue
			}
			text, err := os.ReadFile(filepath.Join(up, name))
			if err != nil {
				return err
			}
			if err := os.WriteFile(filepath.Join(dir, name), text, 0o644); err != nil {
				return err
			}
		}
	}
	return os.WriteFile(filepath.Join(dir, "cgroup.procs"), []byte("0"), 0o644)
}

// delegate lets children of a cgroup of v2 have its controllers. One that can't be had is missed by who needs it.
func delegate(dir string) {
	text, err := os.ReadFile(filepath.Join(dir, "cgroup.controllers"))
	if err != nil {
		return
	}
	for _, c := range strings.Fields(string(text)) {
		_ = os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+c), 0o644)
	}
}

// remountCgroups mounts the hierarchies again, from the root that the caller's cgroup namespace has.
func remountCgroups() error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	if err := unix.Unmount(cgroups, unix.MNT_DETACH); err != nil {
		return fmt.Errorf("unmount %s: %w", cgroups, err)
	}
	if all[0].path != cgroups {
		if err := unix.Mount("tmpfs", cgroups, "tmpfs", 0, "mode=755"); err != nil {
			return fmt.Errorf("mount %s: %w", cgroups, err)
		}
	}
	for _, h := range all {
		if err := os.MkdirAll(h.path, 0o755); err != nil {
			return err
		}
		if err := unix.Mount("cgroup", h.path, h.kind, 0, h.options); err != nil {
			return fmt.Errorf("mount %s %s: %w", h.kind, h.path, err)
		}
		if h.path == cgroups {
			// In v2 what has children has no processes of its own.
			if err := h.join("init"); err != nil {
				return fmt.Errorf("move init to a cgroup of its own: %w", err)
			}
			delegate(cgroups)
		}
	}
	return nil
}

// RemoveCgroup removes a cgroup, and all below it, from every hierarchy. Its processes must have ended.
func RemoveCgroup(cgroup string) error {
	all, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range all {
		root := filepath.Join(h.path, cgroup)
		var dirs []string
		err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() {
				dirs = append(dirs, path)
			}
			return nil // it may be gone by now
		})
		if err != nil {
			return err
		}
		for _, dir := range slices.Backward(dirs) {
			if err := unix.Rmdir(dir); err != nil && err != unix.ENOENT {
				return fmt.Errorf("remove cgroup %s: %w", dir, err)
			}
		}
	}
	return nil
}
