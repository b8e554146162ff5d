// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/unibus/unibus/internal/console"
	"github.com/unibus/unibus/internal/contexts"
)

// full is a disk without space.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

// TestWhatCantBePrinted: a result that nobody has got is no success, in any format.
func TestWhatCantBePrinted(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(contexts.EnvFile, filepath.Join(dir, "contexts.json"))
	key := filepath.Join(dir, "ann.nk")
	mustRun(t, "key", "new", "--out", key)
	mustRun(t, "context", "add", "home", "--server", "nats://127.0.0.1:4222", "--key", key)
	for _, line := range []string{"context list", "context list -o name", "context show -o json", "key show " + key, "key new --out " + filepath.Join(dir, "bob.nk")} {
		var said strings.Builder
		if code := execute(t.Context(), strings.NewReader(""), full{}, &said, strings.Fields(line)...); code != console.ExitFailed || !strings.Contains(said.String(), "no space") {
			t.Errorf("unibus %s: exit code %d: %s", line, code, said.String())
		}
	}
}
