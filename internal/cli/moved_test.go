// SPDX-License-Identifier: Apache-2.0

package cli

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unibus/unibus/internal/console"
)

// A folder that was moved is where its nodes find what is theirs, whatever lies where it was.
func TestMovedFolder(t *testing.T) {
	l := mustLab(t)
	l.mustRun("create")
	js := l.mustJS()
	l.mustStream(js, 1, 20)
	if code, _, said := l.run("stop"); code != console.ExitDone {
		t.Fatalf("stop: exit code %d\n%s", code, said)
	}
	old := l.folder.dir
	config := l.folder.path(configFile(0))
	b, err := os.ReadFile(config)
	must(t, err)
	must(t, os.WriteFile(config, append([]byte("# by hand\nlog-level: debug\n"), b...), 0o600))

	l.folder.dir = filepath.Join(t.TempDir(), "elsewhere")
	must(t, os.Rename(old, l.folder.dir))
	must(t, os.Mkdir(old, 0o700)) // another cluster's, say
	l.expectMembers(l.mustRun("start"), 1)
	if s, err := js.Stream(t.Context(), "LOG"); err != nil || s.CachedInfo().State.Msgs != 20 {
		t.Errorf("the stream of the moved node: %v", err)
	}
	b, err = os.ReadFile(l.folder.path(configFile(0)))
	must(t, err)
	if bytes.Contains(b, []byte(old)) || !strings.Contains(string(b), "# by hand\nlog-level: debug\n") {
		t.Errorf("the configuration in %s:\n%s", l.folder.dir, b)
	}
	if left, err := os.ReadDir(old); err != nil || len(left) > 0 {
		t.Errorf("what lies where the folder was: %v, %v", left, err)
	}
	l.expectMembers(l.mustRun("grow", "--replicas", "3"), 3)
}

// Paths outside of the folder are somebody's own.
func TestRelocate(t *testing.T) {
	l := &launcher{folder: folder{t.TempDir()}}
	for _, c := range [][2]string{
		{"identity-record: /old/bus/record.json\nstore-dir: /old/bus/node-0\ntls-cert: /old/business/tls.crt\nroutes: [/old/bus/x]\n",
			"identity-record: DIR/record.json\nstore-dir: DIR/node-0\ntls-cert: /old/business/tls.crt\nroutes: [DIR/x]\n"},
		{"identity-record: DIR/record.json\nstore-dir:   /fast/node-0\n", "identity-record: DIR/record.json\nstore-dir:   /fast/node-0\n"},
		{"store-dir:   /old/bus/node-0\n", "store-dir:   /old/bus/node-0\n"},
	} {
		content, want := strings.ReplaceAll(c[0], "DIR", l.folder.dir), strings.ReplaceAll(c[1], "DIR", l.folder.dir)
		must(t, l.folder.write(configFile(0), []byte(content), 0o600))
		must(t, l.relocate(0))
		if b, err := os.ReadFile(l.folder.path(configFile(0))); err != nil || string(b) != want {
			t.Errorf("%s became %s, want %s (%v)", content, b, want, err)
		}
	}
}
