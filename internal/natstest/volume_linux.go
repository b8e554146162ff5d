// SPDX-License-Identifier: Apache-2.0

package natstest

import (
	"os"
	"syscall"
	"testing"
	"time"
)

// MustMount mounts a volume of its own, of that many bytes (such as 24m), on a folder, which is made, until the test has ended. A full
// volume can't be had otherwise, and without it the promise is not tested.
func MustMount(t testing.TB, dir, size string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Fatalf("mount a tmpfs of %s: %v; this test needs to mount: run it as root, or in a user and mount namespace (unshare -rm)", size, err)
	}
	t.Cleanup(func() {
		// A stopped nats-server may still be removing folders of what was purged.
		var err error
		if !Until(time.Minute, func() bool { err = syscall.Unmount(dir, 0); return err == nil }) {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}
