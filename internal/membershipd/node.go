// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/busauth"
	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/formation"
	"github.com/unibus/unibus/internal/httpapi"
)

// plan is what a node is made of, once its configuration has been read and guarded.
type plan struct {
	log *slog.Logger
	// formation has everything but what the node itself gives it: Server, the callbacks and the URLs.
	formation formation.Config
	// server is how NATS is started, the name and the routes aside.
	server embeddednats.ServerConfig
	// http, control and api are addresses to listen on; controlTLS and apiTLS are nil on loopback only. An open node has no API.
	http, control, api string
	controlTLS, apiTLS *tls.Config
	// apiLimits bound what callers of the API may take; the defaults, but in tests.
	apiLimits httpapi.Limits
	// admins are public nkeys of the first admins of the bus, operators those of its operators.
	admins, operators []string
	// repair is false when NATS must not be restarted within the process, whatever happens.
	repair bool
	// patience is how long a replica may stand still before it is repaired.
	patience time.Duration
	files    map[string]*busauth.Files // certificates by use: route, which is control's as well, and client
	members  *members                  // nil on an open node
	secrets  *routeSecrets             // nil without any
}

const (
	// drainLimit is how long open HTTP requests may take once the node has stopped.
	drainLimit = 5 * time.Second
	// readLimit is how long a client may take to send a request, writeLimit until it has read the answer. The longest one, whether a
	// restart is safe, takes some seconds.
	readLimit, writeLimit = 10 * time.Second, time.Minute
	// maxHeader is the most bytes of a request's header.
	maxHeader = 16 << 10
)

// node is a running membershipd.
type node struct {
	plan       plan
	log        *slog.Logger
	health     *health
	metrics    *metrics
	supervisor *supervisor
	formation  *formation.Formation
	httpURL    string
	controlURL string
	apiURL     string
	listeners  []served
	cluster    atomic.Pointer[v1.Cluster] // as long as the server is the same

	mu sync.Mutex
	// gate is closed after a store error and opened by space: NATS must not be started on a full volume again and again.
	gated bool
	// clientPort and routePort are those of the first start, so that a restart within the process keeps them.
	clientPort, routePort int
}

// served is one HTTP server.
type served struct {
	name     string
	listener net.Listener
	server   *http.Server
}

// newNode opens the disk and binds the ports. What it has opened is closed by run, or by close if it is never run.
func newNode(p plan) (*node, error) {
	if err := errors.Join(free("--port", p.server.Host, p.server.Port), free("--cluster-port", p.server.Cluster.Host, p.server.Cluster.Port)); err != nil {
		return nil, err
	}
	n := &node{plan: p, log: p.log, health: newHealth(time.Now), metrics: newMetrics()}
	store := newSpace(p.formation.StoreDir)
	n.supervisor = n.newSupervisor(store)
	build := readBuildInfo()
	c := p.formation
	c.Version, c.Logger, c.Server = build.Version, p.log, n.serverConfig
	c.OnServer = func(s *embeddednats.Server) { n.keepPorts(s); n.cluster.Store(nil); n.supervisor.tell(s) }
	c.OnStop = func(*embeddednats.Server) { n.supervisor.tell(nil); p.secrets.stopped() }
	c.HTTPURL = func() string { return n.httpURL }
	var err error
	if n.formation, err = formation.Open(c); err != nil {
		return nil, err
	}
	n.metrics.serve(sources{build: build, health: n.health, space: store, server: n.formation.Server,
		phase: func() string { return string(n.formation.Status().Phase) }, files: p.files, members: p.members, secrets: p.secrets})
	e := newEndpoints(n.health, n.formation.Status, n.formation.Server)
	n.controlURL, err = n.listen("control", "--control-port", p.control, p.controlTLS, n.countOrders(n.formation.Handler()))
	if err == nil {
		n.httpURL, err = n.listen("http", "--http-port", p.http, nil, e.handler(n.metrics))
	}
	if err == nil && p.members != nil {
		n.apiURL, err = n.offerAPI()
	}
	if err != nil {
		return nil, errors.Join(err, n.close())
	}
	n.log.Info("membershipd", "version", build.String(), "store", p.formation.StoreDir, "control", n.controlURL, "http", n.httpURL,
		"api", n.apiURL)
	return n, nil
}

