// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

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

// catchupComplaint is what nats-server logs, with the group's name, each time a replica gets entries that don't follow its own.
// Nothing of it shows in the server's monitoring. If a later server words it differently, a stuck replica is still noticed, only
// later: see patience.
const catchupComplaint = "Expected first catchup entry"

// complaints is a slog handler that notes when the server complains about a Raft group, and passes everything on.
type complaints struct {
	slog.Handler
	noted *notes
}

type notes struct {
	now   func() time.Time
	mu    sync.Mutex
	last  map[string]time.Time
	count uint64
}

func newComplaints(next slog.Handler, now func() time.Time) *complaints {
	return &complaints{next, &notes{now: now, last: map[string]time.Time{}}}
}

// Handle implements slog.Handler.
func (c *complaints) Handle(ctx context.Context, r slog.Record) error {
	if r.Level >= slog.LevelWarn && strings.Contains(r.Message, catchupComplaint) {
		c.noted.add(groupOf(r.Message))
	}
	return c.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (c *complaints) WithAttrs(a []slog.Attr) slog.Handler {
	return &complaints{c.Handler.WithAttrs(a), c.noted}
}

// WithGroup implements slog.Handler.
func (c *complaints) WithGroup(name string) slog.Handler {
	return &complaints{c.Handler.WithGroup(name), c.noted}
}

// groupOf reads the group's name out of "RAFT [server - group] message".
func groupOf(message string) string {
	_, after, _ := strings.Cut(message, " - ")
	group, _, _ := strings.Cut(after, "]")
	return group
}

func (n *notes) add(group string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last[group] = n.now()
	n.count++
}

// told returns when the server last complained about the group, zero if never.
func (n *notes) told(group string) time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last[group]
}

// forget drops what is known, so that groups that are gone are not kept for ever.
func (n *notes) forget() {
	n.mu.Lock()
	defer n.mu.Unlock()
	clear(n.last)
}

// total returns how many complaints there were.
func (n *notes) total() uint64 {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.count
}
