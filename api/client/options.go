// SPDX-License-Identifier: Apache-2.0

package client

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/url"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/nats-io/nats.go"

	v1 "github.com/unibus/unibus/api/membership/v1"
)

// Options say where the bus is and who the caller is. Key is required, and Servers, API or both.
type Options struct {
	// Servers are the nodes' client ports, "nats://host:4222". Of several, the client uses any that takes it. Only these are
	// used, whatever a server tells of others. Off loopback they must speak TLS.
	Servers []string
	// API is the base URL of the HTTP API, "https://host:8223", or those of several nodes, separated by commas: when one does not answer,
	// the next is asked. Off loopback it must be https.
	API string
	// ClusterID is the cluster for which the HTTP API is given tokens. When it is empty it is learned from the API's first answer:
	// keep that (API.Cluster), so that a server which poses as the API later is given no token for another cluster.
	ClusterID string
	// Key is who the caller is. Use one key for one bus. An API goes on with a key that takes its place, a Client does not: see SeedFile.
	Key Signer
	// CAFile is a PEM file of the CAs that nodes' certificates are checked by. It is read at each connection. The default is CAs, or
	// the system's.
	CAFile string
	CAs    *x509.CertPool
	// Dial opens connections to the HTTP API; whatever it connects to, certificates are checked by the host in API. Nil means the system.
	Dial func(ctx context.Context, network, address string) (net.Conn, error)
	// Name is what operators see of the connection. Members of the user's rooms can come to see it, too.
	Name string
	// Logger is told of lost and new connections. Nil discards.
	Logger *slog.Logger
	// ReconnectDelay is how long to wait when all Servers have been tried in vain for the n-th time, from 1 on. The default is 100 ms,
	// twice as long each time up to 5 s, and at random from half of that on. The client never gives up.
	ReconnectDelay func(n int) time.Duration
	// RefusedFor is how long all nodes that answer must refuse the key before calls fail with ErrRemoved; 10 s by default: whoever is put on
	// the allowlist again meanwhile goes on as if nothing had been.
	RefusedFor time.Duration
	// MaxPending is how many messages may be on their way to be kept, 1024 by default. Each holds its data in memory.
	MaxPending int
}

const (
	// dialLimit is how long a connection may take, and the greeting on it.
	dialLimit = 5 * time.Second
	// pingEvery and pingsOut find a connection dead that says nothing, after half a minute.
	pingEvery, pingsOut = 10 * time.Second, 2

	firstDelay, mostDelay = 100 * time.Millisecond, 5 * time.Second
)

// withDefaults fills what is not set.
func (o Options) withDefaults() Options {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.ReconnectDelay == nil {
		o.ReconnectDelay = func(n int) time.Duration { return backoff(n-1, firstDelay, mostDelay) }
	}
	if o.RefusedFor <= 0 {
		o.RefusedFor = 10 * time.Second
	}
	if o.MaxPending <= 0 {
		o.MaxPending = 1024
	}
	return o
}

// doubled is first, doubled n times, at most that long.
func doubled(n int, first, most time.Duration) time.Duration {
	if n = max(n, 0); n < 16 {
		return min(most, first<<n)
	}
	return most
}

// backoff is first, doubled n times, at most that long, of which half is chance.
func backoff(n int, first, most time.Duration) time.Duration {
	d := doubled(n, first, most)
	return d/2 + rand.N(d/2+1)
}

// servers returns the URLs, and whether TLS is needed. Without it the client connects to loopback only.
func (o Options) servers() (urls []string, secure bool, err error) {
	if len(o.Servers) == 0 {
		return nil, false, fmt.Errorf("%w: Options.Servers is empty: give the URL of a node, nats://host:4222", ErrInvalid)
	}
	secure = o.CAFile != "" || o.CAs != nil
	for _, s := range o.Servers {
		if !strings.Contains(s, "://") {
			s = "nats://" + s
		}
		u, err := url.Parse(s)
		if err != nil || u.Scheme != "nats" && u.Scheme != "tls" || u.Hostname() == "" || u.User != nil || u.Path != "" || u.RawQuery != "" {
			return nil, false, fmt.Errorf("%w: a server is not of the form nats://host:port", ErrInvalid) // it is not repeated: it may hold a password
		}
		secure = secure || u.Scheme == "tls" || !isLoopback(u.Hostname())
		urls = append(urls, s)
	}
	return urls, secure, nil
}

