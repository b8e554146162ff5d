// SPDX-License-Identifier: Apache-2.0

package membershipd

import (
	"context"
	"fmt"
	"net/url"
	"strconv"

	"github.com/unibus/unibus/internal/embeddednats"
)

// serverConfig is what formation starts NATS with.
func (n *node) serverConfig(name, _ string, routes []*url.URL) (embeddednats.ServerConfig, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.gated {
		switch ok, v, err := n.supervisor.store.enough(); {
		case err != nil:
			return embeddednats.ServerConfig{}, fmt.Errorf("space for the store in %s: %w", n.supervisor.store.dir, err)
		case !ok:
			return embeddednats.ServerConfig{}, fmt.Errorf("the volume of %s has %d of %d bytes free and NATS is started again at %d: free some, or enlarge it",
				n.supervisor.store.dir, v.Free, v.Total, margin(v))
		}
		n.gated = false
	}
	c := n.plan.server
	c.ServerName = name
	cluster := *c.Cluster
	if len(routes) > 0 {
		cluster.Routes = routes
	}
	if n.clientPort != 0 {
		c.Port, cluster.Port = n.clientPort, n.routePort
	}
	if n.plan.secrets != nil {
		cluster.Password, cluster.Also = n.plan.secrets.dial(), n.plan.secrets.accepted
	}
	c.Cluster = &cluster
	return c, nil
}

// keepPorts remembers where a server listens: clients and members know it there.
func (n *node) keepPorts(s *embeddednats.Server) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clientPort, n.routePort = portOf(s.ClientURL()), portOf(s.RouteURL())
}

// portOf returns the port of a URL, 0 if it has none.
func portOf(raw string) int {
	u, err := url.Parse(raw)
	if err != nil {
		return 0
	}
	port, err := strconv.Atoi(u.Port())
	if err != nil {
		return 0
	}
	return port
}

// restart stops the embedded server and starts it again, with full set only once the store's volume has space.
func (n *node) restart(ctx context.Context, reason string, full bool) error {
	n.mu.Lock()
	n.gated = n.gated || full
	n.mu.Unlock()
	return n.formation.Restart(ctx, reason)
}
