// SPDX-License-Identifier: Apache-2.0

package daemonconfig

import (
	"slices"
	"strings"
)

// Setting is one line of the table: the flag --Name, the variable UNIBUS_NAME and the key Name of the file.
type Setting struct {
	Name string
	// Default is as it would be written after the flag; empty also for an empty list and no text.
	Default string
	// Enum, when not nil, is all that the setting may be.
	Enum []string
	// Secret values are never printed.
	Secret bool
	// Help is one or two sentences with the unit.
	Help string

	field func(*Config) any // a pointer, whose type is the setting's
}

// Settings returns the table, in the order in which it is to be read.
func Settings() []Setting { return slices.Clone(settings) }

// Env is the environment variable of the setting.
func (s Setting) Env() string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

var settings = []Setting{
	{Name: "bind", Default: "127.0.0.1", field: func(c *Config) any { return &c.Bind },
		Help: "address that NATS, routes, HTTP, the API and control listen on; 0.0.0.0 or :: for all"},
	{Name: "port", Default: "4222", field: func(c *Config) any { return &c.Port },
		Help: "port for NATS clients; 0 for any free one"},
	{Name: "http-port", Default: "8222", field: func(c *Config) any { return &c.HTTPPort },
		Help: "port for health and metrics, plain HTTP without secrets; 0 for any free one"},
	{Name: "api-port", Default: "8223", field: func(c *Config) any { return &c.APIPort },
		Help: "port for the HTTP API of users, rooms and messages, with --tls-cert if that is given; 0 for any free one; none with --open"},
	{Name: "control-port", Default: "6223", field: func(c *Config) any { return &c.ControlPort },
		Help: "port for orders; off loopback it wants client certificates of --route-tls-ca; 0 for any free one"},
	{Name: "cluster-port", Default: "6222", field: func(c *Config) any { return &c.ClusterPort },
		Help: "port for routes between nodes; 0 for any free one"},
	{Name: "advertise", field: func(c *Config) any { return &c.Advertise },
		Help: "host or address at which other nodes reach this one, when it is not --bind"},
	{Name: "store-dir", Default: "unibus-data", field: func(c *Config) any { return &c.StoreDir },
		Help: "folder for everything that the node keeps"},

	{Name: "formation", Default: FormationOrder, Enum: []string{FormationOrder, FormationFound, FormationBootstrap, FormationJoin},
		field: func(c *Config) any { return &c.Formation },
		Help:  "what an empty store does: wait for a signed order; found a cluster of one; start a new cluster together with all of --routes; join the running cluster of --routes. A store with an identity resumes, whatever is said here"},
	{Name: "cluster-name", Default: "unibus", field: func(c *Config) any { return &c.ClusterName },
		Help: "name of the cluster, the same on all nodes"},
	{Name: "cluster-id", field: func(c *Config) any { return &c.ClusterID },
		Help: "refuse a store or an order of any other cluster id"},
	{Name: "server-name", field: func(c *Config) any { return &c.ServerName },
		Help: "name of this node, unique and never used again after its removal; needed to bootstrap and to join; who founds alone and gives none gets one that nobody had"},
	{Name: "routes", field: func(c *Config) any { return &c.Routes },
		Help: "nats://host:port of the routes of all nodes, this one included; separated by commas, or repeated"},

	{Name: "cluster-user", Default: "unibus", field: func(c *Config) any { return &c.ClusterUser },
		Help: "user name of routes, the same on all nodes"},
	{Name: "cluster-pass", Secret: true, field: func(c *Config) any { return &c.ClusterPass },
		Help: "secret of routes, the same on all nodes; everybody on the machine can read a command line: use --cluster-pass-file or UNIBUS_CLUSTER_PASS"},
	{Name: "cluster-pass-file", field: func(c *Config) any { return &c.ClusterPassFile },
		Help: "file with the secret of routes; read anew at every route that is taken, and a start of NATS takes it for those that it dials"},
	{Name: "cluster-pass-also-file", field: func(c *Config) any { return &c.ClusterPassAlsoFile },
		Help: "file with another secret that is accepted on routes, for as long as one replaces the other; read anew as --cluster-pass-file; while it is empty or not there, none is"},
	{Name: "route-tls-cert", field: func(c *Config) any { return &c.RouteTLSCert },
		Help: "certificate of this node for routes and control (PEM, for server and client use); read anew at every handshake"},
	{Name: "route-tls-key", field: func(c *Config) any { return &c.RouteTLSKey },
		Help: "key of --route-tls-cert (PEM)"},
	{Name: "route-tls-ca", field: func(c *Config) any { return &c.RouteTLSCA },
		Help: "CA certificates that issue those of nodes (PEM)"},
	{Name: "route-tls-name", Default: "node.unibus", field: func(c *Config) any { return &c.RouteTLSName },
		Help: "DNS name that the certificates of all nodes carry; *.x for any one label before x"},
	{Name: "tls-cert", field: func(c *Config) any { return &c.TLSCert },
		Help: "certificate of the client port (PEM); read anew at every handshake"},
	{Name: "tls-key", field: func(c *Config) any { return &c.TLSKey },
		Help: "key of --tls-cert (PEM)"},

	{Name: "operator-key", field: func(c *Config) any { return &c.OperatorKeys },
		Help: "public nkeys (U...) that may administer; separated by commas, or repeated"},
	{Name: "order-key", field: func(c *Config) any { return &c.OrderKeys },
		Help: "public nkeys (O...) whose orders are obeyed, and that can never connect: one, or two while one replaces the other; separated by commas, or repeated"},
	{Name: "admin", field: func(c *Config) any { return &c.Admins },
		Help: "public nkeys (U...) that become users who administer users and rooms, while the bus has no such admin; separated by commas, or repeated"},
	{Name: "identity-record", field: func(c *Config) any { return &c.IdentityRecord },
		Help: "file with the cluster's record of server names, used only to deny"},
	{Name: "open", Default: "false", field: func(c *Config) any { return &c.Open },
		Help: "let everybody connect, for development; on loopback only"},
	{Name: "dev", Default: "false", field: func(c *Config) any { return &c.Dev },
		Help: "start a lone node for trying out, on loopback: with keys of an admin and of a guest, a room that both are in, and contexts dev-admin and dev-guest for unibus, all made when they are missing; it prints the lines that open a chat. Changes the default of --store-dir to unibus-dev, of --formation to found, of --log-level to error"},

	{Name: "cut-off-refuse", Default: "10s", field: func(c *Config) any { return &c.CutOffRefuse },
		Help: "how long the node may be cut off from changes of users and rooms before it admits nobody; 0 to admit by what it knew"},
	{Name: "cut-off-drop", Default: "30s", field: func(c *Config) any { return &c.CutOffDrop },
		Help: "how long the node may be cut off before it drops all users, so that whoever was removed meanwhile is out; 0 to keep them"},

	{Name: "max-payload", Default: "1MiB", field: func(c *Config) any { return &c.MaxPayload },
		Help: "largest message; bytes, or with KiB, MiB, GiB"},
	{Name: "max-connections", Default: "65536", field: func(c *Config) any { return &c.MaxConnections },
		Help: "clients at a time, of three quarters at most of the files that the process may have open; one user has an eighth of them, and 16 at least"},
	{Name: "max-subscriptions", Default: "10000", field: func(c *Config) any { return &c.MaxSubscriptions },
		Help: "subscriptions of one client"},
	{Name: "max-pending", Default: "64MiB", field: func(c *Config) any { return &c.MaxPending },
		Help: "what may wait for a slow client before it is cut off; bytes, or with KiB, MiB, GiB"},
	{Name: "store-max-bytes", Default: "0", field: func(c *Config) any { return &c.StoreMaxBytes },
		Help: "what all streams of the node may hold; bytes, or with KiB, MiB, GiB; 0 for three quarters of the volume"},
	{Name: "sync-always", Default: "false", field: func(c *Config) any { return &c.SyncAlways },
		Help: "make every write durable before it is acknowledged; slower"},
	{Name: "sync-interval", Default: "2m", field: func(c *Config) any { return &c.SyncInterval },
		Help: "how long a write may be in memory alone, without --sync-always"},

	{Name: "raft-timers", Default: RaftTimersFast, Enum: []string{RaftTimersFast, RaftTimersStock}, field: func(c *Config) any { return &c.RaftTimers },
		Help: "how soon a silent leader is replaced: fast (2 to 4 s, heartbeats of 500 ms) or nats-server's stock (4 to 9 s, 1 s). A node keeps those that it was first started with, and joins only a cluster of the same"},
	{Name: "raft-timers-change", Default: "false", field: func(c *Config) any { return &c.ChangeRaftTimers },
		Help: "take --raft-timers in place of those that the node has kept; only with all nodes of the cluster stopped"},
	{Name: "self-repair", Default: "true", field: func(c *Config) any { return &c.SelfRepair },
		Help: "restart NATS within the process when a replica is stuck or the store has failed"},
	{Name: "stop-timeout", Default: "30s", field: func(c *Config) any { return &c.StopTimeout },
		Help: "how long stopping may take: leaderships handed over, clients told to go"},
	{Name: "log-format", Default: LogText, Enum: []string{LogText, LogJSON}, field: func(c *Config) any { return &c.LogFormat },
		Help: "form of the log"},
	{Name: "log-level", Default: "info", Enum: []string{"debug", "info", "warn", "error"}, field: func(c *Config) any { return &c.LogLevel },
		Help: "least level that is logged"},
	{Name: "nats-debug", Default: "false", field: func(c *Config) any { return &c.NATSDebug },
		Help: "add the NATS server's debug log, and its monitoring on a free port of 127.0.0.1"},
}

// lookup finds a setting by its name.
func lookup(name string) (Setting, bool) {
	i := slices.IndexFunc(settings, func(s Setting) bool { return s.Name == name })
	if i < 0 {
		return Setting{}, false
	}
	return settings[i], true
}
