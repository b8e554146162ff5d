// SPDX-License-Identifier: Apache-2.0

package daemonconfig

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"time"
)

// Problem is one thing that is wrong with a configuration.
type Problem struct {
	// Flag is the setting that is wrong or missing, with its dashes.
	Flag string
	// Text says what is wrong, Remedy what to do.
	Text, Remedy string
}

// Error implements error.
func (p Problem) Error() string { return p.Flag + ": " + p.Text + "; " + p.Remedy }

// machine is what a configuration is judged beside.
type machine struct {
	addresses []net.IP // its own
}

// Validate is the boot guard, for all that a configuration shows: it returns every Problem, joined, or nil. What needs a disk, a
// certificate or a port to be seen is guarded where those are opened.
func (c Config) Validate() error {
	var m machine
	// Without them a node only isn't told so early that its routes leave itself out.
	if all, err := net.InterfaceAddrs(); err == nil {
		for _, a := range all {
			if n, ok := a.(*net.IPNet); ok {
				m.addresses = append(m.addresses, n.IP)
			}
		}
	}
	return c.validate(m)
}

func (c Config) validate(m machine) error {
	g := &guard{Config: c, machine: m}
	for _, check := range []func(*guard){
		(*guard).enums, (*guard).ports, (*guard).hosts, (*guard).names, (*guard).routes, (*guard).trying, (*guard).forming,
		(*guard).halves, (*guard).secrets, (*guard).keys, (*guard).exposure, (*guard).limits,
	} {
		check(g)
	}
	return errors.Join(g.problems...)
}

type guard struct {
	Config
	machine
	problems []error
}

// refuse notes a problem. remedy is a command to the user; text is formatted.
func (g *guard) refuse(flag, remedy, text string, args ...any) {
	g.problems = append(g.problems, Problem{Flag: "--" + flag, Text: fmt.Sprintf(text, args...), Remedy: remedy})
}

func (g *guard) enums() {
	for _, s := range settings {
		if text, ok := s.field(&g.Config).(*string); ok && s.Enum != nil && !slices.Contains(s.Enum, *text) {
			g.refuse(s.Name, "use one of "+strings.Join(s.Enum, ", "), "%q is not known", *text)
		}
	}
}

func (g *guard) ports() {
	taken := map[int]string{}
	for _, p := range []struct {
		flag   string
		number int
	}{{"port", g.Port}, {"http-port", g.HTTPPort}, {"api-port", g.APIPort}, {"control-port", g.ControlPort}, {"cluster-port", g.ClusterPort}} {
		switch other, ok := taken[p.number]; {
		case p.number < 0 || p.number > 65535:
			g.refuse(p.flag, "use 1 to 65535, or 0 for any free one", "%d is not a port", p.number)
		case ok && p.number != 0:
			g.refuse(p.flag, "give each a port of its own", "port %d is that of --%s already", p.number, other)
		default:
			taken[p.number] = p.flag
		}
	}
	if g.ClusterPort == 0 && (g.Formation == FormationBootstrap || g.Formation == FormationJoin) {
		g.refuse("cluster-port", "give the port that --routes names for this node", "any free port can't be in the other nodes' --routes")
	}
}

func (g *guard) hosts() {
	if !validHost(g.Bind) {
		g.refuse("bind", "give an address or a host name without port, 0.0.0.0 for all addresses", "%q is nothing to listen on", g.Bind)
	}
	if g.Advertise != "" && !validHost(g.Advertise) {
		g.refuse("advertise", "give an address or a host name without port", "%q is no host", g.Advertise)
	}
	if ip := net.ParseIP(g.Advertise); ip != nil && ip.IsUnspecified() {
		g.refuse("advertise", "give the address at which other nodes reach this one", "%s is not the address of one node", g.Advertise)
	}
	if g.StoreDir == "" {
		g.refuse("store-dir", "name a folder that is this node's alone", "no folder")
	}
}

func (g *guard) names() {
	if !validName(g.ClusterName) {
		g.refuse("cluster-name", nameRemedy, "%q can't be the name of a cluster", g.ClusterName)
	}
	if g.ServerName != "" && !validName(g.ServerName) {
		g.refuse("server-name", nameRemedy, "%q can't be the name of a server", g.ServerName)
	}
}

// forming guards what the ways of forming a cluster need.
func (g *guard) forming() {
	switch g.Formation {
	case FormationOrder:
		if len(g.OrderKeys) == 0 {
			g.refuse("order-key", "give the public half (O...) that `unibus cluster init` printed; or, for a lone first node, --formation found",
				"with --formation order an empty node waits for an order, and none can be signed")
		}
	case FormationBootstrap, FormationJoin:
		if g.ServerName == "" {
			g.refuse("server-name", "give this node a name that no other ever had", "--formation %s needs it", g.Formation)
		}
		if len(g.Routes) < 2 {
			g.refuse("routes", "list nats://host:port of every node, this one included", "--formation %s needs those of at least two nodes, and there are %d",
				g.Formation, len(g.Routes))
		} else if !g.routedToSelf() {
			g.refuse("routes", fmt.Sprintf("add nats://<this host>:%d; set --advertise if the host is not seen from here", g.ClusterPort),
				"none is this node's own: without it nodes could form a cluster of their own beside the first")
		}
	}
}

