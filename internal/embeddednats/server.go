// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Server is a running embedded server. Its methods may be called by several goroutines.
type Server struct {
	cfg     ServerConfig
	ns      *server.Server
	log     *slog.Logger
	connect func(account string) []nats.Option
	leaf    server.LeafNodeOpts // where and how the companion connects

	ctx      context.Context // ends when the server begins to stop
	cancel   context.CancelFunc
	wg       sync.WaitGroup
	stopping atomic.Bool
	removed  atomic.Bool
	store    storeState

	mu    sync.Mutex
	conns []*nats.Conn          // all that InProcess made
	owned map[string]*nats.Conn // by account
}

// Start starts a server and returns when clients can connect; JetStream may take longer, or for ever:
// see Found, Resume and Join. A port that is in use is told at once. The context bounds the start only.
func Start(ctx context.Context, cfg ServerConfig) (*Server, error) {
	cfg, err := cfg.prepare()
	if err != nil {
		return nil, err
	}
	return start(ctx, cfg, nil)
}

// Probe starts a server without JetStream, to look around. Its name must not be that of another
// server that may run: of two, each refuses routes to the other.
func Probe(ctx context.Context, cfg ServerConfig) (*Server, error) {
	cfg.JetStream = false
	return Start(ctx, cfg)
}

// start starts a server with a prepared configuration.
func start(ctx context.Context, cfg ServerConfig, more func(*server.Options)) (*Server, error) {
	ballast()
	o, err := cfg.options()
	if err != nil {
		return nil, err
	}
	if more != nil {
		more(o)
	}
	s := &Server{cfg: cfg, log: cfg.Logger.With("server", cfg.ServerName), connect: cfg.Connect, owned: map[string]*nats.Conn{}}
	auth := cfg.Auth
	if auth == nil {
		open := newOpenAuth()
		auth, s.connect = open, open.connectOptions
	}
	o.CustomClientAuthentication = auth
	cfg.Timers.apply(s.log)
	o.Tags = append(o.Tags, TagTimers+RaftTimersInForce().String())
	if s.ns, err = server.NewServer(o); err != nil {
		return nil, fmt.Errorf("embedded server %s: %w", cfg.ServerName, err)
	}
	auth.Bind(s.ns)
	s.store.failed = make(chan struct{})
	log := newBridge(s.log, s.listen)
	s.ns.SetLoggerV2(log, cfg.Debug, false, false)
	if err := launch(ctx, s.ns, log); err != nil {
		return nil, fmt.Errorf("embedded server %s: %w", cfg.ServerName, err)
	}
	s.leaf = o.LeafNode
	s.ctx, s.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if cfg.JetStream {
		s.wg.Go(s.watchStore)
		s.wg.Go(s.tend)
	}
	if a := s.ns.MonitorAddr(); a != nil {
		s.log.Info("monitoring is open", "url", "http://"+a.String())
	}
	return s, nil
}

// startedLimit is how long a start that was called off may go on before it is stopped half way.
const startedLimit = 20 * time.Second

// launch starts the server and returns when it listens, or after it has been shut down again.
func launch(ctx context.Context, ns *server.Server, log *bridge) error {
	started := make(chan struct{})
	go func() { ns.Start(); close(started) }() // it returns once the store has been read, which may take minutes
	give := func(err error) error {
		ns.Shutdown()
		<-started
		ns.WaitForShutdown()
		return err
	}
	select {
	case <-started:
	case err := <-log.fatal:
		return give(err)
	case <-ctx.Done():
		// A server that is stopped while it opens its store keeps part of it open, and goes on writing there by path: it is
		// given the time that opening takes, unless that is very long.
		select {
		case <-started:
		case <-time.After(startedLimit):
		}
		return give(fmt.Errorf("starting: %w", context.Cause(ctx)))
	}
	for deadline := time.Now().Add(30 * time.Second); !ns.ReadyForConnections(50 * time.Millisecond); {
		select {
		case err := <-log.fatal:
			return give(err)
		case <-ctx.Done():
			return give(fmt.Errorf("opening its ports: %w", context.Cause(ctx)))
		default:
		}
		if time.Now().After(deadline) {
			return give(errors.New("its ports did not open within 30 s"))
		}
	}
	select {
	case err := <-log.fatal:
		return give(err)
	default:
		return nil
	}
}

