// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"slices"
	"strconv"
)

// ErrNotInRoutes means that a joiner's routes leave itself out. Two such joiners would take each other
// for the whole cluster while the others can't be reached, and lose its streams.
var ErrNotInRoutes = errors.New("the routes leave the node itself out")

// Join starts a server on an empty store that waits to be taken in by the members its routes name. The
// routes must include the node itself, by its host and port (ErrNotInRoutes).
// It returns when clients can connect; MetaHealthy tells when JetStream can be used.
func Join(ctx context.Context, cfg ServerConfig) (*Server, error) {
	if cfg.Cluster == nil {
		return nil, fmt.Errorf("server %s: a joiner needs a cluster", cfg.ServerName)
	}
	if err := cfg.Cluster.CheckRoutes(ctx); err != nil {
		return nil, fmt.Errorf("server %s: %w", cfg.ServerName, err)
	}
	return startMember(ctx, cfg)
}

// CheckRoutes returns ErrNotInRoutes unless one of the routes leads to this node: it is the one that
// is advertised; or the port is the cluster's, and the host is the cluster's or resolves to an
// address of this machine.
func (c *ClusterConfig) CheckRoutes(ctx context.Context) error {
	var hosts []string
	for _, r := range c.Routes {
		if c.leadsHere(ctx, r) {
			return nil
		}
		hosts = append(hosts, r.Host)
	}
	return fmt.Errorf("%w: --routes %v, but this node is %s port %d (--bind, --cluster-port); list all members, itself included",
		ErrNotInRoutes, hosts, c.Host, c.Port)
}

func (c *ClusterConfig) leadsHere(ctx context.Context, r *url.URL) bool {
	if c.Advertise != "" && r.Host == c.Advertise {
		return true
	}
	if r.Port() == "" || r.Port() != strconv.Itoa(c.Port) {
		return false
	}
	if r.Hostname() == c.Host {
		return true
	}
	addresses, err := net.DefaultResolver.LookupHost(ctx, r.Hostname())
	if err != nil {
		return false // a name that nobody knows yet is not this node's
	}
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return false // a machine without addresses is led to by nothing
	}
	return slices.ContainsFunc(nets, func(a net.Addr) bool {
		ip, ok := a.(*net.IPNet)
		return ok && slices.Contains(addresses, ip.IP.String())
	})
}
