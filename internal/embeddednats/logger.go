// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"context"
	"fmt"
	"log/slog"
	"strings"
)

// bridge hands what nats-server says to slog, and lets the embedder listen in: a fatal error is told
// only here (it would end the process of a stock server), and so are most errors of the store.
type bridge struct {
	log    *slog.Logger
	fatal  chan error
	listen func(message string) // nil for a server that is a mere tool: all it says is for debugging
}

func newBridge(log *slog.Logger, listen func(string)) *bridge {
	return &bridge{log: log, fatal: make(chan error, 1), listen: listen}
}

func (b *bridge) say(level slog.Level, format string, v ...any) {
	m := fmt.Sprintf(format, v...)
	if b.listen == nil {
		level = slog.LevelDebug
	} else if level >= slog.LevelWarn {
		b.listen(m)
	}
	b.log.Log(context.Background(), level, m)
}

// Noticef implements server.Logger.
func (b *bridge) Noticef(format string, v ...any) { b.say(slog.LevelInfo, format, v...) }

// Debugf implements server.Logger.
func (b *bridge) Debugf(format string, v ...any) { b.say(slog.LevelDebug, format, v...) }

// Tracef implements server.Logger. Traces are never switched on: they hold what users say.
func (b *bridge) Tracef(string, ...any) {}

// skipWarning is what the server says of route TLS that replaces the standard verification by one of its own, which it takes for none.
const skipWarning = "TLS certificate chain and hostname of solicited routes will not be verified"

// Warnf implements server.Logger.
func (b *bridge) Warnf(format string, v ...any) {
	// Route TLS that really verifies nobody has been refused by then.
	if strings.HasPrefix(format, skipWarning) {
		b.say(slog.LevelDebug, format, v...)
		return
	}
	b.say(slog.LevelWarn, format, v...)
}

// ofClient is in what the server says of a connection of a client.
const ofClient = " - cid:"

// Errorf implements server.Logger. What strangers are refused is an error to the server: they could fill a disk with it.
func (b *bridge) Errorf(format string, v ...any) {
	if strings.Contains(format, ofClient) {
		b.say(slog.LevelDebug, format, v...)
		return
	}
	b.say(slog.LevelError, format, v...)
}

// Fatalf implements server.Logger. The server goes on after it, into a state that it never expected.
func (b *bridge) Fatalf(format string, v ...any) {
	b.say(slog.LevelError, format, v...)
	select {
	case b.fatal <- fmt.Errorf(format, v...):
	default: // the first one is the cause
	}
}
