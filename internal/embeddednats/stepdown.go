// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	// handover bounds how long Shutdown waits for other leaders: where nobody takes over, more time helps nobody.
	handover = 10 * time.Second
	// election is how long a transfer is given before it is asked for again, which would void it.
	election = 500 * time.Millisecond
)

// Shutdown hands over every leadership, lets clients go in lame duck mode, stops the server, and
// returns when nothing is left of it. An error says that not all was handed over; the server has
// stopped all the same. When the context ends, the rest is done at once.
func (s *Server) Shutdown(ctx context.Context) error {
	limit, cancel := context.WithTimeout(ctx, handover)
	defer cancel()
	err := s.StepDown(limit)
	s.stop(func() {
		if s.ns.NumRoutes() == 0 {
			return // clients have nowhere to go: the sooner this node is back the better
		}
		stop := context.AfterFunc(ctx, s.ns.Shutdown)
		defer stop()
		s.ns.LameDuckShutdown()
	})
	if err != nil {
		return fmt.Errorf("shut down %s: %w", s.cfg.ServerName, err)
	}
	return nil
}

// StepDown gives up every leadership that this server has (streams, consumers, meta group) and that
// another server can take, and returns when others lead. It may be elected again later.
func (s *Server) StepDown(ctx context.Context) error {
	var held []leadership
	var last error
	none := func() bool { held = s.leaderships(); return len(held) == 0 }
	for !none() {
		for _, l := range held {
			if !l.leader {
				continue
			}
			if err := l.leave(ctx); err != nil {
				last = fmt.Errorf("%s: %w", l, err)
			}
		}
		wait, cancel := context.WithTimeout(ctx, election)
		_ = s.poll(wait, none) // asked again below
		cancel()
		if ctx.Err() != nil && !none() {
			return fmt.Errorf("hand over %v: %w", held, errors.Join(context.Cause(ctx), last))
		}
	}
	return nil
}

// leadership is one that this server has, or that nobody has yet.
type leadership struct {
	what   string
	leader bool
	leave  func(context.Context) error
}

// String names what is led.
func (l leadership) String() string { return l.what }

// leaderships lists what this server leads, or nobody does, and another server could.
func (s *Server) leaderships() []leadership {
	i, err := s.ns.Jsz(&server.JSzOptions{Accounts: true, Streams: true, Consumer: true})
	if err != nil {
		return nil
	}
	var held []leadership
	add := func(c *server.ClusterInfo, account, kind, api, name string) {
		if c == nil || c.Leader != "" && c.Leader != s.cfg.ServerName {
			return
		}
		heir := s.heir(c.Replicas)
		if heir == "" {
			return
		}
		held = append(held, leadership{what: kind + " " + account + " " + name, leader: c.Leader != "", leave: func(ctx context.Context) error {
			return s.moveLeader(ctx, account, "$JS.API."+api+".LEADER.STEPDOWN"+name, heir)
		}})
	}
	for _, a := range i.AccountDetails {
		for _, st := range a.Streams {
			add(st.Cluster, a.Name, "stream", "STREAM", "."+st.Name)
			for _, c := range st.Consumer {
				add(c.Cluster, a.Name, "consumer", "CONSUMER", "."+st.Name+"."+c.Name)
			}
		}
	}
	if m := i.Meta; m != nil {
		add(&server.ClusterInfo{Leader: m.Leader, Replicas: m.Replicas}, AccountSystem, "meta group", "META", "")
	}
	return held
}

// heir is the replica that can best take over: the one with the least to catch up, since a leader that
// still has to copy messages takes no writes meanwhile. Empty if all are offline.
func (s *Server) heir(replicas []*server.PeerInfo) string {
	var best *server.PeerInfo
	for _, r := range replicas {
		if r.Name == nameOf(r) && r.Name != s.cfg.ServerName && !r.Offline && (best == nil || r.Lag < best.Lag) {
			best = r
		}
	}
	if best == nil {
		return ""
	}
	return best.Name
}
