// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
)

// serve starts NATS as the disk says and returns when it is stopped: with nil when ctx ended, with the reason when it did
// not start.
func (f *Formation) serve(ctx context.Context) error {
	f.change.Lock()
	i := f.disk.identity
	// A write that failed half way may be visible and not durable: nothing starts on it.
	err := syncDir(f.disk.dir)
	f.change.Unlock()
	if err != nil {
		return err
	}
	f.mu.Lock()
	phase, reason := v1.NodeStarting, "NATS is being started as "+i.ServerName
	if f.repair != "" {
		phase, reason = v1.NodeRepairing, f.repair
	}
	f.mu.Unlock()
	f.say(phase, reason)

	srv, err := f.start(ctx, i)
	if err != nil {
		return err
	}
	defer f.stop(ctx, srv)
	stopAnswering, err := f.answer(srv)
	if err != nil {
		return err
	}
	defer stopAnswering()
	if err := f.settle(ctx, srv, i); err != nil {
		return err
	}
	f.set(func() {
		f.phase, f.reason, f.repair, f.server = v1.NodeRunning, "", "", srv
		f.runs++
	})
	f.log.Info("NATS runs", "server", i.ServerName, "clients", srv.ClientURL(), "routes", srv.RouteURL())
	if f.cfg.OnServer != nil {
		f.cfg.OnServer(srv)
	}
	f.watchRemoval(ctx, srv)
	<-ctx.Done()
	switch why := context.Cause(ctx); {
	case errors.Is(why, errRestart): // said by Restart
	case errors.Is(why, errRetired):
		f.say(v1.NodeRunning, "NATS is being stopped: "+why.Error())
	default:
		f.say(v1.NodeStopping, "the process ends: NATS is being stopped")
	}
	if f.cfg.OnStop != nil {
		f.cfg.OnStop(srv)
	}
	return nil
}

// watchRemoval waits until ctx ends or the server was removed from the meta group. It was without a mark only if it was
// taken for lost: then it is marked as retired, so that its next boot waits instead of being refused for its missing store.
func (f *Formation) watchRemoval(ctx context.Context, srv *embeddednats.Server) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		if !srv.Removed() {
			continue
		}
		f.change.Lock()
		var err error
		if f.disk.identity.Mark == "" {
			f.log.Warn("removed from the cluster while not marked as leaving", "server", srv.Name())
			err = f.disk.mark(v1.MarkRetired)
			f.publish(nil)
		}
		f.change.Unlock()
		if err == nil {
			return
		}
		f.log.Error("mark the disk of a removed server", "error", err)
	}
}

// start picks the recipe by what the disk is, and by how far it came.
func (f *Formation) start(ctx context.Context, i *identity) (*embeddednats.Server, error) {
	cfg, err := f.serverConfig(i.ServerName, i.ClusterID, i.Routes)
	if err != nil {
		return nil, err
	}
	if err := f.keepTimers(&cfg); err != nil {
		return nil, err
	}
	cfg.JetStream = true
	switch {
	case i.founding():
		srv, err := embeddednats.Found(ctx, cfg)
		if errors.Is(err, embeddednats.ErrOtherMembers) && f.cfg.Mode == ModeFound {
			return nil, refuse("to found another cluster, correct --routes; to join that one, set this store, which holds nothing yet, aside and "+
				"give --formation join and a --server-name that was never used", "--formation found: %w", err)
		}
		return srv, err
	case i.State == stateNew && i.Formed == formedBootstrap:
		return embeddednats.Join(ctx, cfg)
	case i.State == stateNew:
		neverElect(ctx, cfg.Cluster)
		return embeddednats.Join(ctx, cfg)
	default:
		return embeddednats.Resume(ctx, cfg)
	}
}

// joinerSize is how many members a joiner believes the meta group to have until the group's leader tells it the truth.
const joinerSize = 32

// neverElect makes sure that joiners never make a meta group of their own, whatever their routes are and whoever is away.
// An empty server takes the number of its routes for the size of the group, and empty servers elect a leader once all of
// that number are there; a server without JetStream, such as one that looks around before it forms, even lowers it. So a
// joiner gets its own route many times: it dials itself, drops that, and waits for a leader that has more than it.
func neverElect(ctx context.Context, c *embeddednats.ClusterConfig) {
	for _, r := range c.Routes {
		self := *c
		self.Routes = []*url.URL{r}
		if self.CheckRoutes(ctx) != nil {
			continue
		}
		routes := append([]*url.URL(nil), c.Routes...)
		for len(routes) < joinerSize {
			routes = append(routes, r)
		}
		c.Routes = routes
		return
	}
}

// serverConfig is the configuration's word, and over it what formation decides.
func (f *Formation) serverConfig(name, clusterID string, routes []string) (embeddednats.ServerConfig, error) {
	var urls []*url.URL
	for _, r := range routes {
		u, err := url.Parse(r)
		if err != nil {
			return embeddednats.ServerConfig{}, fmt.Errorf("route of the order: %w", err)
		}
		urls = append(urls, u)
	}
	cfg, err := f.cfg.Server(name, clusterID, urls)
	if err != nil {
		return cfg, fmt.Errorf("configure server: %w", err)
	}
	if cfg.Cluster == nil {
		return cfg, errors.New("configure server: no cluster section: a standalone store could never become a cluster's")
	}
	cluster := *cfg.Cluster
	cluster.Name = f.cfg.ClusterName
	cfg.Cluster = &cluster
	cfg.ServerName, cfg.StoreDir = name, f.disk.dir
	cfg.Tags = append(append([]string(nil), cfg.Tags...), embeddednats.TagState+tagState(clusterID))
	if clusterID != "" {
		cfg.Tags = append(cfg.Tags, embeddednats.TagCluster+clusterID)
	}
	return cfg, nil
}

func tagState(clusterID string) string {
	if clusterID == "" {
		return embeddednats.StateForming
	}
	return embeddednats.StateMember
}

// settle makes durable what the start has achieved.
func (f *Formation) settle(ctx context.Context, srv *embeddednats.Server, i *identity) error {
	switch {
	case i.State == stateComplete:
		return nil
	case i.Formed != formedBootstrap:
		return f.advance(i.ClusterID, stateComplete)
	}
	if err := f.advance("", stateBegun); err != nil {
		return err
	}
	f.say(v1.NodeStarting, "waiting for the cluster to settle and agree on its id")
	id, err := f.agree(ctx, srv)
	if err != nil {
		return err
	}
	return f.advance(id, stateComplete)
}

// advance moves the identity's state on, leaving alone what orders changed meanwhile. A store that does not have the
// state of a meta group yet keeps its state, since the next boot would refuse it.
func (f *Formation) advance(clusterID, state string) error {
	f.change.Lock()
	defer f.change.Unlock()
	if !f.disk.hasMeta() {
		return fmt.Errorf("NATS runs, but %s holds no cluster state", f.disk.path(storeDir))
	}
	i := *f.disk.identity
	i.ClusterID, i.State = clusterID, state
	defer f.publish(nil)
	return f.disk.putIdentity(i)
}

// stop ends a server. It takes its time even when the process is about to end: leaderships are handed over.
func (f *Formation) stop(ctx context.Context, srv *embeddednats.Server) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), f.cfg.StopTimeout)
	defer cancel()
	if err := srv.Shutdown(ctx); err != nil {
		f.log.Warn("NATS did not stop in order", "error", err)
		srv.Stop()
	}
	f.set(func() {
		f.server = nil
		if f.phase == v1.NodeRunning {
			f.phase, f.reason = v1.NodeStarting, "NATS was stopped"
		}
	})
}
