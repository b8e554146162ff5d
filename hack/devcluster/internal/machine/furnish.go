// SPDX-License-Identifier: Apache-2.0

package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"golang.org/x/sys/unix"
)

// furnished tells the second life of an init from the first.
const furnished = "DEVCLUSTER_IN_CGROUP=1"

// sysctls are settings of the whole machine that kubelet would change to these values: it finds them as it wants them.
var sysctls = map[string]string{
	"vm/overcommit_memory":      "1",
	"vm/panic_on_oom":           "0",
	"kernel/panic":              "10",
	"kernel/panic_on_oops":      "1",
	"kernel/keys/root_maxkeys":  "1000000",
	"kernel/keys/root_maxbytes": "25000000",
}

// furnish joins the machine's cgroup and mounts what is the machine's own.
func furnish(spec Spec) error {
	if !slices.Contains(os.Environ(), furnished) {
		return enterCgroup(spec)
	}
	propagation := uintptr(unix.MS_PRIVATE)
	if !spec.Outer {
		// What is mounted in the room, volumes for one, appears here; nothing goes the other way.
		propagation = unix.MS_SLAVE
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|propagation, ""); err != nil {
		return fmt.Errorf("part from the mounts of the host: %w", err)
	}
	if err := unix.Mount("proc", "/proc", "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount /proc: %w", err)
	}
	if !spec.Outer {
		if err := separate(spec); err != nil {
			return err
		}
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_SHARED, ""); err != nil {
		return fmt.Errorf("share mounts with machines within: %w", err)
	}
	return nil
}

// enterCgroup goes on in a new cgroup namespace, whose root is the machine's cgroup. Only the thread that unshares is in
// it, so the program starts again from that thread.
func enterCgroup(spec Spec) error {
	hierarchies, err := hierarchies()
	if err != nil {
		return err
	}
	for _, h := range hierarchies {
		if err := h.join(spec.Cgroup); err != nil {
			return fmt.Errorf("join cgroup %s in %s: %w", spec.Cgroup, h.path, err)
		}
	}
	runtime.LockOSThread()
	if !spec.Outer {
		if err := unix.Unshare(unix.CLONE_NEWCGROUP); err != nil {
			return fmt.Errorf("unshare cgroups: %w", err)
		}
	}
	return unix.Exec("/proc/self/exe", os.Args, append(os.Environ(), furnished))
}

func separate(spec Spec) error {
	if err := unix.Sethostname([]byte(spec.Name)); err != nil {
		return fmt.Errorf("set hostname: %w", err)
	}
	if err := remountCgroups(); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	for at, from := range own(spec.Dir) {
		if err := os.MkdirAll(from, 0o755); err != nil {
			return err
		}
		if err := bind(from, at); err != nil {
			return err
		}
	}
	for name, value := range sysctls {
		from, at := filepath.Join("/run/sysctl", name), filepath.Join("/proc/sys", name)
		if _, err := os.Stat(at); errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err := os.MkdirAll(filepath.Dir(from), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(from, []byte(value+"\n"), 0o644); err != nil {
			return err
		}
		if err := bind(from, at); err != nil {
			return err
		}
	}
	return nil
}

func bind(from, at string) error {
	if err := unix.Mount(from, at, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("bind %s to %s: %w", from, at, err)
	}
	return nil
}
