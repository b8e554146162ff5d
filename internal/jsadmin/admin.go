// SPDX-License-Identifier: Apache-2.0

// Package jsadmin administers JetStream by NATS messages alone: what a control plane that does not link the server can do.
//
// Requests about the meta group go over the system account, requests about a stream over the account that owns it. Questions
// are asked in short attempts that are repeated, since nobody answers while there is no leader; changes are asked for once,
// since whoever drives them looks again before the next one. No change is made on the word of a single server: see Admin.Meta.
package jsadmin

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
)

// SystemAccount is the name under which Options.Connect is asked for the credentials of the system account.
const SystemAccount = "SYS"

// Default and fixed times.
const (
	// defaultTimeout is how long a question is repeated, and how long a change may take to be answered.
	defaultTimeout = 5 * time.Second
	// firstAttempt is the first attempt of a question; each further one may take twice as long, up to lastAttempt. A call that
	// was sent before there was a leader is dropped, so one long attempt would wait for nothing.
	firstAttempt = 250 * time.Millisecond
	lastAttempt  = time.Second
	// listAttempt is one attempt of a question whose answer servers wait up to four seconds for.
	listAttempt = 5 * time.Second
	// quiet is how long servers that have not answered yet are waited for once there are enough answers.
	quiet = 300 * time.Millisecond
)

var (
	// ErrNoLeader is returned when no meta leader answers, or none whose claim a quorum of its members confirms.
	ErrNoLeader = errors.New("no meta leader that a quorum confirms")
	// ErrTwoLeaders is returned when two meta leaders are each confirmed by a quorum of their own members: two clusters share
	// their routes. Nothing may be changed then; a person has to take one of them apart.
	ErrTwoLeaders = errors.New("two meta groups answer")
	// ErrNotMember is returned for a server name that the meta group does not list.
	ErrNotMember = errors.New("not a member of the meta group")
	// ErrHoldsReplicas is returned when a running member is to be removed that has what others don't have.
	ErrHoldsReplicas = errors.New("member still holds replicas")
	// ErrWouldLose is returned when a member is to be removed without whom a stream would lose data or its quorum.
	ErrWouldLose = errors.New("stream would lose data or its quorum")
	// ErrNoPlace is returned when a replica can't be moved, since no other member can take it.
	ErrNoPlace = errors.New("no other member can take the replica")
	// ErrNotInSync is returned when leadership is to move to a replica that two witnesses don't call complete.
	ErrNotInSync = errors.New("replica is not in sync")
	// ErrForeignAccount is returned when an account that Options.Accounts does not name has streams: they could not be looked after.
	ErrForeignAccount = errors.New("account with streams is not administered")
	// ErrMoved is returned when a stream changed its leader while it was read; reading again helps.
	ErrMoved = errors.New("stream changed its leader while it was read")
)

// Options say how the cluster is reached.
type Options struct {
	// URLs are client URLs of nodes; one that answers is enough.
	URLs []string
	// Connect returns the options of a connection to an account: credentials, TLS. SystemAccount asks for the system account.
	// Nil means none.
	Connect func(account string) []nats.Option
	// Accounts are all accounts that may have streams.
	Accounts []string
	// Names are server names that are known from elsewhere. A server that was restarted does not know the names of members that
	// it has never met, only a hash of each.
	Names []string
	// Timeout is how long a question is repeated, and how long a change may take to be answered. Default: 5 s.
	Timeout time.Duration
}

// Admin administers one cluster. It may be used by several goroutines.
type Admin struct {
	opts Options

	mu       sync.Mutex
	urls     []string
	names    map[string]string // peer id -> server name
	next     int               // index in urls of the node that is dialled next
	sys      *nats.Conn
	accounts map[string]*nats.Conn
}

// Connect returns an Admin once a node answers. It fails when none of the URLs can be reached or the credentials are refused.
func Connect(ctx context.Context, opts Options) (*Admin, error) {
	if opts.Timeout <= 0 {
		opts.Timeout = defaultTimeout
	}
	if opts.Connect == nil {
		opts.Connect = func(string) []nats.Option { return nil }
	}
	a := &Admin{opts: opts, names: map[string]string{}, accounts: map[string]*nats.Conn{}}
	a.Know(opts.URLs, opts.Names)
	if _, err := a.system(ctx); err != nil {
		return nil, err
	}
	return a, nil
}

// Know replaces the nodes that are dialled (when urls is not empty) and adds server names that are known from elsewhere.
func (a *Admin) Know(urls, names []string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(urls) > 0 && !slices.Equal(urls, a.urls) {
		a.urls, a.next = slices.Clone(urls), 0
	}
	for _, n := range names {
		a.names[PeerID(n)] = n
	}
}

// Close closes all connections.
func (a *Admin) Close() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hangUp()
}

// hangUp closes all connections; a.mu is held.
func (a *Admin) hangUp() {
	if a.sys != nil {
		a.sys.Close()
		a.sys = nil
	}
	for n, c := range a.accounts {
		c.Close()
		delete(a.accounts, n)
	}
}

// rotate gives up the node that is connected, so that the next call dials the next one.
func (a *Admin) rotate() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.hangUp()
}

// system returns the connection to the system account, dialling all nodes in turn when there is none.
func (a *Admin) system(ctx context.Context) (*nats.Conn, error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.sys != nil && a.sys.IsConnected() {
		return a.sys, nil
	}
	a.hangUp()
	if len(a.urls) == 0 {
		return nil, errors.New("connect to the system account: no node has a client URL (is NATS running on any?)")
	}
	var errs []error
	for range a.urls {
		if err := ctx.Err(); err != nil {
			return nil, fmt.Errorf("connect to the system account: %w", err)
		}
		u := a.urls[a.next%len(a.urls)]
		a.next++
		nc, err := a.dial(u, SystemAccount)
		if err == nil {
			a.sys = nc
			return nc, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("connect to the system account: %w", errors.Join(errs...))
}

// account returns the connection to an account, through the same node as the system account's: what a quorum confirmed of that
// node's side of a partition then holds for the account's answers as well.
func (a *Admin) account(ctx context.Context, name string) (*nats.Conn, error) {
	sys, err := a.system(ctx)
	if err != nil {
		return nil, err
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if c := a.accounts[name]; c != nil {
		if c.IsConnected() && c.ConnectedServerId() == sys.ConnectedServerId() {
			return c, nil
		}
		c.Close()
		delete(a.accounts, name)
	}
	nc, err := a.dial(sys.ConnectedUrl(), name)
	if err != nil {
		return nil, err
	}
	a.accounts[name] = nc
	return nc, nil
}

// dial connects once. There is no reconnecting behind our back: which node a connection ends at decides what its answers are worth.
func (a *Admin) dial(url, account string) (*nats.Conn, error) {
	if url == "" {
		return nil, fmt.Errorf("connect to account %s: the connection to the system account was lost", account)
	}
	opts := append([]nats.Option{
		nats.Name("unibus-admin"), nats.NoReconnect(), nats.Timeout(2 * time.Second), nats.IgnoreDiscoveredServers(),
		nats.ErrorHandler(func(*nats.Conn, *nats.Subscription, error) {}),
	}, a.opts.Connect(account)...)
	nc, err := nats.Connect(url, opts...)
	if err != nil {
		return nil, fmt.Errorf("connect to account %s at %s: %w", account, url, err)
	}
	return nc, nil
}
