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

// CheckRoutes returns ErrNotInRoutes unless one of the routes leads to this node: the port is the
// cluster's, and the host is the cluster's or resolves to an address of this machine.
func (c *ClusterConfig) CheckRoutes(ctx context.Context) error {
	own, err := ownAddresses()
	if err != nil {
		return err
	}
	var hosts []string
	for _, r := range c.Routes {
		hosts = append(hosts, r.Host)
		if r.Port() == "" || r.Port() != strconv.Itoa(c.Port) {
			continue
		}
		if r.Hostname() == c.Host || c.resolvesTo(ctx, r, own) {
			return nil
		}
	}
	return fmt.Errorf("%w: --routes %v, but this node is %s port %d (--bind, --cluster-port); list all members, itself included",
		ErrNotInRoutes, hosts, c.Host, c.Port)
}

func (c *ClusterConfig) resolvesTo(ctx context.Context, r *url.URL, own []string) bool {
	addresses, err := net.DefaultResolver.LookupHost(ctx, r.Hostname())
	if err != nil {
		return false // a name that nobody knows yet is not this node's
	}
	return slices.ContainsFunc(addresses, func(a string) bool { return slices.Contains(own, a) })
}

func ownAddresses() ([]string, error) {
	nets, err := net.InterfaceAddrs()
	if err != nil {
		return nil, fmt.Errorf("addresses of this machine: %w", err)
	}
	var own []string
	for _, n := range nets {
		if ip, ok := n.(*net.IPNet); ok {
			own = append(own, ip.IP.String())
		}
	}
	return own, nil
}
