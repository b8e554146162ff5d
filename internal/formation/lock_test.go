// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"os"
	"os/exec"
	"testing"
)

// TestLockEndsWithItsRelease: a process that was forked while the lock was held has a copy of its file.
func TestLockEndsWithItsRelease(t *testing.T) {
	dir := t.TempDir()
	l, err := acquire(dir)
	if err != nil {
		t.Fatal(err)
	}
	child := exec.Command("cat")
	child.ExtraFiles = []*os.File{l.f}
	in, err := child.StdinPipe()
	if err == nil {
		err = child.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	defer func() { in.Close(); child.Wait() }()
	if err := l.release(); err != nil {
		t.Fatal(err)
	}
	again, err := acquire(dir)
	if err != nil {
		t.Fatalf("after its release: %v", err)
	}
	again.release()
}
