// SPDX-License-Identifier: Apache-2.0

package formation

import (
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"time"

	v1 "github.com/unibus/unibus/api/membership/v1"
	"github.com/unibus/unibus/internal/embeddednats"
)

// Mode is how a node whose disk is empty gets its identity. With an identity on the disk all modes are the same.
type Mode string

const (
	// ModeOrder waits for a signed order. It is the default.
	ModeOrder Mode = "order"
	// ModeFound founds a new cluster of this one node, at once.
	ModeFound Mode = "found"
	// ModeBootstrap founds a new cluster together with all nodes of the configured routes, once all of them are seen.
	ModeBootstrap Mode = "bootstrap"
	// ModeJoin joins the running cluster that the configured routes lead to, and never founds.
	ModeJoin Mode = "join"
)

// Modes are all of them.
var Modes = []Mode{ModeOrder, ModeFound, ModeBootstrap, ModeJoin}

// Config says what a node may become.
type Config struct {
	// StoreDir is the folder of everything that the node keeps. It is made if it is not there.
	StoreDir string
	// ClusterName is the NATS cluster's. A disk of another one is refused.
	ClusterName string
	// ClusterID, when set, refuses disks and orders of any other cluster id.
	ClusterID string
	// ServerName, when set, refuses disks and orders of any other name. ModeBootstrap and ModeJoin need it.
	ServerName string
	// Mode defaults to ModeOrder.
	Mode Mode
	// Server returns how the server is to be started as name. routes are those of the order; when there are none, those
	// of the configuration are to be used. What formation decides (store folder, name, tags, JetStream) it sets itself.
	Server func(name, clusterID string, routes []*url.URL) (embeddednats.ServerConfig, error)
	// Verify checks a signature of the cluster's order key. nil: there is no key, and every order is refused.
	Verify func(message, signature []byte) error
	// Denied returns server names that were removed or are being removed, as far as this node was told. It is used only
	// to deny. nil: none.
	Denied func() []string
	// Members returns server names that are members, as far as this node was told. It is used only to deny: a disk from when its
	// server was alone does not start by itself while there are others. nil: none.
	Members func() []string
	// ChangeTimers makes a disk take the Raft timers that Server returns in place of those that it started with before.
	// All nodes of the cluster must be stopped.
	ChangeTimers bool
	// OnServer is called with each server once it runs, OnStop before it goes; they are called one at a time, in
	// turns, and must not block for long. nil: nobody is told.
	OnServer, OnStop func(*embeddednats.Server)
	// RouteURL is where peers reach this node; empty: where its server listens, told only while it runs.
	RouteURL string
	// RouteSecrets are told in the status, as marks with the nonce. nil: none are.
	RouteSecrets func(nonce string) *v1.RouteSecrets
	// HTTPURL is told in the status. nil: nothing is.
	HTTPURL func() string
	// Version is told in the status.
	Version string
	// StopTimeout is how long a server may take to hand over its leaderships and stop, 30 s by default.
	StopTimeout time.Duration
	// Logger defaults to slog.Default().
	Logger *slog.Logger
	// Now defaults to time.Now. It names the folders of stores that are set aside; nothing is decided by it.
	Now func() time.Time

	step func(point string) error
}

func (c *Config) complete() error {
	if c.Mode == "" {
		c.Mode = ModeOrder
	}
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = 30 * time.Second
	}
	if c.Denied == nil {
		c.Denied = func() []string { return nil }
	}
	if c.Members == nil {
		c.Members = func() []string { return nil }
	}
	switch {
	case c.StoreDir == "":
		return errors.New("no store folder: set --store-dir")
	case c.ClusterName == "":
		return errors.New("no cluster name: set --cluster-name")
	case c.Server == nil:
		return errors.New("no server configuration")
	case !slices.Contains(Modes, c.Mode):
		return fmt.Errorf("formation mode %q: set --formation to one of %v", c.Mode, Modes)
	case c.ServerName == "" && (c.Mode == ModeBootstrap || c.Mode == ModeJoin):
		return fmt.Errorf("formation mode %q needs a server name: set --server-name", c.Mode)
	case c.ServerName != "" && !v1.ValidName(c.ServerName), c.ServerName == embeddednats.HelperName:
		return fmt.Errorf("server name %q: set --server-name to 1 to 128 letters, digits, '.', '_' and '-'", c.ServerName)
	}
	return nil
}

// denied says whether a name must not be used.
func (c *Config) denied(name string) bool { return slices.Contains(c.Denied(), name) }

// others returns the members that this node was told of beside itself.
func (c *Config) others(name string) []string {
	return slices.DeleteFunc(slices.Clone(c.Members()), func(m string) bool { return m == name })
}
