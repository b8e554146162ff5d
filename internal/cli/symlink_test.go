// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unibus/unibus/internal/console"
)

// A cluster is the same one by whatever path its folder is named.
func TestFolderByALink(t *testing.T) {
	l := mustLab(t)
	l.mustRun("create")
	link := *l
	link.folder = folder{filepath.Join(t.TempDir(), "link")}
	must(t, os.Symlink(l.folder.dir, link.folder.dir))
	launcher := &launcher{folder: l.folder}
	for _, way := range []struct{ start, stop *lab }{{l, &link}, {&link, l}, {&link, &link}} {
		l.expectMembers(way.start.mustRun("start"), 1)
		l.expectRunning(launcher, true)
		if code, out, said := way.stop.run("stop"); code != console.ExitDone || !strings.Contains(out, "node-0 has stopped") {
			t.Errorf("stop in %s of what was started in %s: exit code %d\n%s%s", way.stop.folder.dir, way.start.folder.dir, code, out, said)
		}
		l.expectRunning(launcher, false)
	}
}

// A node that answers but whose process is not found is not taken for one that has stopped.
func TestStopOfAnUnknownProcess(t *testing.T) {
	l := mustLab(t)
	l.mustRun("create")
	inv, err := l.folder.inventory()
	must(t, err)
	l.kill(0)
	address := strings.TrimPrefix(inv.Places[0].Control, "http://")
	s := mustAnswer(t, address, `{"phase":"running","diskID":"`+inv.Places[0].DiskID+`"}`)
	if code, out, said := l.run("stop"); code != console.ExitFailed || !strings.Contains(said, "no process of node-0 runs") {
		t.Errorf("stop: exit code %d\n%s%s", code, out, said)
	}
	for _, answer := range []string{`{}`, `{"phase":"running","diskID":"another"}`} { // nothing of this cluster's
		s.Close()
		s = mustAnswer(t, address, answer)
		if code, out, said := l.run("stop"); code != console.ExitDone {
			t.Errorf("stop beside %s: exit code %d\n%s%s", answer, code, out, said)
		}
	}
}
