// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// ErrOtherMembers means that a node was to found a cluster, but its meta group has other members.
var ErrOtherMembers = errors.New("the meta group has other members: a cluster of this name lives already")

// helperFolder, in the store's folder, is the founding helper's.
const helperFolder = "helper"

// Found makes an empty store that of a cluster of one, and returns when its meta group can be used.
//
// A meta group never begins with fewer than two servers. So a helper in this process is the second
// for a moment: it votes the founder in, is removed by name, and thrown away. Killed at any point and
// called again, Found finishes; on a store that is founded already it does what Resume does, and waits.
//
// If the routes lead to others, they are looked at first, without JetStream, and a member among them
// makes Found refuse (ErrOtherMembers); so does one in the store's own meta group. That is a last
// precaution: nobody's answering is no sign that a cluster may be founded. The caller must know it.
func Found(ctx context.Context, cfg ServerConfig) (*Server, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	if cfg.Cluster != nil {
		if err := cfg.expectNobody(ctx); err != nil {
			return nil, fmt.Errorf("found cluster %s with %s: %w", cfg.Cluster.Name, cfg.ServerName, err)
		}
		alone := *cfg.Cluster
		alone.Routes = nil
		cfg.Cluster = &alone
	}
	s, err := startMember(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if err := s.found(ctx); err != nil {
		s.Stop()
		return nil, fmt.Errorf("found cluster %s with %s: %w", cfg.Cluster.Name, cfg.ServerName, err)
	}
	return s, nil
}

// lookAround is how long the routes to others are given to show somebody.
const lookAround = 1500 * time.Millisecond

// expectNobody returns ErrOtherMembers if a route leads to a server with JetStream.
func (cfg ServerConfig) expectNobody(ctx context.Context) error {
	others := slices.DeleteFunc(slices.Clone(cfg.Cluster.Routes), func(u *url.URL) bool { return cfg.Cluster.leadsHere(ctx, u) })
	if len(others) == 0 {
		return nil
	}
	c := *cfg.Cluster
	c.Routes = others
	cfg.Cluster, cfg.Port = &c, 0
	cfg.ServerName += "-looks-around" // a living member may have the name
	p, err := Probe(ctx, cfg)
	if err != nil {
		return err
	}
	defer p.Stop()
	var member string
	wait, cancel := context.WithTimeout(ctx, lookAround)
	defer cancel()
	seen := func() bool {
		all, err := p.Servers(wait)
		for _, i := range all {
			if err == nil && i.JetStream {
				member = i.Name
			}
		}
		return member != ""
	}
	if p.poll(wait, seen) == nil {
		return fmt.Errorf("%w: %s", ErrOtherMembers, member)
	}
	return nil
}

func (s *Server) found(ctx context.Context) error {
	s.phase("server up")
	if _, size, _, ok := s.Meta(); ok && size == 1 {
		return s.leadAlone(ctx) // the helper was removed before a crash
	}
	if err := s.onlyHelper(); err != nil {
		return err
	}
	// The helper's store never outlives one attempt. That loses nothing: it holds no stream, and what
	// a group of two has agreed on, this server has too.
	dir := filepath.Join(s.cfg.StoreDir, helperFolder)
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("empty the helper's folder: %w", err)
	}
	helper, err := s.startHelper(ctx, dir)
	if err != nil {
		return err
	}
	err = s.dismissHelper(ctx)
	helper.Shutdown()
	helper.WaitForShutdown()
	if err != nil {
		return err
	}
	s.phase("helper stopped")
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("remove the helper's folder: %w", err)
	}
	s.phase("founded")
	return nil
}

// leadAlone is what Resume does, but waits for its end.
func (s *Server) leadAlone(ctx context.Context) error {
	c, err := s.companion()
	if err != nil {
		return err
	}
	defer c.WaitForShutdown()
	defer c.Shutdown()
	if err := s.poll(ctx, s.ns.JetStreamIsLeader); err != nil {
		return fmt.Errorf("lead the meta group of one: %w", err)
	}
	if err := os.RemoveAll(filepath.Join(s.cfg.StoreDir, helperFolder)); err != nil {
		return fmt.Errorf("remove the helper's folder: %w", err)
	}
	s.phase("founded")
	return nil
}

