// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"cmp"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
)

const (
	defaultPayload       = 1 << 20
	defaultConnections   = 1 << 16
	defaultPending       = 64 << 20
	defaultSubscriptions = 10_000
	handshake            = 10 * time.Second // busy cores must not look like an attack
	// What lame duck takes at most, once every leadership is elsewhere.
	lameDuck, lameDuckGrace = time.Second, 100 * time.Millisecond
)

// accounts is text because server.Options has no exported way to switch JetStream on for an account.
// What history streams republish under log.*, and what they answer into inboxes, reaches the clients, and nobody else. An export of a
// stream goes one way: what a client publishes under such a name stays in the clients' account.
func accounts(jetStream bool) string {
	js := ""
	if jetStream {
		js = "jetstream: enabled"
	}
	return fmt.Sprintf(`accounts {
 %[1]s {}
 %[2]s { imports: [
  {stream: {account: %[4]s, subject: "log.*"}},
  {stream: {account: %[4]s, subject: "_INBOX.>"}}] }
 %[3]s { %[6]s }
 %[4]s { %[6]s
  exports: [
   {stream: "log.*", accounts: [%[2]s]},
   {stream: "_INBOX.>", accounts: [%[2]s]}] }
 %[5]s {}
}
system_account: %[1]s
`, AccountSystem, AccountClients, AccountMembership, AccountHistory, AccountEmpty, js)
}

// prepare fills in defaults, refuses what is not safe, and fixes the ports.
func (cfg ServerConfig) prepare() (ServerConfig, error) {
	cfg.Host = cmp.Or(cfg.Host, "127.0.0.1")
	if cfg.Logger == nil {
		cfg.Logger = slog.Default()
	}
	if cfg.ServerName == "" {
		return cfg, errors.New("a server needs a name (--server-name)")
	}
	if (cfg.Auth == nil || cfg.TLS == nil) && !loopback(cfg.Host) {
		return cfg, fmt.Errorf("an open server (no authentication or no TLS) on %s (--bind): only loopback may be open", cfg.Host)
	}
	if cfg.Auth != nil && cfg.Connect == nil {
		return cfg, errors.New("a server with an authenticator needs credentials for its own connections")
	}
	if cfg.JetStream && cfg.StoreDir == "" {
		return cfg, errors.New("JetStream needs a folder (--store-dir)")
	}
	if err := cfg.Timers.validate(); err != nil {
		return cfg, err
	}
	var err error
	if _, err = takePort("--port", cfg.Host, cfg.Port); err != nil {
		return cfg, err
	}
	if cfg.Cluster == nil {
		return cfg, nil
	}
	c := *cfg.Cluster
	cfg.Cluster = &c
	c.Host = cmp.Or(c.Host, "127.0.0.1")
	if !loopback(c.Host) && (c.Password == "" || c.TLS == nil) {
		return cfg, fmt.Errorf("a cluster on %s (--bind) needs a route secret and mutual route TLS; only loopback may do without", c.Host)
	}
	if c.TLS != nil && c.TLS.InsecureSkipVerify && c.TLS.VerifyConnection == nil {
		return cfg, errors.New("route TLS that verifies nobody: set VerifyConnection, or leave the standard verification on")
	}
	if c.Password == "" && c.Also != nil {
		return cfg, errors.New("a cluster without a route secret accepts every server: give one (--cluster-pass-file) beside which others are accepted")
	}
	if c.Name == "" {
		return cfg, errors.New("a cluster needs a name (--cluster-name)")
	}
	c.Port, err = takePort("--cluster-port", c.Host, c.Port)
	return cfg, err
}

// options are those of nats-server, for a prepared configuration.
func (cfg ServerConfig) options() (*server.Options, error) {
	o := &server.Options{}
	if err := o.ProcessConfigString(accounts(cfg.JetStream)); err != nil { // first: it fills the accounts
		return nil, fmt.Errorf("accounts of the embedded server: %w", err)
	}
	o.ServerName, o.Tags = cfg.ServerName, slices.Clone(cfg.Tags)
	o.Host, o.Port = cfg.Host, cmp.Or(cfg.Port, server.RANDOM_PORT) // a port that was free a moment ago may be taken when it listens
	o.NoSigs, o.NoLog, o.DisableJetStreamBanner = true, true, true  // signals and output are the process's
	o.Debug = cfg.Debug
	if cfg.Debug {
		o.HTTPHost, o.HTTPPort = "127.0.0.1", -1
	}
	o.AlwaysEnableNonce, o.AuthTimeout = true, handshake.Seconds()
	if cfg.TLS != nil {
		o.TLS, o.TLSConfig, o.TLSTimeout = true, cfg.TLS, handshake.Seconds()
	}
	o.MaxPayload = cmp.Or(cfg.Limits.MaxPayload, defaultPayload)
	o.MaxConn = cmp.Or(cfg.Limits.MaxConnections, defaultConnections)
	o.MaxPending = cmp.Or(cfg.Limits.MaxPending, defaultPending)
	o.MaxSubs = cmp.Or(cfg.Limits.MaxSubscriptions, defaultSubscriptions)
	o.LameDuckDuration, o.LameDuckGracePeriod = lameDuck, lameDuckGrace
	if cfg.JetStream {
		o.JetStream, o.StoreDir = true, cfg.StoreDir
		o.SyncAlways, o.SyncInterval = cfg.SyncAlways, cfg.SyncInterval
		if o.JetStreamMaxStore = cfg.Limits.StoreBytes; o.JetStreamMaxStore == 0 {
			var err error
			if o.JetStreamMaxStore, err = storeLimit(cfg.StoreDir); err != nil {
				return nil, err
			}
		}
	}
	if c := cfg.Cluster; c != nil {
		o.Cluster = server.ClusterOpts{
			Name: c.Name, Host: c.Host, Port: c.Port, Username: c.User, Password: c.Password,
			AuthTimeout: handshake.Seconds(), PoolSize: -1, NoAdvertise: true, ConnectBackoff: true,
			Advertise: c.Advertise,
		}
		if c.Password != "" {
			o.CustomRouterAuthentication = routeAuth{user: c.User, password: c.Password, also: c.Also}
		}
		if c.TLS != nil {
			o.Cluster.TLSConfig, o.Cluster.TLSTimeout = c.TLS, handshake.Seconds()
		}
		for _, r := range c.Routes {
			o.Routes = append(o.Routes, c.withSecret(r))
		}
	}
	return o, nil
}

// leaf opens the listener that a companion connects to: loopback, with a secret of its own, bound to
// an account with nothing in it.
func leaf(o *server.Options) {
	o.LeafNode.Host, o.LeafNode.Port = "127.0.0.1", -1
	o.LeafNode.Username, o.LeafNode.Password, o.LeafNode.Account = rand.Text(), rand.Text(), AccountEmpty
}

// withSecret returns the route with the secret of the cluster, which the dialing end takes from there.
func (c *ClusterConfig) withSecret(route *url.URL) *url.URL {
	u := *route
	if u.User == nil && c.Password != "" {
		u.User = url.UserPassword(c.User, c.Password)
	}
	return &u
}

// self is the node's own route, as the node itself can dial it.
func (c *ClusterConfig) self() *url.URL {
	host := strings.Trim(c.Host, "[]")
	switch host {
	case "0.0.0.0":
		host = "127.0.0.1"
	case "::":
		host = "::1"
	}
	return &url.URL{Scheme: "nats", Host: net.JoinHostPort(host, strconv.Itoa(c.Port))}
}
