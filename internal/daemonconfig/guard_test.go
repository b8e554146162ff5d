// SPDX-License-Identifier: Apache-2.0

package daemonconfig

import (
	"errors"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const (
	operatorKey = "UBTZNHLPOPC7AV2XWJDGAH2JQ2Q4YAIBIO3WBR2DDFZ3RC6DN6ZXG6SQ"
	orderKey    = "OBTZNHLPOPC7AV2XWJDGAH2JQ2Q4YAIBIO3WBR2DDFZ3RC6DN6ZXG6SQ"
	adminKey    = "UCTZNHLPOPC7AV2XWJDGAH2JQ2Q4YAIBIO3WBR2DDFZ3RC6DN6ZXG6SQ"
	seed        = "SUAGMJH5XLGZKQQWAWKRZJIGMOU4HPFUYLXJMXOO5NLFEO2OOQJ5LPRDPM"
)

// public is a member of a cluster that other machines reach, as it should be.
func public() Config {
	c := Default()
	c.Bind, c.ServerName, c.Formation = "0.0.0.0", "n0", FormationBootstrap
	c.Routes = []string{"nats://n0.example:6222", "nats://n1.example:6222", "nats://n2.example:6222"}
	c.ClusterPassFile = "/run/secrets/pass"
	c.RouteTLSCert, c.RouteTLSKey, c.RouteTLSCA = "route.crt", "route.key", "ca.crt"
	c.TLSCert, c.TLSKey = "tls.crt", "tls.key"
	c.OperatorKeys, c.OrderKeys = []string{operatorKey}, []string{orderKey}
	return c
}

// local is a member of a cluster on one machine.
func local() Config {
	c := Default()
	c.ServerName, c.Formation = "n0", FormationBootstrap
	c.Routes = []string{"nats://127.0.0.1:6222", "nats://127.0.0.1:6232", "nats://127.0.0.1:6242"}
	return c
}

// trying is a node for trying out, as it is loaded.
func trying() Config {
	c := Default()
	c.Dev, c.Formation, c.StoreDir = true, FormationFound, "unibus-dev"
	return c
}

// policies are the boot guard's table: what is refused, by which flags.
var policies = []struct {
	name   string
	base   func() Config
	change func(*Config)
	want   []string // flags, each with one problem
}{
	{"public and complete", public, func(*Config) {}, nil},
	{"public by host name", public, func(c *Config) { c.Bind = "n0.example" }, nil},
	{"public by IPv6", public, func(c *Config) { c.Bind = "::" }, nil},
	{"public, secret in the environment", public, func(c *Config) { c.ClusterPassFile, c.ClusterPass = "", "hunter2" }, nil},
	{"public, waiting for an order", public, func(c *Config) { c.Formation, c.Routes, c.ServerName = FormationOrder, nil, "" }, nil},
	{"public, founding", public, func(c *Config) { c.Formation, c.Routes = FormationFound, nil }, nil},
	{"local, nothing secured", local, func(*Config) {}, nil},
	{"local, localhost", local, func(c *Config) { c.Bind = "localhost" }, nil},
	{"local, ::1", local, func(c *Config) { c.Bind = "::1"; c.Routes[0] = "nats://[::1]:6222" }, nil},
	{"local, open", local, func(c *Config) { c.Open = true }, nil},
	{"local, any free ports", local, func(c *Config) { c.Port, c.HTTPPort, c.ControlPort = 0, 0, 0 }, nil},
	{"found with nothing else", Default, func(c *Config) { c.Formation = FormationFound }, nil},

	{"public without route secret", public, func(c *Config) { c.ClusterPassFile = "" }, []string{"cluster-pass-file"}},
	{"public without route TLS", public, func(c *Config) { c.RouteTLSCert, c.RouteTLSKey, c.RouteTLSCA = "", "", "" }, []string{"route-tls-cert"}},
	{"public without route CA", public, func(c *Config) { c.RouteTLSCA = "" }, []string{"route-tls-ca"}},
	{"public without either", public, func(c *Config) {
		c.ClusterPassFile, c.RouteTLSCert, c.RouteTLSKey, c.RouteTLSCA = "", "", "", ""
	}, []string{"cluster-pass-file", "route-tls-cert"}},
	{"public founder without route TLS", public, func(c *Config) {
		c.Formation, c.Routes, c.RouteTLSCert, c.RouteTLSKey, c.RouteTLSCA = FormationFound, nil, "", "", ""
	}, []string{"route-tls-cert"}},
	{"public without client TLS", public, func(c *Config) { c.TLSCert, c.TLSKey = "", "" }, []string{"tls-cert"}},
	{"public without operator", public, func(c *Config) { c.OperatorKeys = nil }, []string{"operator-key"}},
	{"public and open", public, func(c *Config) { c.Open, c.OperatorKeys, c.TLSCert, c.TLSKey = true, nil, "", "" }, []string{"open", "tls-cert"}},
	{"public on one address", public, func(c *Config) { c.Bind, c.Routes[0], c.TLSCert, c.TLSKey = "10.0.0.9", "nats://10.0.0.9:6222", "", "" }, []string{"tls-cert"}},
	{"name that may be public", public, func(c *Config) { c.Bind, c.TLSCert, c.TLSKey = "localhost.example", "", "" }, []string{"tls-cert"}},

	{"local, route key only", local, func(c *Config) { c.RouteTLSKey = "k" }, []string{"route-tls-cert", "route-tls-ca"}},
	{"local, no route key", local, func(c *Config) { c.RouteTLSCert, c.RouteTLSCA = "c", "a" }, []string{"route-tls-key"}},
	{"local, client key only", local, func(c *Config) { c.TLSKey = "k" }, []string{"tls-cert"}},
	{"local, open with keys", local, func(c *Config) { c.Open, c.OperatorKeys = true, []string{operatorKey} }, []string{"open"}},
	{"secret twice", local, func(c *Config) { c.ClusterPass, c.ClusterPassFile = "a", "b" }, []string{"cluster-pass"}},
	{"secret that looks like a hash", local, func(c *Config) { c.ClusterPass = "$2a$11$x" }, []string{"cluster-pass"}},
	{"second secret without a first", local, func(c *Config) { c.ClusterPassAlsoFile = "also" }, []string{"cluster-pass-also-file"}},
	{"secret without user", local, func(c *Config) { c.ClusterPass, c.ClusterUser = "a", "" }, []string{"cluster-user"}},

	{"bootstrap without name", local, func(c *Config) { c.ServerName = "" }, []string{"server-name"}},
	{"bootstrap without routes", local, func(c *Config) { c.Routes = nil }, []string{"routes"}},
	{"bootstrap without itself", local, func(c *Config) { c.Routes = c.Routes[1:] }, []string{"routes"}},
	{"bootstrap without itself, other machines", public, func(c *Config) {
		c.Routes = []string{"nats://192.0.2.1:6222", "nats://192.0.2.2:6222"}
	}, []string{"routes"}},
	{"bootstrap on localhost by the machine's address", local, func(c *Config) { c.Bind, c.Routes[0] = "localhost", "nats://10.0.0.9:6222" }, []string{"routes"}},
	{"bootstrap by the machine's address", public, func(c *Config) { c.Routes = []string{"nats://10.0.0.9:6222", "nats://192.0.2.2:6222"} }, nil},
	{"bootstrap by the advertised host", public, func(c *Config) { c.Advertise = "n1.example" }, nil},
	{"bootstrap without the advertised host", public, func(c *Config) { c.Advertise = "n7.example" }, []string{"routes"}},
	{"bootstrap on another port", local, func(c *Config) { c.ClusterPort = 7000 }, []string{"routes"}},
	{"bootstrap on any port", local, func(c *Config) { c.ClusterPort = 0 }, []string{"cluster-port", "routes"}},
	{"join without name", local, func(c *Config) { c.Formation, c.ServerName = FormationJoin, "" }, []string{"server-name"}},
	{"join without routes", local, func(c *Config) { c.Formation, c.Routes = FormationJoin, nil }, []string{"routes"}},
	{"join without itself", local, func(c *Config) { c.Formation, c.Routes = FormationJoin, c.Routes[1:] }, []string{"routes"}},
	{"order without key", Default, func(*Config) {}, []string{"order-key"}},

	{"route without scheme", local, func(c *Config) { c.Routes[1] = "127.0.0.1:6232" }, []string{"routes"}},
	{"route of another scheme", local, func(c *Config) { c.Routes[1] = "http://127.0.0.1:6232" }, []string{"routes"}},
	{"route without port", local, func(c *Config) { c.Routes[1] = "nats://127.0.0.1" }, []string{"routes"}},
	{"route with a password", local, func(c *Config) { c.Routes[1] = "nats://u:hunter2@127.0.0.1:6232" }, []string{"routes"}},
	{"route twice", local, func(c *Config) { c.Routes[1] = c.Routes[2] }, []string{"routes"}},

	{"two things on one port", local, func(c *Config) { c.HTTPPort = c.Port }, []string{"http-port"}},
	{"three things on one port", local, func(c *Config) { c.HTTPPort, c.ControlPort = c.Port, c.Port }, []string{"http-port", "control-port"}},
	{"port out of bounds", local, func(c *Config) { c.Port, c.HTTPPort = 65536, -1 }, []string{"port", "http-port"}},
	{"no address", local, func(c *Config) { c.Bind = "" }, []string{"bind", "cluster-pass-file", "route-tls-cert", "tls-cert", "operator-key"}},
	{"address with port", public, func(c *Config) { c.Bind = "10.0.0.9:4222" }, []string{"bind"}},
	{"half an address", public, func(c *Config) { c.Bind = "10.0.0" }, []string{"bind"}},
	{"advertised to nowhere", public, func(c *Config) { c.Advertise = "0.0.0.0"; c.Routes[0] = "nats://0.0.0.0:6222" }, []string{"advertise"}},
	{"no store", local, func(c *Config) { c.StoreDir = "" }, []string{"store-dir"}},
	{"cluster name with a space", local, func(c *Config) { c.ClusterName = "my bus" }, []string{"cluster-name"}},
	{"server name of a folder", local, func(c *Config) { c.ServerName = "../x" }, []string{"server-name"}},

	{"to try out", trying, func(*Config) {}, nil},
	{"to try out, with a key to administer", trying, func(c *Config) { c.OperatorKeys, c.Admins = []string{operatorKey}, []string{adminKey} }, nil},
	{"to try out, for other machines", trying, func(c *Config) { c.Bind = "0.0.0.0" }, []string{"bind"}},
	{"to try out, in a cluster", trying, func(c *Config) {
		c.Formation, c.ServerName, c.Routes = FormationBootstrap, "n0", local().Routes
	}, []string{"formation", "routes"}},
	{"to try out, by orders", trying, func(c *Config) { c.Formation, c.OrderKeys = FormationOrder, []string{orderKey} }, []string{"formation", "order-key"}},
	{"to try out, with certificates", trying, func(c *Config) { c.TLSCert, c.TLSKey = "c", "k" }, []string{"tls-cert"}},
	{"to try out, open", trying, func(c *Config) { c.Open = true }, []string{"open"}},

	{"enumerations", local, func(c *Config) {
		c.RaftTimers, c.LogFormat, c.LogLevel = "quick", "xml", "loud"
	}, []string{"raft-timers", "log-format", "log-level"}},
	{"formation", local, func(c *Config) { c.Formation = "" }, []string{"formation"}},
	{"operator's seed", local, func(c *Config) { c.OperatorKeys = []string{operatorKey, seed} }, []string{"operator-key"}},
	{"admin's seed", local, func(c *Config) { c.Admins = []string{seed} }, []string{"admin"}},
	{"operator as admin", local, func(c *Config) { c.OperatorKeys, c.Admins = []string{operatorKey}, []string{operatorKey} }, []string{"admin"}},
	{"local, open with an admin", local, func(c *Config) { c.Open, c.OperatorKeys, c.Admins = true, nil, []string{adminKey} }, []string{"open"}},
	{"api port of another", local, func(c *Config) { c.APIPort = c.HTTPPort }, []string{"api-port"}},
	{"order key for operator", local, func(c *Config) { c.OperatorKeys = []string{orderKey} }, []string{"operator-key"}},
	{"operator for order key", local, func(c *Config) { c.OrderKeys = []string{operatorKey} }, []string{"order-key"}},
	{"key cut off", local, func(c *Config) { c.OrderKeys = []string{orderKey, orderKey[:40]} }, []string{"order-key"}},
	{"route certificate name", local, func(c *Config) { c.RouteTLSName = "*.*" }, []string{"route-tls-name"}},
	{"limits", local, func(c *Config) {
		c.MaxPayload, c.MaxPending, c.MaxConnections, c.MaxSubscriptions, c.StopTimeout, c.SyncInterval = 1, 0, 0, 0, 0, 0
	}, []string{"max-payload", "max-pending", "max-connections", "max-subscriptions", "stop-timeout", "sync-interval"}},
	{"cut off at once", local, func(c *Config) { c.CutOffRefuse, c.CutOffDrop = time.Second, -1 }, []string{"cut-off-refuse", "cut-off-drop", "cut-off-drop"}},
	{"cut off, dropped before refused", local, func(c *Config) { c.CutOffRefuse = time.Minute }, []string{"cut-off-drop"}},
	{"cut off, dropped but not refused", local, func(c *Config) { c.CutOffRefuse = 0 }, []string{"cut-off-drop"}},
	{"cut off and kept", local, func(c *Config) { c.CutOffDrop = 0 }, nil},
	{"cut off and all let in", local, func(c *Config) { c.CutOffRefuse, c.CutOffDrop = 0, 0 }, nil},
}

// TestClusterConfigPolicy: the guard refuses each of the policies by the flags that it names, and nothing else.
func TestClusterConfigPolicy(t *testing.T) {
	here := machine{addresses: []net.IP{net.ParseIP("10.0.0.9")}}
	for _, tt := range policies {
		t.Run(tt.name, func(t *testing.T) {
			c := tt.base()
			tt.change(&c)
			var got []string
			for _, p := range problems(t, c.validate(here)) {
				got = append(got, strings.TrimPrefix(p.Flag, "--"))
				if p.Text == "" || p.Remedy == "" || strings.Contains(p.Error(), "hunter2") || strings.Contains(p.Error(), seed) {
					t.Errorf("bad problem: %v", p)
				}
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("flags, -want +got:\n%s\n%v", diff, c.validate(here))
			}
		})
	}
}

func problems(t testing.TB, err error) (all []Problem) {
	t.Helper()
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("error %v, want problems that are joined", err)
	}
	for _, e := range joined.Unwrap() {
		var p Problem
		if !errors.As(e, &p) {
			t.Fatalf("error %v is no Problem", e)
		}
		all = append(all, p)
	}
	return all
}

