// SPDX-License-Identifier: Apache-2.0

package embeddednats_test

import (
	"sync/atomic"
	"testing"

	"github.com/unibus/unibus/internal/embeddednats"
	"github.com/unibus/unibus/internal/natstest"
)

// TestRoutePasswordIsReplacedLive: who shows another password is let in as soon as it is accepted, with nothing restarted; who is in stays in when it
// no longer is; and nobody else is let in by that.
func TestRoutePasswordIsReplacedLive(t *testing.T) {
	log, strange := natstest.NewLog(), natstest.NewLog()
	var also atomic.Pointer[[]string]
	also.Store(new([]string))
	cfgs := natstest.MustConfigs(t, 4, natstest.Options{Secret: "s3cret", Configure: func(i int, cfg *embeddednats.ServerConfig) {
		cfg.Logger = log.Logger()
		switch i {
		case 0:
			cfg.Cluster.Also = func() []string { return *also.Load() }
		case 1:
			cfg.Cluster.Password = "n3xt"
		case 2:
			cfg.Cluster.Password, cfg.Cluster.Routes, cfg.Logger = "guessed", cfg.Cluster.Routes[:1], strange.Logger()
		case 3:
			cfg.Cluster.User, cfg.Cluster.Routes, cfg.Logger = "somebody", cfg.Cluster.Routes[:1], strange.Logger()
		}
		cfg.Cluster.Routes = cfg.Cluster.Routes[:min(2, len(cfg.Cluster.Routes))]
	}})
	first, second := natstest.MustStart(t, embeddednats.Probe, cfgs[0]), natstest.MustStart(t, embeddednats.Probe, cfgs[1])
	expectNoRoute(t, []*natstest.Node{first, second}, log, "authentication error")

	also.Store(&[]string{"", "n3xt"})
	expectForwards(t, []*natstest.Node{first, second})
	route := routeTo(t, first, "n1")
	for _, cfg := range cfgs[2:] {
		stranger := natstest.MustStart(t, embeddednats.Probe, cfg)
		natstest.Within(t, natstest.Patience, "a stranger refused", func() bool { return strange.Said("server="+cfg.ServerName, "Authorization Violation") })
		if routeTo(t, stranger, "n0") != 0 {
			t.Errorf("the stranger %s has a route", cfg.ServerName)
		}
	}
	also.Store(new([]string))
	expectForwards(t, []*natstest.Node{first, second})
	if again := routeTo(t, first, "n1"); again != route || route == 0 {
		t.Errorf("the route to n1 is number %d, and was %d", again, route)
	}
	for _, secret := range []string{"s3cret", "n3xt", "guessed"} {
		if log.Said(secret) || strange.Said(secret) {
			t.Errorf("the log tells the secret %q", secret)
		}
	}
}

// routeTo is the number of a node's connection to a server, 0 when there is none.
func routeTo(t *testing.T, n *natstest.Node, name string) uint64 {
	t.Helper()
	z, err := n.Unwrap().Routez(nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range z.Routes {
		if r.RemoteName == name {
			return r.Rid
		}
	}
	return 0
}