// trying guards a node for trying out. What it makes for its user, keys and contexts, is for a lone node of one machine.
func (g *guard) trying() {
	for _, s := range []struct {
		flag string
		set  bool
	}{
		{"bind", !g.Loopback()}, {"formation", g.Formation != FormationFound}, {"routes", len(g.Routes) > 0}, {"order-key", len(g.OrderKeys) > 0},
		{"tls-cert", g.TLSCert != ""}, {"open", g.Open},
	} {
		if g.Dev && s.set {
			g.refuse(s.flag, "take that away, or --dev; several nodes are made with `unibus cluster create`",
				"--dev starts a lone node on loopback, without certificates, that founds a cluster of its own")
		}
	}
}

// halves guards what is good only together.
func (g *guard) halves() {
	together := func(flags []string, values ...string) {
		for i, v := range values {
			if v == "" && slices.ContainsFunc(values, func(v string) bool { return v != "" }) {
				g.refuse(flags[i], "give all of --"+strings.Join(flags, ", --")+", or none", "is missing, and TLS is given by half")
			}
		}
	}
	together([]string{"route-tls-cert", "route-tls-key", "route-tls-ca"}, g.RouteTLSCert, g.RouteTLSKey, g.RouteTLSCA)
	together([]string{"tls-cert", "tls-key"}, g.TLSCert, g.TLSKey)
}

// exposure guards what must not be reached from other machines. That nodes know each other, and that clients are known and
// nobody listens in, is demanded of everything but a developer's machine.
func (g *guard) exposure() {
	if g.Open && (len(g.OperatorKeys) > 0 || len(g.Admins) > 0 || g.TLSCert != "") {
		g.refuse("open", "take --open away, or --operator-key, --admin and --tls-cert", "lets everybody connect, which contradicts keys and TLS")
	}
	if g.Loopback() || g.Dev { // which must be on loopback
		return
	}
	const or = ", or bind to 127.0.0.1"
	if g.Open {
		g.refuse("open", "take it away and give --operator-key"+or, "everybody who reaches %s could connect and administer", g.Bind)
	}
	if g.ClusterPass == "" && g.ClusterPassFile == "" {
		g.refuse("cluster-pass-file", "give every node the same secret in a file (or in UNIBUS_CLUSTER_PASS)"+or,
			"routes are reached at %s from other machines without a secret", g.Bind)
	}
	if g.RouteTLSCert == "" && g.RouteTLSKey == "" && g.RouteTLSCA == "" {
		g.refuse("route-tls-cert", "give --route-tls-cert, --route-tls-key and --route-tls-ca"+or,
			"routes and the control endpoint are reached at %s from other machines without mutual TLS", g.Bind)
	}
	if g.TLSCert == "" && g.TLSKey == "" {
		g.refuse("tls-cert", "give --tls-cert and --tls-key"+or, "clients are served at %s without TLS", g.Bind)
	}
	if len(g.OperatorKeys) == 0 && !g.Open {
		g.refuse("operator-key", "give the public half (U...) that `unibus cluster init` printed"+or,
			"nobody is authorized to administer a node that is reached at %s", g.Bind)
	}
}

func (g *guard) limits() {
	const largest = 64 << 20 // nats-server's own
	if g.MaxPayload < 1<<10 || g.MaxPayload > largest {
		g.refuse("max-payload", "use 1KiB to 64MiB", "%v is out of bounds", g.MaxPayload)
	}
	if g.MaxPending < g.MaxPayload {
		g.refuse("max-pending", "give at least --max-payload", "%v is less than one message of %v", g.MaxPending, g.MaxPayload)
	}
	for _, n := range []struct {
		flag  string
		value int
	}{{"max-connections", g.MaxConnections}, {"max-subscriptions", g.MaxSubscriptions}} {
		if n.value < 1 {
			g.refuse(n.flag, "use 1 or more", "%d lets nobody work", n.value)
		}
	}
	// Below that a lost leader, which is replaced within some seconds, would look like a cut.
	const shortest = 5 * time.Second
	for _, d := range []struct {
		flag  string
		value time.Duration
	}{{"cut-off-refuse", g.CutOffRefuse}, {"cut-off-drop", g.CutOffDrop}} {
		if d.value != 0 && d.value < shortest {
			g.refuse(d.flag, "use 5s or more, or 0 for never", "%v is no longer than it takes to replace a leader", d.value)
		}
	}
	if g.CutOffDrop != 0 && (g.CutOffRefuse == 0 || g.CutOffDrop < g.CutOffRefuse) {
		g.refuse("cut-off-drop", "give at least --cut-off-refuse", "whoever is dropped after %v would be admitted again at once", g.CutOffDrop)
	}
	if g.StopTimeout <= 0 {
		g.refuse("stop-timeout", "use 30s", "%v leaves no time to hand over", g.StopTimeout)
	}
	if g.SyncInterval <= 0 {
		g.refuse("sync-interval", "use 2m, or --sync-always", "%v is no interval", g.SyncInterval)
	}
}
