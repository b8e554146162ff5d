// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"path/filepath"
	"strings"
	"testing"

	"github.com/unibus/unibus/internal/contexts"
)

// TestContextOfTheEnvironment: what the help of context add says of variables is so.
func TestContextOfTheEnvironment(t *testing.T) {
	dir := t.TempDir()
	t.Setenv(contexts.EnvFile, filepath.Join(dir, "contexts.json"))
	key := filepath.Join(dir, "ann.nk")
	mustRun(t, "key", "new", "--out", key)
	t.Setenv("UNIBUS_KEY", key)
	t.Setenv("UNIBUS_SERVER", "nats://127.0.0.1:4222,nats://127.0.0.1:4223")
	mustRun(t, "context", "add", "home")
	mustRun(t, "context", "add", "away", "--server", "nats://127.0.0.1:5222")
	for name, want := range map[string]string{"home": "4222,nats://127.0.0.1:4223", "away": "nats://127.0.0.1:5222"} {
		out := strings.Join(strings.Fields(mustRun(t, "context", "show", name)), " ")
		if !strings.Contains(out, strings.ReplaceAll(want, ",", " ")+" -") || !strings.Contains(out, key) {
			t.Errorf("context %s is %s", name, out)
		}
	}
}