// newSupervisor returns one of the node's server; only one may run.
func (n *node) newSupervisor(store *space) *supervisor {
	return &supervisor{log: n.log, now: time.Now, health: n.health, metrics: n.metrics, restart: n.restart, repair: n.plan.repair,
		store: store, patience: n.plan.patience, members: n.plan.members, servers: make(chan *embeddednats.Server, 1)}
}

// free says whether a port that NATS is to listen on later is free now: a node that waits for an order for days must not find out
// then. Another process may take it meanwhile, which the start tells again and again.
func free(flag, host string, port int) error {
	if port == 0 {
		return nil
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(port)))
	if err != nil {
		return inUse(flag, err)
	}
	return l.Close()
}

func inUse(flag string, err error) error {
	return fmt.Errorf("%s: %w; give another port (0 for any free one), or end what holds it", flag, err)
}

// listen binds an address and returns its URL. A port in use is told with the flag that sets it.
func (n *node) listen(name, flag, addr string, tlsConfig *tls.Config, h http.Handler) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", inUse(flag, err)
	}
	// Nobody holds a connection by being slow: whoever sends or reads slowly is cut off.
	return n.add(name, l, tlsConfig, &http.Server{Handler: h, ReadTimeout: readLimit, WriteTimeout: writeLimit,
		IdleTimeout: time.Minute, MaxHeaderBytes: maxHeader, ErrorLog: slog.NewLogLogger(n.log.Handler(), slog.LevelDebug)}), nil
}

// add makes an endpoint of a listener, and returns its URL.
func (n *node) add(name string, l net.Listener, tlsConfig *tls.Config, s *http.Server) string {
	scheme := "http"
	if tlsConfig != nil {
		l, scheme = tls.NewListener(l, tlsConfig), "https"
	}
	n.listeners = append(n.listeners, served{name, l, s})
	return (&url.URL{Scheme: scheme, Host: l.Addr().String()}).String()
}

// run drives the node until the context ends, then stops it in order: unready, changes finished, leaderships handed over, clients told
// to go, NATS stopped, the endpoints closed, the disk given up.
func (n *node) run(ctx context.Context) error {
	var background sync.WaitGroup
	watching, stopWatching := context.WithCancel(context.WithoutCancel(ctx))
	background.Go(func() { n.supervisor.run(watching) })
	for _, s := range n.listeners {
		background.Go(func() {
			if err := s.server.Serve(s.listener); !errors.Is(err, http.ErrServerClosed) {
				n.log.Error("an endpoint has failed", "endpoint", s.name, "error", err)
			}
		})
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	unready := context.AfterFunc(ctx, func() {
		defer stop()
		n.health.setStopping("the node stops")
		if n.plan.members != nil {
			n.plan.members.finish()
		}
	})
	err := n.formation.Run(running)
	if !unready() {
		<-running.Done()
	}
	stop()
	n.health.setStopping("the node stops")
	stopWatching()
	err = errors.Join(err, n.close())
	background.Wait()
	return err
}

// close gives up the ports and the disk.
func (n *node) close() error {
	ctx, cancel := context.WithTimeout(context.Background(), drainLimit)
	defer cancel()
	var all []error
	for _, s := range n.listeners {
		if err := s.server.Shutdown(ctx); err != nil {
			all = append(all, fmt.Errorf("close the %s endpoint: %w", s.name, err), s.server.Close())
		}
		// A server that never served does not know its listener.
		if err := s.listener.Close(); err != nil && !errors.Is(err, net.ErrClosed) {
			all = append(all, fmt.Errorf("close the %s endpoint: %w", s.name, err))
		}
	}
	if err := n.formation.Close(); err != nil {
		all = append(all, err)
	}
	return errors.Join(all...)
}

// countOrders notes what was answered to orders.
func (n *node) countOrders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != v1.PathOrders || r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		s := &statusWriter{ResponseWriter: w, status: http.StatusOK}
		next.ServeHTTP(s, r)
		n.metrics.ordered(s.status == http.StatusOK)
	})
}

type statusWriter struct {
	http.ResponseWriter
	status int
}

// WriteHeader implements http.ResponseWriter.
func (s *statusWriter) WriteHeader(status int) {
	s.status = status
	s.ResponseWriter.WriteHeader(status)
}
