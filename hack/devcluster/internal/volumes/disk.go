// SPDX-License-Identifier: Apache-2.0

package volumes

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/moby/sys/mountinfo"
)

const (
	mib     = 1 << 20
	journal = 64 * mib
	// Smallest is the size that smaller requests get: mkfs.xfs refuses less than 300 MiB, journal included.
	smallest = 256 * mib
)

// disks are the volumes of one cluster: NAME.img is the file, NAME the folder where it is mounted.
type disks struct{ dir string }

func (d disks) folder(name string) string { return filepath.Join(d.dir, name) }
func (d disks) file(name string) string   { return filepath.Join(d.dir, name+".img") }

// device is how large a file must be for the volume to hold what was asked for: the journal comes on top, and what xfs never gives away,
// which is a twentieth of the device, but 32 MiB at most.
func device(size int64) int64 {
	reserve := min((size+journal)/19, 32*mib)
	return size + journal + reserve/4096*4096
}

// ensure makes the volume, or makes it larger, and mounts it. Each step looks for itself whether it is needed: whoever was killed
// between two of them calls ensure again.
func (d disks) ensure(ctx context.Context, name string, size int64) error {
	if err := d.format(ctx, name, size); err != nil {
		return err
	}
	info, err := os.Stat(d.file(name))
	if err != nil {
		return fmt.Errorf("volume %s: %w", name, err)
	}
	if info.Size() < device(size) {
		if err := os.Truncate(d.file(name), device(size)); err != nil {
			return fmt.Errorf("enlarge volume %s: %w", name, err)
		}
	}
	if err := os.MkdirAll(d.folder(name), 0o755); err != nil {
		return fmt.Errorf("volume %s: %w", name, err)
	}
	at, err := d.mounted(name)
	if err != nil {
		return err
	}
	if at == nil {
		// The loop device that mount makes goes with the last mount: nothing has to detach it.
		if err := run(ctx, "mount", "-t", "xfs", "-o", "loop", d.file(name), d.folder(name)); err != nil {
			return fmt.Errorf("volume %s: %w", name, err)
		}
	}
	return d.grow(ctx, name)
}

// format makes the file under another name first: a file of the right name has a whole file system.
func (d disks) format(ctx context.Context, name string, size int64) error {
	if _, err := os.Stat(d.file(name)); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	draft := d.file(name) + ".new"
	if err := os.RemoveAll(draft); err != nil {
		return fmt.Errorf("volume %s: %w", name, err)
	}
	if err := os.WriteFile(draft, nil, 0o600); err != nil {
		return fmt.Errorf("volume %s: %w", name, err)
	}
	if err := os.Truncate(draft, device(size)); err != nil {
		return fmt.Errorf("volume %s: %w", name, err)
	}
	// Without reflinks xfs sets next to nothing aside for itself.
	if err := run(ctx, "mkfs.xfs", "-q", "-m", "reflink=0", "-l", fmt.Sprintf("size=%d", journal), draft); err != nil {
		return fmt.Errorf("volume %s: %w", name, err)
	}
	return os.Rename(draft, d.file(name))
}

// grow tells the loop device and then xfs of the size that the file has. Both take a size that they have already.
func (d disks) grow(ctx context.Context, name string) error {
	at, err := d.mounted(name)
	if err != nil {
		return err
	}
	if at == nil {
		return fmt.Errorf("volume %s: it was unmounted from %s", name, d.folder(name))
	}
	if err := run(ctx, "losetup", "--set-capacity", at.Source); err != nil {
		return fmt.Errorf("enlarge volume %s: %w", name, err)
	}
	if err := run(ctx, "xfs_growfs", "-d", d.folder(name)); err != nil {
		return fmt.Errorf("enlarge volume %s: %w", name, err)
	}
	return nil
}

// remove forgets the volume and what is in it. What kubelet has mounted elsewhere stays until kubelet unmounts it.
func (d disks) remove(name string) error {
	at, err := d.mounted(name)
	if err != nil {
		return err
	}
	if at != nil {
		if err := unmount(at.Mountpoint); err != nil {
			return err
		}
	}
	return errors.Join(remove(d.folder(name)), remove(d.file(name)))
}

// remove does not descend: a folder that is still mounted keeps its content.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// mounted is nil when the volume is not mounted.
func (d disks) mounted(name string) (*mountinfo.Info, error) {
	mounts, err := mountinfo.GetMounts(mountinfo.SingleEntryFilter(d.folder(name)))
	if err != nil || len(mounts) == 0 {
		return nil, err
	}
	return mounts[0], nil
}

func run(ctx context.Context, program string, args ...string) error {
	out, err := exec.CommandContext(ctx, program, args...).CombinedOutput()
	if errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("%w: install it: apt-get install xfsprogs mount util-linux", err)
	}
	if err != nil {
		return fmt.Errorf("%s %s: %w: %s", program, strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}