// apis returns the base URLs of the HTTP API.
func (o Options) apis() (bases []*url.URL, err error) {
	for s := range strings.SplitSeq(o.API, ",") {
		u, err := url.Parse(strings.TrimSuffix(strings.TrimSpace(s), "/"))
		if err != nil || u.Hostname() == "" || u.User != nil || u.RawQuery != "" || u.Scheme != "https" && u.Scheme != "http" {
			return nil, fmt.Errorf("%w: Options.API is not of the form https://host:port, or several such, separated by commas", ErrInvalid)
		}
		if u.Scheme == "http" && !isLoopback(u.Hostname()) {
			return nil, fmt.Errorf("%w: Options.API must be https off loopback", ErrInsecure)
		}
		bases = append(bases, u)
	}
	return bases, nil
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// roots are the CAs to trust, nil for the system's.
func (o Options) roots() (*x509.CertPool, error) {
	if o.CAFile == "" {
		return o.CAs, nil
	}
	pem, err := os.ReadFile(o.CAFile)
	if err != nil {
		return nil, fmt.Errorf("%w: CA file: %w", ErrInvalid, err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("%w: CA file %s has no certificate in PEM", ErrInvalid, o.CAFile)
	}
	return pool, nil
}

func (o Options) tls() (*tls.Config, error) {
	roots, err := o.roots()
	return &tls.Config{MinVersion: tls.VersionTLS12, RootCAs: roots}, err
}

// nats returns what nats.go is told. What happens to the connection is the client's to say.
func (o Options) nats(user string) (nats.Options, error) {
	urls, secure, err := o.servers()
	if err != nil {
		return nats.Options{}, err
	}
	n := nats.GetDefaultOptions()
	n.Servers, n.IgnoreDiscoveredServers = urls, true
	n.Name, n.InboxPrefix = o.Name, v1.InboxPrefix(user)
	n.Nkey, n.SignatureCB = user, func(nonce []byte) ([]byte, error) { return signNonce(o.Key, nonce) }
	n.Timeout, n.PingInterval, n.MaxPingsOut = dialLimit, pingEvery, pingsOut
	n.MaxReconnect, n.IgnoreAuthErrorAbort, n.CustomReconnectDelayCB = -1, true, o.ReconnectDelay
	n.SubChanLen = liveAhead
	// What is published while there is no connection is not kept for later: whoever publishes knows better what to do.
	n.ReconnectBufSize = -1
	if secure {
		n.Secure = true
		if n.TLSConfig, err = o.tls(); err != nil {
			return nats.Options{}, err
		}
		n.RootCAsCB = o.roots
	}
	return n, nil
}

// dialer dials for nats.go, which knows no contexts: until settle, the end of the context closes what is open.
type dialer struct {
	turn atomic.Uint64 // counts attempts

	mu   sync.Mutex
	ctx  context.Context
	stop func() bool
	err  error // the last one, which nats.go does not tell
}

// Dial implements nats.CustomDialer.
func (d *dialer) Dial(network, address string) (net.Conn, error) {
	d.turn.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	conn, err := (&net.Dialer{Timeout: dialLimit}).DialContext(d.ctx, network, address)
	if err != nil {
		d.err = err
		return nil, err
	}
	d.stop = context.AfterFunc(d.ctx, func() { conn.Close() })
	return conn, nil
}

// settle lets go of the context.
func (d *dialer) settle() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.stop != nil {
		d.stop()
	}
	d.ctx = context.Background()
}
