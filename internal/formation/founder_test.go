// SPDX-License-Identifier: Apache-2.0

package formation

import "testing"

// TestFounderIsCalledAnew: a founder that was given no name has another one on each disk, and keeps it.
func TestFounderIsCalledAnew(t *testing.T) {
	names := map[string]bool{}
	for range 2 {
		cfg := nodeConfig(t.TempDir(), "", ModeFound, MustPorts(t, 1), 0)
		n := MustNode(t, cfg)
		n.ExpectRunning(t)
		name := n.Status().ServerName
		if names[name] || !contains(name, cfg.ClusterName+"-0-") {
			t.Errorf("a founder is called %q, after %v", name, names)
		}
		names[name] = true
		n.MustStop(t)
		again := MustNode(t, cfg)
		again.ExpectRunning(t)
		if got := again.Status().ServerName; got != name {
			t.Errorf("%s is called %s after a restart", name, got)
		}
	}
}
