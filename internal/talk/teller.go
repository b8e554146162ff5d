// SPDX-License-Identifier: Apache-2.0

package talk

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"

	"github.com/unibus/unibus/internal/console"
)

// teller tells what the client library logs, in lines for people.
type teller struct {
	w     io.Writer
	quiet *atomic.Bool // set when the command is over: that its connection ends is no news
	attrs []slog.Attr
}

// Enabled implements slog.Handler.
func (t *teller) Enabled(_ context.Context, level slog.Level) bool {
	return level >= slog.LevelInfo && !t.quiet.Load()
}

// Handle implements slog.Handler.
func (t *teller) Handle(_ context.Context, r slog.Record) error {
	line := "unibus: " + r.Message
	add := func(a slog.Attr) bool {
		if text := a.Value.String(); text != "" && text != "<nil>" {
			line += ", " + a.Key + " " + text
		}
		return true
	}
	for _, a := range t.attrs {
		add(a)
	}
	r.Attrs(add)
	_, err := fmt.Fprintln(t.w, console.Clean(line))
	return err
}

// WithAttrs implements slog.Handler.
func (t *teller) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &teller{t.w, t.quiet, append(append([]slog.Attr{}, t.attrs...), attrs...)}
}

// WithGroup implements slog.Handler. There is one level only.
func (t *teller) WithGroup(string) slog.Handler { return t }
