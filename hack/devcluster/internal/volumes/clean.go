// SPDX-License-Identifier: Apache-2.0

package volumes

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/moby/sys/mountinfo"
)

// How long the kernel may take to let go of a device after its last mount.
const patience = 20 * time.Second

// Clean unmounts all that is mounted below dir and all that is mounted elsewhere from a file below dir (kubelet's binds), and detaches the
// loop devices. It goes by what the kernel says, so it needs no record and can be repeated. Stop Run first, and what uses the volumes. It
// removes no file. An error names what is still held.
func Clean(dir string) error {
	if err := check(dir); err != nil {
		return err
	}
	dir = filepath.Clean(dir)
	loops, err := readLoops(dir)
	if err != nil {
		return err
	}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		return err
	}
	var failed error
	for _, m := range slices.Backward(mounts) { // what was mounted last may be upon what was mounted first
		number := fmt.Sprintf("%d:%d", m.Major, m.Minor)
		ours := slices.ContainsFunc(loops, func(l loop) bool { return l.number == number })
		if ours || below(dir, m.Mountpoint) {
			failed = errors.Join(failed, unmount(m.Mountpoint))
		}
	}
	return errors.Join(failed, detach(dir))
}

// detach waits: the kernel gives a device back when the last who has it open closes it, which may be a process that was just killed.
func detach(dir string) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		loops, err := readLoops(dir)
		if err != nil || len(loops) == 0 {
			return err
		}
		for _, l := range loops {
			// A device that is in use says yes and goes later, and one that went meanwhile says no: only what is left counts.
			_ = run(ctx, "losetup", "--detach", l.device)
			err = errors.Join(err, fmt.Errorf("%s still holds %s: end the processes that use it (fuser -vm %s) and try again",
				l.device, l.file, l.device))
		}
		select {
		case <-ctx.Done():
			return err
		case <-tick.C:
		}
	}
}

// unmount leaves a busy mount to its users, and takes it from the tree at once.
func unmount(target string) error {
	err := syscall.Unmount(target, 0)
	if errors.Is(err, syscall.EBUSY) {
		err = syscall.Unmount(target, syscall.MNT_DETACH)
	}
	if err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) { // not mounted any more
		return fmt.Errorf("unmount %s: %w", target, err)
	}
	return nil
}

// loop is a loop device that has a file.
type loop struct {
	device string // /dev/loop0
	number string // major:minor
	file   string
}

// readLoops finds the loop devices whose file is, or was, below dir.
func readLoops(dir string) ([]loop, error) {
	attached, err := filepath.Glob("/sys/block/loop*/loop/backing_file")
	if err != nil {
		return nil, fmt.Errorf("read loop devices: %w", err)
	}
	var loops []loop
	for _, path := range attached {
		block := filepath.Dir(filepath.Dir(path))
		file, err := os.ReadFile(path)
		number, failed := os.ReadFile(filepath.Join(block, "dev"))
		if err != nil || failed != nil {
			continue // detached meanwhile
		}
		name := strings.TrimSuffix(strings.TrimSuffix(string(file), "\n"), " (deleted)")
		if below(dir, name) {
			loops = append(loops, loop{"/dev/" + filepath.Base(block), strings.TrimSpace(string(number)), name})
		}
	}
	return loops, nil
}

func below(dir, path string) bool { return strings.HasPrefix(path, dir+"/") }