// TestSeedForAKey: whoever gives a seed is told that it is one.
func TestSeedForAKey(t *testing.T) {
	c := local()
	c.OperatorKeys, c.OrderKeys = []string{seed}, []string{seed}
	for _, p := range problems(t, c.Validate()) {
		if !strings.Contains(p.Text, "is a seed") {
			t.Errorf("%v: does not say that it is a seed", p)
		}
	}
}

// TestValidateOnThisMachine sees that the machine's own addresses are looked up.
func TestValidateOnThisMachine(t *testing.T) {
	if err := local().Validate(); err != nil {
		t.Errorf("a local cluster: %v", err)
	}
	c := public()
	c.Routes = []string{"nats://127.0.0.1:6222", "nats://192.0.2.2:6222"}
	if err := c.Validate(); err != nil {
		t.Errorf("a route over loopback: %v", err)
	}
}

func TestRouteURL(t *testing.T) {
	for _, tt := range []struct {
		bind, advertise string
		port            int
		want            string
	}{
		{"127.0.0.1", "", 6222, "nats://127.0.0.1:6222"},
		{"::1", "", 6222, "nats://[::1]:6222"},
		{"0.0.0.0", "", 6222, ""},
		{"0.0.0.0", "n0.example", 6222, "nats://n0.example:6222"},
		{"127.0.0.1", "", 0, ""},
	} {
		c := Default()
		c.Bind, c.Advertise, c.ClusterPort = tt.bind, tt.advertise, tt.port
		if got := c.RouteURL(); got != tt.want {
			t.Errorf("bound to %s, advertised as %q: %q, want %q", tt.bind, tt.advertise, got, tt.want)
		}
	}
	var got []string
	for _, u := range local().RouteURLs() {
		got = append(got, u.String())
	}
	if diff := cmp.Diff(local().Routes, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// TestFoundersName: the name of whoever founds alone is made when it founds. A fixed one would be given again to a founder whose
// disk is lost, and the others' Raft groups would take the empty one for the one they know.
func TestFoundersName(t *testing.T) {
	for _, formation := range []string{"found", "bootstrap"} {
		if l := mustLoad(t, []string{"--formation", formation, "--cluster-name", "bus"}, nil); l.ServerName != "" {
			t.Errorf("--formation %s: the node is called %q without being told", formation, l.ServerName)
		}
	}
}
