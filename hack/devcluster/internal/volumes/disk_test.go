// SPDX-License-Identifier: Apache-2.0

package volumes

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/moby/sys/mountinfo"
)

func TestCleanRefusesWhatIsNoFolderOfVolumes(t *testing.T) {
	for _, dir := range []string{"", "/", "//", "/..", "volumes"} {
		if Clean(dir) == nil {
			t.Errorf("Clean(%q) did something", dir)
		}
	}
}

// mustDisks gives a folder for real volumes, and looks that none of them is left.
func mustDisks(t *testing.T) disks {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: mounts volumes")
	}
	if _, err := exec.LookPath("mkfs.xfs"); err != nil {
		t.Skip("needs mkfs.xfs: apt-get install xfsprogs")
	}
	d := disks{t.TempDir()}
	t.Cleanup(func() {
		if err := Clean(d.dir); err != nil {
			t.Error(err)
		}
		expectNothingHeld(t, d)
	})
	return d
}

func expectNothingHeld(t *testing.T, d disks) {
	t.Helper()
	loops, err := readLoops(d.dir)
	if err != nil || len(loops) != 0 {
		t.Errorf("loop devices %+v are left, error %v", loops, err)
	}
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		if below(d.dir, m.Mountpoint) {
			t.Errorf("%s is still mounted", m.Mountpoint)
		}
	}
}

func (d disks) mustEnsure(t *testing.T, name string, size int64) {
	t.Helper()
	if err := d.ensure(t.Context(), name, size); err != nil {
		t.Fatal(err)
	}
}

// fill writes until there is no space, and tells how many bytes went in.
func fill(t *testing.T, path string) int64 {
	t.Helper()
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	block := make([]byte, mib)
	for total := int64(0); ; {
		n, err := file.Write(block)
		total += int64(n)
		if errors.Is(err, syscall.ENOSPC) {
			return total
		}
		if err != nil {
			t.Fatalf("after %d bytes: %v", total, err)
		}
	}
}

func TestVolumeHoldsWhatWasAskedForAndGrowsWhileMounted(t *testing.T) {
	d := mustDisks(t)
	const first, second = 256 * mib, 384 * mib
	d.mustEnsure(t, "a", first)
	full := fill(t, filepath.Join(d.folder("a"), "full"))
	expectAbout(t, full, first)
	open, err := os.OpenFile(filepath.Join(d.folder("a"), "full"), os.O_WRONLY|os.O_APPEND, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	d.mustEnsure(t, "a", second)
	if _, err := open.Write([]byte("more")); err != nil {
		t.Errorf("a file that was open while the volume grew: %v", err)
	}
	expectAbout(t, full+fill(t, filepath.Join(d.folder("a"), "rest")), second)
	d.mustEnsure(t, "a", first) // nothing shrinks
	expectAbout(t, full+fill(t, filepath.Join(d.folder("a"), "rest")), second)
}

// expectAbout allows for what the file system needs for itself.
func expectAbout(t *testing.T, got, want int64) {
	t.Helper()
	if got > want*105/100 || got < want*95/100 {
		t.Errorf("%d MiB went in, want 95 to 105 %% of %d MiB", got/mib, want/mib)
	}
}

func TestEnsureGoesOnAfterACrash(t *testing.T) {
	d := mustDisks(t)
	file := func() string { return filepath.Join(d.folder("a"), "file") }
	mustDo := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	mustDo(os.WriteFile(d.file("a")+".new", []byte("half a file system"), 0o600))
	d.mustEnsure(t, "a", smallest)
	mustDo(os.WriteFile(file(), []byte("kept"), 0o600))
	mustDo(unmount(d.folder("a")))
	mustDo(os.Remove(d.folder("a")))
	d.mustEnsure(t, "a", smallest)
	mustDo(os.Truncate(d.file("a"), device(smallest+128*mib))) // larger, and nobody told the device
	d.mustEnsure(t, "a", smallest+128*mib)
	if content, err := os.ReadFile(file()); err != nil || string(content) != "kept" {
		t.Errorf("content %q, error %v", content, err)
	}
	expectAbout(t, fill(t, filepath.Join(d.folder("a"), "full")), smallest+128*mib)
	mustDo(d.remove("a"))
	mustDo(d.remove("a"))
	left, err := os.ReadDir(d.dir)
	if err != nil || len(left) != 0 {
		t.Errorf("left are %v, error %v", left, err)
	}
	expectNothingHeld(t, d)
}

// TestClean has what a cluster leaves that was killed: a volume in use, the bind mount of a kubelet, and a file that is deleted already.
func TestClean(t *testing.T) {
	d, elsewhere := mustDisks(t), t.TempDir()
	neighbour := mustDisks(t)
	neighbour.mustEnsure(t, "n", smallest)
	for _, name := range []string{"busy", "bound", "deleted"} {
		d.mustEnsure(t, name, smallest)
	}
	if err := syscall.Mount(d.folder("bound"), elsewhere, "", syscall.MS_BIND, ""); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(d.file("deleted")); err != nil {
		t.Fatal(err)
	}
	user := exec.Command("sleep", "1000")
	user.Dir = d.folder("busy")
	if err := user.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- Clean(d.dir) }()
	for at := mustMounted(t, d, "busy"); at != nil; at = mustMounted(t, d, "busy") {
	}
	if err := user.Process.Kill(); err != nil { // Clean waits for it
		t.Error(err)
	}
	_ = user.Wait()
	if err := <-ended; err != nil {
		t.Error(err)
	}
	expectNothingHeld(t, d)
	mounts, err := mountinfo.GetMounts(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range mounts {
		if m.Mountpoint == elsewhere {
			t.Error("the bind mount is left")
		}
	}
	if err := Clean(d.dir); err != nil {
		t.Errorf("again: %v", err)
	}
	if mustMounted(t, neighbour, "n") == nil {
		t.Error("the volume of another cluster is gone")
	}
}

func mustMounted(t *testing.T, d disks, name string) *mountinfo.Info {
	t.Helper()
	at, err := d.mounted(name)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
