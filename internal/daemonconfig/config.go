// SPDX-License-Identifier: Apache-2.0

// Package daemonconfig is the configuration of a node: one table of settings, read from flags, the environment and a file,
// guarded before anything starts, and written by whoever configures nodes for others.
package daemonconfig

import (
	"net"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// Config holds every setting of a node. Default returns it with the defaults, Load with what is in force. Each field's meaning,
// unit and default are in the table of settings (Settings), which is what a user sees.
type Config struct {
	Bind        string
	Port        int
	HTTPPort    int
	APIPort     int
	ControlPort int
	ClusterPort int
	Advertise   string
	StoreDir    string

	Formation   string
	ClusterName string
	ClusterID   string
	ServerName  string
	Routes      []string

	ClusterUser         string
	ClusterPass         string
	ClusterPassFile     string
	ClusterPassAlsoFile string
	RouteTLSCert        string
	RouteTLSKey         string
	RouteTLSCA          string
	RouteTLSName        string
	TLSCert             string
	TLSKey              string

	OperatorKeys   []string
	OrderKeys      []string
	Admins         []string
	IdentityRecord string
	Open           bool
	Dev            bool
	CutOffRefuse   time.Duration
	CutOffDrop     time.Duration

	MaxPayload       Bytes
	MaxConnections   int
	MaxSubscriptions int
	MaxPending       Bytes
	StoreMaxBytes    Bytes
	SyncAlways       bool
	SyncInterval     time.Duration

	RaftTimers       string
	ChangeRaftTimers bool
	SelfRepair       bool
	StopTimeout      time.Duration
	LogFormat        string
	LogLevel         string
	NATSDebug        bool
}

// What enumerated settings may be.
const (
	FormationOrder     = "order"
	FormationFound     = "found"
	FormationBootstrap = "bootstrap"
	FormationJoin      = "join"

	RaftTimersFast  = "fast"
	RaftTimersStock = "stock"

	LogText = "text"
	LogJSON = "json"
)

// Default returns the configuration that is in force when nothing is set.
func Default() Config {
	var c Config
	for _, s := range settings {
		if err := s.set(&c, []string{s.Default}); err != nil {
			panic("default of " + s.Name + ": " + err.Error()) // the table is a constant, and a test reads it
		}
	}
	return c
}

// Loopback says whether the node is reached from its own machine only.
func (c Config) Loopback() bool {
	if strings.EqualFold(c.Bind, "localhost") {
		return true
	}
	ip := net.ParseIP(c.Bind)
	return ip != nil && ip.IsLoopback()
}

// RouteTLS says whether all files of the routes' mutual TLS are configured. The control endpoint uses the same.
func (c Config) RouteTLS() bool {
	return c.RouteTLSCert != "" && c.RouteTLSKey != "" && c.RouteTLSCA != ""
}

// ClientTLS says whether the files of the client port's TLS are configured.
func (c Config) ClientTLS() bool { return c.TLSCert != "" && c.TLSKey != "" }

// Address is where to listen on a port of the node.
func (c Config) Address(port int) string { return net.JoinHostPort(c.Bind, strconv.Itoa(port)) }

// RouteURLs are the routes, which Validate has seen to be good.
func (c Config) RouteURLs() []*url.URL {
	urls := make([]*url.URL, 0, len(c.Routes))
	for _, r := range c.Routes {
		if u, err := parseRoute(r); err == nil {
			urls = append(urls, u)
		}
	}
	return urls
}

// RouteURL is where other nodes reach this one, empty when that is not known beforehand: on any free port, or on all addresses
// without one to advertise.
func (c Config) RouteURL() string {
	host := c.Advertise
	if ip := net.ParseIP(c.Bind); host == "" && (ip == nil || !ip.IsUnspecified()) {
		host = c.Bind
	}
	if host == "" || c.ClusterPort == 0 {
		return ""
	}
	return (&url.URL{Scheme: routeScheme, Host: net.JoinHostPort(host, strconv.Itoa(c.ClusterPort))}).String()
}
