// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"io"
	"log/slog"

	"github.com/unibus/unibus/internal/daemonconfig"
)

// logHandler writes to out as JSON or as text, from the level on.
func logHandler(out io.Writer, format string, level slog.Level) slog.Handler {
	o := &slog.HandlerOptions{Level: level}
	if format == daemonconfig.LogJSON {
		return slog.NewJSONHandler(out, o)
	}
	return slog.NewTextHandler(out, o)
}
