// SPDX-License-Identifier: Apache-2.0

package natstest

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// Log remembers what is logged, so that tests can wait for something to be said, or see that it never was.
type Log struct {
	next  slog.Handler
	attrs string
	*lines
}

type lines struct {
	mu  sync.Mutex
	all []string
}

// NewLog returns an empty log. What it hears goes on to Logger.
func NewLog() *Log { return &Log{next: Logger().Handler(), lines: &lines{}} }

// Logger returns a logger that writes here.
func (l *Log) Logger() *slog.Logger { return slog.New(l) }

// Said says whether a line with all the parts was logged, in the message or in attributes.
func (l *Log) Said(parts ...string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
next:
	for _, line := range l.all {
		for _, p := range parts {
			if !strings.Contains(line, p) {
				continue next
			}
		}
		return true
	}
	return false
}

// Enabled implements slog.Handler.
func (l *Log) Enabled(context.Context, slog.Level) bool { return true }

// Handle implements slog.Handler.
func (l *Log) Handle(ctx context.Context, r slog.Record) error {
	line := r.Level.String() + " " + r.Message + l.attrs
	r.Attrs(func(a slog.Attr) bool { line += " " + a.String(); return true })
	l.mu.Lock()
	l.all = append(l.all, line)
	l.mu.Unlock()
	if !l.next.Enabled(ctx, r.Level) {
		return nil
	}
	return l.next.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l *Log) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &Log{next: l.next.WithAttrs(attrs), attrs: l.attrs + " " + fmt.Sprint(attrs), lines: l.lines}
}

// WithGroup implements slog.Handler.
func (l *Log) WithGroup(name string) slog.Handler {
	return &Log{next: l.next.WithGroup(name), attrs: l.attrs, lines: l.lines}
}
