// SPDX-License-Identifier: Apache-2.0

// Package busauth decides who may connect to a node: users, the operator and the node's own connections by nkey, other nodes
// by certificate.
package busauth

import (
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

// clientDenied are the subjects of the server's own services. No client may speak to them, in whatever account.
var clientDenied = []string{"$JS.>", "$KV.>", "$SYS.>"}

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
	// Logger is told why a connection was refused, at debug level: strangers must not be able to fill a disk. Nil discards.
	Logger *slog.Logger
}

// Authenticator checks every connection of the embedded server, those within the process included.
type Authenticator struct {
	internal     map[string]string // Ed25519 hex -> account
	operators    map[string]bool
	isAuthorized func(string) bool
	log          *slog.Logger
	accounts     atomic.Pointer[map[string]*server.Account]
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
	a := &Authenticator{internal: internal, operators: map[string]bool{}, isAuthorized: c.IsAuthorized, log: c.Logger}
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
	if a.log == nil {
		a.log = slog.New(slog.DiscardHandler)
	}
	return a, nil
}

// Bind looks up the accounts of a server, after server.NewServer and before its Start. The last server bound counts: a node that
// restarts its server binds the new one. Until the first Bind everybody is refused.
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
	a.accounts.Store(&m)
}

// Check implements server.Authentication. It neither blocks nor dials.
func (a *Authenticator) Check(c server.ClientAuthentication) bool {
	user, why := a.check(c)
	a.counts.add(why)
	if why != admitted {
		a.log.Debug("connection refused", "reason", why.String(), "remote", remote(c))
		return false
	}
	c.RegisterUser(user)
	return true
}

func (a *Authenticator) check(c server.ClientAuthentication) (*server.User, verdict) {
	// Leaf nodes pass here too. The companion's has credentials of its own, which the server checks by itself.
	if c.Kind() != server.CLIENT {
		return nil, refusedKind
	}
	nonce, opts := c.GetNonce(), c.GetOpts()
	// A signature over nothing could be replayed for ever.
	if len(nonce) == 0 {
		return nil, refusedNonce
	}
	public, err := rawKey(nkeys.PrefixByteUser, opts.Nkey)
	if err != nil {
		return nil, refusedKey
	}
	sig, err := decodeSignature(opts.Sig)
	if err != nil || !ed25519.Verify(public, nonce, sig) {
		return nil, refusedSignature
	}
	key := hex.EncodeToString(public)
	account, permissions, why := a.admit(key, opts.Username)
	if why != admitted {
		return nil, why
	}
	accounts := a.accounts.Load()
	if accounts == nil || (*accounts)[account] == nil {
		return nil, refusedAccount
	}
	// Listings name a connection by its nkey. The user name, which is only a wish, must not stay there as if it had been checked.
	return &server.User{Username: key, Account: (*accounts)[account], Permissions: permissions}, admitted
}

// admit decides, for a key whose proof holds, the account and the permissions in it; nil permissions are all.
func (a *Authenticator) admit(key, wish string) (account string, p *server.Permissions, why verdict) {
	if account, ok := a.internal[key]; ok {
		return account, nil, admitted
	}
	if a.operators[key] {
		if wish == "" {
			return AccountSystem, nil, admitted
		}
		if !slices.Contains(operatorAccounts, wish) {
			return "", nil, refusedAccount
		}
		return wish, nil, admitted
	}
	if !a.isAuthorized(key) {
		return "", nil, refusedUnknown
	}
	return AccountClients, clientPermissions(), admitted
}

// clientPermissions are made anew for each connection, since the server keeps and may change them.
func clientPermissions() *server.Permissions {
	return &server.Permissions{
		Publish:   &server.SubjectPermission{Deny: slices.Clone(clientDenied)},
		Subscribe: &server.SubjectPermission{Deny: slices.Clone(clientDenied)},
	}
}

// Counts returns how many connections were admitted and refused since the start, by reason.
func (a *Authenticator) Counts() map[string]uint64 { return maps.Collect(a.counts.all()) }

func remote(c server.ClientAuthentication) string {
	if addr := c.RemoteAddress(); addr != nil {
		return addr.String()
	}
	return "in process"
}
