// SPDX-License-Identifier: Apache-2.0

package daemonconfig

import (
	"errors"
	"net"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

const (
	routeScheme = "nats"
	nameRemedy  = "use 1 to 128 letters, digits, '.', '_' and '-', a letter or digit first"
)

// parseRoute takes nats://host:port only. The text is not in the errors: it may hold a password.
func parseRoute(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, errors.New("is no URL")
	}
	port, err := strconv.Atoi(u.Port())
	switch {
	case u.User != nil:
		return nil, errors.New("holds a user or password; --cluster-user and --cluster-pass-file say those for all routes")
	case u.Scheme != routeScheme:
		return nil, errors.New("does not begin with nats://")
	case !validHost(u.Hostname()):
		return nil, errors.New("names no host")
	case err != nil || port < 1 || port > 65535:
		return nil, errors.New("names no port")
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("has more than host and port")
	}
	return &url.URL{Scheme: u.Scheme, Host: net.JoinHostPort(u.Hostname(), u.Port())}, nil
}

func (g *guard) routes() {
	seen := map[string]bool{}
	for i, text := range g.Routes {
		u, err := parseRoute(text)
		if err != nil {
			g.refuse("routes", "write nats://host:port", "number %d of %d %v", i+1, len(g.Routes), err)
			continue
		}
		key := strings.ToLower(u.Host)
		if seen[key] {
			g.refuse("routes", "list every node once", "%s is there twice", u.Host)
		}
		seen[key] = true
	}
}

// routedToSelf says whether one of the routes may lead to this node. It says no only when none can: whose a host name is, is
// not known here.
func (g *guard) routedToSelf() bool {
	return slices.ContainsFunc(g.Routes, func(text string) bool {
		u, err := parseRoute(text)
		// A route that can't be read is told as that.
		return err != nil || u.Port() == strconv.Itoa(g.ClusterPort) && g.maybeSelf(u.Hostname())
	})
}

func (g *guard) maybeSelf(host string) bool {
	if g.Advertise != "" {
		return strings.EqualFold(host, g.Advertise)
	}
	if strings.EqualFold(host, g.Bind) {
		return true
	}
	ip := net.ParseIP(host)
	if strings.EqualFold(host, "localhost") {
		ip = net.IPv4(127, 0, 0, 1)
	}
	if ip == nil {
		return !g.Loopback()
	}
	bind := net.ParseIP(g.Bind)
	switch {
	case g.Loopback():
		// localhost and 127.0.0.1 are one place; two addresses of the loopback network are two.
		return bind == nil && ip.IsLoopback() || bind != nil && ip.Equal(bind)
	case bind != nil && !bind.IsUnspecified():
		return ip.Equal(bind)
	default:
		return ip.IsLoopback() || slices.ContainsFunc(g.addresses, ip.Equal)
	}
}

// validHost takes an address or a host name, without port or brackets.
func validHost(host string) bool {
	if net.ParseIP(host) != nil {
		return true
	}
	if host == "" || len(host) > 253 {
		return false
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(host, "."), ".") {
		if len(label) == 0 || len(label) > 63 || strings.ContainsFunc(label, func(r rune) bool { return !alphanumeric(r) && r != '-' && r != '_' }) {
			return false
		}
	}
	// What is all digits and dots was meant to be an address.
	return strings.ContainsFunc(host, func(r rune) bool { return r != '.' && (r < '0' || r > '9') })
}

// validName takes what NATS and the file system take as a name.
func validName(name string) bool {
	if len(name) == 0 || len(name) > 128 || !alphanumeric(rune(name[0])) {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return !alphanumeric(r) && r != '.' && r != '_' && r != '-' })
}

func alphanumeric(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
}
