// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unibus/unibus/internal/console"
)

// A disk from when its server was the only member, put back later, would lead the others as a quorum by itself and have them forget
// what it does not know. Its node, which has the record, does not start it; a person is asked for, and the way out loses nothing.
func TestDiskFromWhenItsServerWasAlone(t *testing.T) {
	l := mustLab(t)
	l.mustRun("create")
	l.mustStop()
	disk, kept := l.folder.path(storeDir(0)), filepath.Join(t.TempDir(), "kept")
	must(t, os.CopyFS(kept, os.DirFS(disk)))
	l.mustRun("start")
	l.mustRun("grow", "--replicas", "3")
	js := l.mustJS()
	l.mustStream(js, 3, 100)
	l.mustStop()
	must(t, os.RemoveAll(disk))
	must(t, os.Rename(kept, disk))

	code, _, said := l.run("start", "--yes", "--timeout", "2m")
	if code != console.ExitPerson || !strings.Contains(said, "from when it was the only member") || !strings.Contains(said, "move its store folder away") {
		t.Fatalf("exit code %d, want %d with the reason and the remedy:\n%s", code, console.ExitPerson, said)
	}
	l.mustStop()
	must(t, os.Rename(disk, filepath.Join(t.TempDir(), "away")))
	l.expectMembers(l.mustRun("start"), 3)
	if s, err := js.Stream(t.Context(), "LOG"); err != nil || s.CachedInfo().State.Msgs != 100 {
		t.Errorf("the stream afterwards: %v", err)
	}
}

func (l *lab) mustStop() {
	l.t.Helper()
	if code, _, said := l.run("stop"); code != console.ExitDone {
		l.t.Fatalf("stop: exit code %d\n%s", code, said)
	}
}
