// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"bytes"
	"context"
	"log/slog"
	"net/url"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
)

// timed changes the Raft timers that a node is configured for.
func timed(cfg Config, timers embeddednats.RaftTimers) Config {
	inner := cfg.Server
	cfg.Server = func(name, id string, routes []*url.URL) (embeddednats.ServerConfig, error) {
		c, err := inner(name, id, routes)
		c.Timers = timers
		return c, err
	}
	return cfg
}

// spoken is a log that can be read while it is written.
type spoken struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *spoken) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(b)
}

func (s *spoken) says(text string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Contains(s.b.String(), text)
}

// TestTimersAreFixedAtFounding: a later start with another setting keeps those of the cluster, until it is told to change
// them.
func TestTimersAreFixedAtFounding(t *testing.T) {
	const fast, stock = "2s/4s/500ms", "4s/9s/1s"
	base := nodeConfig(filepath.Join(t.TempDir(), "n"), "a-1", ModeFound, MustPorts(t, 1), 0)
	for _, start := range []struct {
		name   string
		timers embeddednats.RaftTimers
		change bool
		want   string
		says   string
	}{
		{"founded", embeddednats.DefaultRaftTimers(), false, fast, ""},
		{"again", embeddednats.DefaultRaftTimers(), false, fast, ""},
		{"another setting", embeddednats.RaftTimers{}, false, fast, "the configured ones are not used"},
		{"changed", embeddednats.RaftTimers{}, true, stock, "raft timers changed"},
		{"still changed", embeddednats.RaftTimers{}, true, stock, ""},
		{"the old setting", embeddednats.DefaultRaftTimers(), false, stock, "the configured ones are not used"},
	} {
		cfg := timed(base, start.timers)
		var log spoken
		cfg.ChangeTimers, cfg.Logger = start.change, slog.New(slog.NewTextHandler(&log, nil))
		inner := cfg.Server
		cfg.Server = func(name, id string, routes []*url.URL) (embeddednats.ServerConfig, error) {
			c, err := inner(name, id, routes)
			c.Logger = cfg.Logger
			return c, err
		}
		n := MustNode(t, cfg)
		n.ExpectRunning(t)
		if got := n.Status().RaftTimers; got != start.want {
			t.Errorf("%s: the disk keeps %q, want %q", start.name, got, start.want)
		}
		n.MustStop(t)
		if !log.says(start.says) {
			t.Errorf("%s: it does not say %q but %s", start.name, start.says, log.b.String())
		}
		// The first server of this process has decided for all: one that is started with others says so.
		inForce := embeddednats.RaftTimersInForce().String()
		if left := log.says("raft timers left alone"); left != (start.want != inForce) {
			t.Errorf("%s: started with other timers than %s: %v", start.name, inForce, left)
		}
	}
}

// TestNoMixedTimers: whichever way a node comes to a cluster, it must go by the same timers.
func TestNoMixedTimers(t *testing.T) {
	ports, dir := MustPorts(t, 3), t.TempDir()
	founder := MustNode(t, nodeConfig(filepath.Join(dir, "0"), "a-0", ModeFound, ports, 0))
	founder.ExpectRunning(t)
	founder.ExpectMembers(t, "a-0")
	other := embeddednats.RaftTimers{}
	ExpectRunRefused(t, timed(nodeConfig(filepath.Join(dir, "1"), "a-1", ModeJoin, ports, 1), other), "a-0", "2s/4s/500ms", "4s/9s/1s", "--raft-timers")

	waits := MustOpen(t, timed(nodeConfig(filepath.Join(dir, "2"), "", ModeOrder, ports, 2), other))
	o := order(waits, v1.OrderJoin, "a-2")
	o.RaftTimers = founder.Status().RaftTimers
	ExpectCode(t, waits, o, v1.CodeState)
	o.RaftTimers = "4s/9s/1s"
	MustTake(t, waits, o)

	cfgs := seeds(t, 2)
	cfgs[1] = timed(cfgs[1], other)
	ended := make(chan error, len(cfgs))
	ctx, cancel := context.WithTimeout(context.Background(), waitLimit)
	defer cancel()
	var bootstrapping []*Formation
	for _, cfg := range cfgs {
		f := MustOpen(t, cfg)
		bootstrapping = append(bootstrapping, f)
		go func() { ended <- f.Run(ctx) }()
	}
	ExpectRefused(t, <-ended, "s-", "--raft-timers") // the one that sees the other first; that is gone for the other then
	cancel()
	<-ended
	for _, f := range bootstrapping {
		if s := f.Status(); s.ServerName != "" {
			t.Errorf("bootstrapped: %+v", s)
		}
	}
}
