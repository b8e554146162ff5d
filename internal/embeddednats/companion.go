// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"context"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

// Raft groups don't run before their server has a connection to another one, which a lone node never
// gets. The companion is that other server: in this process, with no port, no JetStream, and a leaf
// connection to an account with nothing in it. It has done its work once the node leads.

// Resume starts a server with what its store holds, and helps it with a companion if its meta group
// is of one. It returns when clients can connect; MetaHealthy tells when JetStream can be used.
func Resume(ctx context.Context, cfg ServerConfig) (*Server, error) {
	s, err := startMember(ctx, cfg)
	if err != nil {
		return nil, err
	}
	if _, size, _, ok := s.Meta(); !ok || size != 1 {
		return s, nil
	}
	c, err := s.companion()
	if err != nil {
		s.Stop()
		return nil, err
	}
	s.wg.Go(func() {
		defer c.WaitForShutdown()
		defer c.Shutdown()
		if s.poll(s.ctx, s.ns.JetStreamIsLeader) == nil {
			s.log.Info("leads its meta group of one; the companion is stopped")
		}
	})
	return s, nil
}

// startMember starts a clustered server that has itself among its routes and can have a companion.
func startMember(ctx context.Context, cfg ServerConfig) (*Server, error) {
	if cfg.Cluster == nil {
		return nil, fmt.Errorf("server %s: a member needs a cluster, be it of one", cfg.ServerName)
	}
	if cfg.ServerName == HelperName {
		return nil, fmt.Errorf("server name %s (--server-name) is the founding helper's; choose another", HelperName)
	}
	cfg.JetStream = true
	cfg, err := cfg.prepare()
	if err != nil {
		return nil, err
	}
	// Without a route the server refuses to start clustered JetStream; one to itself is enough. Where there are routes
	// none is added: their number is the size that an empty meta group expects, and a self counted twice never votes.
	if len(cfg.Cluster.Routes) == 0 {
		cfg.Cluster.Routes = []*url.URL{cfg.Cluster.self()}
	}
	return start(ctx, cfg, leaf)
}

func (s *Server) companion() (*server.Server, error) {
	v, err := s.ns.Varz(nil)
	if err != nil {
		return nil, fmt.Errorf("companion of %s: %w", s.cfg.ServerName, err)
	}
	at := &url.URL{
		Scheme: "nats-leaf", User: url.UserPassword(s.leaf.Username, s.leaf.Password),
		Host: net.JoinHostPort("127.0.0.1", strconv.Itoa(v.LeafNode.Port)),
	}
	c, err := server.NewServer(&server.Options{
		ServerName: s.cfg.ServerName + "-companion", DontListen: true, NoSigs: true, NoLog: true,
		LeafNode: server.LeafNodeOpts{
			ReconnectInterval: 50 * time.Millisecond,
			Remotes:           []*server.RemoteLeafOpts{{URLs: []*url.URL{at}}},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("companion of %s: %w", s.cfg.ServerName, err)
	}
	log := newBridge(s.log.With("part", "companion"), nil)
	c.SetLoggerV2(log, s.cfg.Debug, false, false)
	c.Start()
	return c, nil
}

// poll waits until cond holds; it returns the context's error if that ends first.
func (s *Server) poll(ctx context.Context, cond func() bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !cond() {
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
	return nil
}