// Unwrap returns the nats-server within.
func (s *Server) Unwrap() *server.Server { return s.ns }

// Name is the server's name.
func (s *Server) Name() string { return s.cfg.ServerName }

// Tag returns what follows the prefix in the first of the server's tags that has it.
func (s *Server) Tag(prefix string) (string, bool) { return ServerInfo{Tags: s.cfg.Tags}.Tag(prefix) }

// ClientURL is where clients connect. Of a server that listens on all addresses it has the host that it advertises to members,
// if there is one.
func (s *Server) ClientURL() string {
	u, err := url.Parse(s.ns.ClientURL())
	if err != nil || s.cfg.Cluster == nil {
		return s.ns.ClientURL()
	}
	host, _, err := net.SplitHostPort(s.cfg.Cluster.Advertise)
	if ip := net.ParseIP(u.Hostname()); err != nil || host == "" || ip == nil || !ip.IsUnspecified() {
		return u.String()
	}
	u.Host = net.JoinHostPort(host, u.Port())
	return u.String()
}

// RouteURL is where other servers connect, empty without a cluster.
func (s *Server) RouteURL() string {
	if s.cfg.Cluster == nil {
		return ""
	}
	return s.cfg.Cluster.self().String()
}

// InProcess connects to an account without the network. The connection ends with the server, or
// before if the caller closes it.
func (s *Server) InProcess(account string) (*nats.Conn, error) {
	opts := []nats.Option{
		nats.Name(s.cfg.ServerName + " itself"), nats.InProcessServer(s.ns), nats.MaxReconnects(-1),
		nats.ReconnectWait(50 * time.Millisecond), nats.IgnoreDiscoveredServers(), nats.Timeout(handshake),
		nats.CustomInboxPrefix("_NODE"), // the history account's _INBOX reaches users
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			s.log.Debug("in-process connection", "account", account, "error", err)
		}),
	}
	nc, err := nats.Connect("", append(opts, s.connect(account)...)...)
	if err != nil {
		return nil, fmt.Errorf("in-process connection of %s to account %s: %w", s.cfg.ServerName, account, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopping.Load() {
		nc.Close()
		return nil, fmt.Errorf("in-process connection of %s: the server is stopping", s.cfg.ServerName)
	}
	s.conns = append(s.conns, nc)
	return nc, nil
}

// Map sends on what the clients of this server publish to a subject of an account, to another subject that has the same wildcards in
// the same order. An empty destination ends that. A client needs to be permitted the destination.
func (s *Server) Map(account, subject, destination string) error {
	acc, err := s.ns.LookupAccount(account)
	if err != nil {
		return fmt.Errorf("map %s in account %s: %w", subject, account, err)
	}
	if destination == "" {
		acc.RemoveMapping(subject)
		return nil
	}
	if err := acc.AddMapping(subject, wildcards(destination)); err != nil {
		return fmt.Errorf("map %s to %s in account %s: %w", subject, destination, account, err)
	}
	return nil
}

// wildcards numbers a subject's wildcards, as mappings want it.
func wildcards(subject string) string {
	tokens, n := strings.Split(subject, "."), 0
	for i, t := range tokens {
		if t == "*" {
			n++
			tokens[i] = fmt.Sprintf("{{wildcard(%d)}}", n)
		}
	}
	return strings.Join(tokens, ".")
}

// own is the connection for this package's own requests to an account.
func (s *Server) own(account string) (*nats.Conn, error) {
	s.mu.Lock()
	nc := s.owned[account]
	s.mu.Unlock()
	if nc != nil && !nc.IsClosed() {
		return nc, nil
	}
	nc, err := s.InProcess(account)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owned[account] = nc // a second one, made at the same time, is closed with the server like any other
	return nc, nil
}

// Stop stops the server at once, without handing anything over, and waits until nothing is left of it.
func (s *Server) Stop() { s.stop(s.ns.Shutdown) }

func (s *Server) stop(shutdown func()) {
	s.mu.Lock()
	s.stopping.Store(true)
	conns := s.conns
	s.conns, s.owned = nil, map[string]*nats.Conn{}
	s.mu.Unlock()
	s.cancel()
	for _, nc := range conns {
		nc.Close()
	}
	shutdown()
	s.ns.Shutdown() // nothing to do, unless the way to it was cut short
	s.ns.WaitForShutdown()
	s.wg.Wait()
}
