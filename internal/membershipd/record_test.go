// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestRecordDenies: what the record has as removed, or about to be, is denied, in each form that the file may have; anything
// else denies nothing, and is told once.
func TestRecordDenies(t *testing.T) {
	const all = `"names":{"n-1":{"phase":"member"},"n-2":{"phase":"removing","place":2},"n-0":{"phase":"removed"},"n-3":{"phase":"leaving"}}`
	path := filepath.Join(t.TempDir(), "record.json")
	var log bytes.Buffer
	names := recorded(path, slog.New(slog.NewTextHandler(&log, nil)))
	for _, c := range []struct {
		name, file string
		want       []string
		warns      int
	}{
		{name: "no file"},
		{name: "by itself", file: `{"clusterID":"c",` + all + `}`, want: []string{"n-0", "n-2"}},
		{name: "with its version", file: `{"version":7,"record":{"clusterID":"c",` + all + `}}`, want: []string{"n-0", "n-2"}},
		{name: "half-written", file: `{"version":7,"record":{"clusterID":"c"`, warns: 1},
		{name: "another file", file: `{"apiVersion":"v1"}`},
		{name: "nobody removed", file: `{"names":{}}`},
		{name: "another file", file: `{"apiVersion":"v1"}`, warns: 1},
	} {
		log.Reset()
		if c.file != "" {
			if err := os.WriteFile(path, []byte(c.file), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		if d := cmp.Diff(c.want, names("removing", "removed")); d != "" {
			t.Errorf("%s: denied (-want +got):\n%s", c.name, d)
		}
		if got := strings.Count(log.String(), "denies nothing"); got != c.warns {
			t.Errorf("%s: %d warnings, want %d: %s", c.name, got, c.warns, log.String())
		}
	}
	if err := os.WriteFile(path, []byte(`{`+all+`}`), 0o600); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff([]string{"n-1", "n-3"}, names("member", "leaving")); d != "" {
		t.Errorf("members (-want +got):\n%s", d)
	}
	if got := recorded("", slog.New(slog.DiscardHandler))("removed"); got != nil {
		t.Errorf("no record denies %q", got)
	}
}
