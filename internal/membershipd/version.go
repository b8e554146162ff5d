// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"fmt"
	"runtime/debug"

	"github.com/nats-io/nats-server/v2/server"
)

// Version is set by the linker (-X); otherwise the module's version is told.
var Version = ""

// buildInfo is what is known of the binary.
type buildInfo struct{ Version, Revision, Go string }

func readBuildInfo() buildInfo {
	b := buildInfo{Version: Version, Revision: "unknown", Go: "unknown"}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return b
	}
	b.Go = info.GoVersion
	if b.Version == "" {
		b.Version = info.Main.Version
	}
	dirty := false
	for _, s := range info.Settings {
		switch s.Key {
		case "vcs.revision":
			b.Revision = s.Value
		case "vcs.modified":
			dirty = s.Value == "true"
		}
	}
	if dirty {
		b.Revision += "-dirty"
	}
	return b
}

func (b buildInfo) String() string {
	return fmt.Sprintf("%s (revision %s, %s, nats-server %s)", b.Version, b.Revision, b.Go, server.VERSION)
}
