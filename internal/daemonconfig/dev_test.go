// SPDX-License-Identifier: Apache-2.0

package daemonconfig

import "testing"

// TestDevChangesDefaults, and only these.
func TestDevChangesDefaults(t *testing.T) {
	l := mustLoad(t, []string{"--dev", "--log-level", "info"}, nil)
	if l.StoreDir != "unibus-dev" || l.Formation != FormationFound || l.LogLevel != "info" || l.Origins["formation"] != FromDev || l.Origins["log-level"] != FromFlag {
		t.Errorf("%+v, %v", l.Config, l.Origins)
	}
	if err := l.Validate(); err != nil || len(l.Warnings) > 0 {
		t.Errorf("%v, %q", err, l.Warnings)
	}
	if l = mustLoad(t, []string{"--dev", "--store-dir", "unibus-data"}, nil); l.StoreDir != "unibus-data" || l.LogLevel != "error" {
		t.Errorf("%+v", l.Config)
	}
	if l = mustLoad(t, nil, []string{"UNIBUS_DEV=false"}); l.StoreDir != "unibus-data" || l.Formation != FormationOrder {
		t.Errorf("%+v", l.Config)
	}
}
