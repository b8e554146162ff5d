// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"crypto/tls"
	"log/slog"
	"net/url"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// Authenticator decides who may connect, and to which account. Bind is called for each server in turn, after it
// is made and before it accepts anybody, so that accounts can be looked up; the last one counts.
type Authenticator interface {
	server.Authentication
	Bind(*server.Server)
}

// ServerConfig says how a server is started.
type ServerConfig struct {
	// ServerName is unique in the cluster, and never reused after its removal.
	ServerName string
	// Host and Port are where clients connect. An empty Host means 127.0.0.1; Port 0 means any free one.
	Host string
	Port int
	// StoreDir is the node's folder; the server keeps its store in the folder "jetstream" within.
	StoreDir string
	// JetStream is off only for servers that look around. Found, Resume and Join turn it on, Probe off.
	JetStream bool
	// Tags are told to the other servers.
	Tags []string
	// TLS is what clients are offered, nil for none. In-process connections never use it.
	TLS *tls.Config
	// Auth decides who may connect. nil means an open server: whoever connects is in AccountHistory.
	// That, and no TLS, is refused off loopback.
	Auth Authenticator
	// Connect returns the credentials of in-process connections to an account. It is ignored by open
	// servers, which make their own.
	Connect func(account string) []nats.Option
	Limits  Limits
	// Timers are Raft's. The zero value leaves the stock ones. See RaftTimers.
	Timers RaftTimers
	// SyncAlways makes every write durable before it is acknowledged. Otherwise SyncInterval is how long
	// a write may be in memory alone, 2 minutes by default.
	SyncAlways   bool
	SyncInterval time.Duration
	// Cluster is nil only for a standalone server, whose store no cluster can ever use.
	Cluster *ClusterConfig
	// Logger gets what the server says; nil means slog.Default().
	Logger *slog.Logger
	// Debug adds the server's debug log, and its monitoring on a free port of 127.0.0.1.
	Debug bool
}

// ClusterConfig says how a server meets the others.
type ClusterConfig struct {
	Name string
	// Host and Port are where other servers connect. An empty Host means 127.0.0.1; Port 0 means any free one.
	Host string
	Port int
	// Routes are the members, the node itself included, as far as they are known.
	Routes []*url.URL
	// Advertise is the host and port that members tell each other of this node, if not its own.
	Advertise string
	// User and Password are the secret that all members share; both empty for none. The server dials others with it, and accepts it.
	User, Password string
	// Also returns the passwords that are accepted now beside Password; it is asked for each route that is taken, by several goroutines.
	// nil: there are none.
	Also func() []string
	// TLS serves both ends of a route; nil for none.
	TLS *tls.Config
}

// Limits bound what a server takes. Zero means the default of each.
type Limits struct {
	// MaxPayload is the largest message in bytes, 1 MiB by default.
	MaxPayload int32
	// MaxConnections is the number of clients at a time, 65,536 by default.
	MaxConnections int
	// MaxPending is how many bytes may wait for a slow client, 64 MiB by default.
	MaxPending int64
	// MaxSubscriptions of one client, 10,000 by default.
	MaxSubscriptions int
	// StoreBytes is the most that all streams may hold: 75 % of the blocks of StoreDir's volume by default.
	StoreBytes int64
}