// startHelper starts the helper, whose one route goes to the founder: a route of the founder's to the
// helper would be dialled for as long as the founder lives.
func (s *Server) startHelper(ctx context.Context, dir string) (*server.Server, error) {
	c := *s.cfg.Cluster
	c.Host, c.Port, c.Advertise = "127.0.0.1", -1, ""
	c.Routes = []*url.URL{s.cfg.Cluster.self()}
	cfg := s.cfg
	cfg.ServerName, cfg.StoreDir, cfg.Cluster, cfg.TLS = HelperName, dir, &c, nil
	cfg.Tags = []string{"!jetstream"} // no stream is ever placed on it
	cfg.Limits.StoreBytes = 64 << 20
	cfg.Debug = false
	o, err := cfg.options()
	if err != nil {
		return nil, err
	}
	o.Host, o.Port = "127.0.0.1", -1 // a server with routes can't do without a client port
	o.CustomClientAuthentication = nobody{}
	h, err := server.NewServer(o)
	if err != nil {
		return nil, fmt.Errorf("founding helper: %w", err)
	}
	log := newBridge(s.log.With("part", "helper"), nil)
	h.SetLoggerV2(log, false, false, false)
	if err := launch(ctx, h, log); err != nil {
		return nil, fmt.Errorf("founding helper: %w", err)
	}
	s.phase("helper up")
	return h, nil
}

// dismissHelper waits until this server leads the two, and removes the other.
func (s *Server) dismissHelper(ctx context.Context) error {
	var refused error
	step := func(done func() bool, ready func(leader string) bool, try func(context.Context) error) func() bool {
		return func() bool {
			if refused = s.onlyHelper(); refused != nil || done() {
				return true
			}
			// A leader needs a moment to serve: asked too early, nobody answers.
			if leader, _, _, _ := s.Meta(); leader != "" && ready(leader) {
				if err := try(ctx); err != nil { // it is tried again: another change may be in flight
					s.log.Debug("founding goes on", "error", err)
				}
			}
			return false
		}
	}
	helperLeads := func(leader string) bool { return leader != s.cfg.ServerName }
	lead := step(s.ns.JetStreamIsLeader, helperLeads, func(ctx context.Context) error {
		return s.moveLeader(ctx, AccountSystem, "$JS.API.META.LEADER.STEPDOWN", s.cfg.ServerName)
	})
	if err := errors.Join(s.poll(ctx, lead), refused); err != nil {
		return fmt.Errorf("lead the meta group: %w", err)
	}
	s.phase("founder leads")
	alone := step(func() bool {
		leader, size, _, _ := s.Meta()
		return size == 1 && leader == s.cfg.ServerName
	}, func(string) bool { return s.ns.JetStreamIsLeader() }, func(ctx context.Context) error { return s.removeServer(ctx, HelperName) })
	if err := errors.Join(s.poll(ctx, alone), refused); err != nil {
		return fmt.Errorf("remove the helper from the meta group: %w", err)
	}
	s.phase("helper removed")
	return nil
}

// onlyHelper returns ErrOtherMembers if the meta group has a member that is neither this server nor its helper.
func (s *Server) onlyHelper() error {
	leader, _, members, _ := s.Meta()
	for _, m := range append(members, leader) {
		if m != "" && m != s.cfg.ServerName && m != HelperName && m != PeerID(HelperName) {
			return fmt.Errorf("%w: %s", ErrOtherMembers, m)
		}
	}
	return nil
}

// phase tells how far the founding is. What can be killed here is the reason that it is told.
func (s *Server) phase(name string) { s.log.Info("founding", "phase", name) }

// nobody admits no client: the helper has none.
type nobody struct{}

func (nobody) Check(server.ClientAuthentication) bool { return false }
