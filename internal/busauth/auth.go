// SPDX-License-Identifier: Apache-2.0

// Package busauth decides who may connect to a node: users, the operator and the node's own connections by nkey, other nodes
// by certificate.
package busauth

import (
	"cmp"
	"crypto/ed25519"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// operatorAccounts are those that an operator may name in the user field of its CONNECT.
var operatorAccounts = []string{AccountSystem, AccountMembership, AccountHistory}

// Config says who may connect.
type Config struct {
	// Keys are those of the node's own connections. Required.
	Keys *Keys
	// Operators are public user nkeys ("U...") with every right in SYS, MEMBERSHIP and HISTORY. None is allowed: then nobody
	// can administer the node.
	Operators []string
	// IsAuthorized says whether the user with that Ed25519 key (64 lower-case hexadecimal digits) may connect. It is asked at
	// every connection, from many goroutines at once, and must not block. Nil admits nobody.
	IsAuthorized func(ed25519Hex string) bool
	// IsListed says whether the user is on the allowlist as far as is known, and decides which connections that stand go: a node that
	// does not know enough to admit anybody must not throw out whoever it hears something new of. It is asked like IsAuthorized, which
	// it is if nil.
	IsListed func(ed25519Hex string) bool
	// IsReady says whether who is on the allowlist is known for sure. While it is not, who is not admitted is sent away without a word: told that
	// its key is refused, a client of NATS would give up for good, as one that was removed should. It is asked like IsAuthorized; nil is always.
	IsReady func() bool
	// Grants are the subjects that the user may publish and subscribe to; all others are denied to it, in either direction. It is
	// asked like IsAuthorized, of users that this admits. Nil, or empty lists, grant nothing.
	Grants func(ed25519Hex string) (publish, subscribe []string)
	// UserConnections is how many connections one user may have at a time. Who has as many is sent away without a word, so that its clients try
	// on. 0 is any number.
	UserConnections int
	// Logger is told why a connection was refused, at debug level: strangers must not be able to fill a disk. Nil discards.
	Logger *slog.Logger
}

// Authenticator checks every connection of the embedded server, those within the process included.
type Authenticator struct {
	internal     map[string]string // Ed25519 hex -> account
	operators    map[string]bool
	isAuthorized func(string) bool
	isListed     func(string) bool
	isReady      func() bool
	grants       func(string) (publish, subscribe []string)
	most         int // connections of a user
	log          *slog.Logger
	bound        atomic.Pointer[bound]
	counts       counts
}

// New returns an Authenticator. It fails with ErrKeyType when an operator's key is not a public user nkey.
func New(c Config) (*Authenticator, error) {
	if c.Keys == nil {
		return nil, errors.New("busauth: Config.Keys is nil; make them with NewKeys")
	}
	internal, err := c.Keys.accounts()
	if err != nil {
		return nil, err
	}
	a := &Authenticator{
		internal: internal, operators: map[string]bool{}, isAuthorized: c.IsAuthorized, isListed: c.IsListed, isReady: c.IsReady, grants: c.Grants,
		most: c.UserConnections, log: c.Logger,
	}
	for i, public := range c.Operators {
		h, err := UserHex(public)
		if err != nil {
			return nil, fmt.Errorf("operator key %d of %d: %w; give the public half that `unibus cluster init` printed", i+1, len(c.Operators), err)
		}
		a.operators[h] = true
	}
	if a.isAuthorized == nil {
		a.isAuthorized = func(string) bool { return false }
	}
	if a.isListed == nil {
		a.isListed = a.isAuthorized
	}
	if a.isReady == nil {
		a.isReady = func() bool { return true }
	}
	if a.grants == nil {
		a.grants = func(string) (publish, subscribe []string) { return nil, nil }
	}
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	return a, nil
}

// Bind looks up the accounts of a server, after server.NewServer and before its Start. The last server bound counts: a node that
// restarts its server binds the new one, and the connections to the one before are forgotten. Until the first Bind everybody is refused.
func (a *Authenticator) Bind(s *server.Server) {
	m := make(map[string]*server.Account, len(internalAccounts))
	for _, name := range internalAccounts {
		acc, err := s.LookupAccount(name)
		if err != nil {
			a.log.Error("account is missing in the server's configuration, nobody can log in to it", "account", name, "error", err)
			continue
		}
		m[name] = acc
	}
	a.bound.Store(newBound(s, m))
}

// Check implements server.Authentication. It neither blocks nor dials.
func (a *Authenticator) Check(c server.ClientAuthentication) bool {
	knew := a.isReady() // who comes to know meanwhile may have judged before
	why := a.check(c)
	if why == refusedUnknown && !(knew && a.isReady()) {
		why = refusedNotReady
	}
	if why == refusedNotReady || why == refusedMany {
		// By its number another server, bound meanwhile, may have another connection.
		if b := a.bound.Load(); b.find(c) != nil {
			_ = b.server.DisconnectClientByID(c.GetID()) // it fails on who has gone by itself
		}
	}
	a.counts.add(why)
	if why != admitted {
		a.log.Debug("connection refused", "reason", why.String(), "remote", remote(c))
	}
	return why == admitted
}

func (a *Authenticator) check(c server.ClientAuthentication) verdict {
	// Leaf nodes pass here too. The companion's has credentials of its own, which the server checks by itself.
	if c.Kind() != server.CLIENT {
		return refusedKind
	}
	nonce, opts := c.GetNonce(), c.GetOpts()
	// A signature over nothing could be replayed for ever.
	if len(nonce) == 0 {
		return refusedNonce
	}
	public, err := rawKey(nkeys.PrefixByteUser, opts.Nkey)
	if err != nil {
		return refusedKey
	}
	sig, err := decodeSignature(opts.Sig)
	if err != nil || !ed25519.Verify(public, nonce, sig) {
		return refusedSignature
	}
	key := hex.EncodeToString(public)
	account, why := a.account(key, opts.Username)
	if why != admitted {
		return why
	}
	b := a.bound.Load()
	if b == nil || b.accounts[cmp.Or(account, AccountClients)] == nil {
		return refusedAccount
	}
	if account == "" {
		return b.enter(c, key, a.most, func(key string) *rights { return a.ask(a.isAuthorized, key) })
	}
	// Listings name a connection by its nkey. The user name, which is only a wish, must not stay there as if it had been checked.
	c.RegisterUser(&server.User{Username: key, Account: b.accounts[account]})
	return admitted
}

// account decides, for a key whose proof holds, in which account it has every right. It is empty for a user's key.
func (a *Authenticator) account(key, wish string) (account string, why verdict) {
	if account, ok := a.internal[key]; ok {
		return account, admitted
	}
	switch {
	case !a.operators[key]:
		return "", admitted
	case wish == "":
		return AccountSystem, admitted
	case !slices.Contains(operatorAccounts, wish):
		return "", refusedAccount
	}
	return wish, admitted
}

// ask returns what a user may do now that is allowed in, nil when it is not: by isAuthorized at its connection, by isListed later.
func (a *Authenticator) ask(allowed func(string) bool, key string) *rights {
	if !allowed(key) {
		return nil
	}
	return newRights(a.grants(key))
}

// Counts returns what happened to connections since the start: how many were admitted, and refused by reason; how many of users were
// "narrowed" by Refresh, which took a subject to subscribe to from them, and "kicked" by it or by DropUsers.
func (a *Authenticator) Counts() map[string]uint64 { return maps.Collect(a.counts.all()) }

func remote(c server.ClientAuthentication) string {
	if addr := c.RemoteAddress(); addr != nil {
		return addr.String()
	}
	return "in process"
}
