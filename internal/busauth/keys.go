// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"fmt"

	"github.com/nats-io/nkeys"
)

// Accounts of the embedded server. A fifth one, for the companion leaf node, is nobody's to choose.
const (
	// AccountSystem is the system account.
	AccountSystem = "SYS"
	// AccountClients holds the users of the bus. It has no JetStream.
	AccountClients = "CLIENTS"
	// AccountMembership holds the buckets of users, rooms and members.
	AccountMembership = "MEMBERSHIP"
	// AccountHistory holds the streams of what rooms keep.
	AccountHistory = "HISTORY"
)

// internalAccounts are those that the node itself logs in to.
var internalAccounts = []string{AccountSystem, AccountClients, AccountMembership, AccountHistory}

// Keys are the logins of a node's own in-process connections, one for each account: made at boot, never stored, so that
// there is nothing to steal from a disk and nothing to configure.
type Keys struct {
	byAccount map[string]login
}

type login struct {
	public string
	pair   nkeys.KeyPair
}

// NewKeys makes new keys. It fails only when the system gives no random bytes.
func NewKeys() (*Keys, error) {
	k := &Keys{byAccount: make(map[string]login, len(internalAccounts))}
	for _, account := range internalAccounts {
		pair, err := nkeys.CreateUser()
		if err != nil {
			return nil, fmt.Errorf("make the node's key for account %s: %w", account, err)
		}
		public, err := pair.PublicKey()
		if err != nil {
			return nil, fmt.Errorf("public half of the node's key for account %s: %w", account, err)
		}
		k.byAccount[account] = login{public: public, pair: pair}
	}
	return k, nil
}

// Login returns what a NATS client needs to log in to the account, in the form that nats.Nkey takes: nats.Nkey(keys.Login(account)).
// For an account that the node has no key for, sign fails and says so.
func (k *Keys) Login(account string) (public string, sign func(nonce []byte) ([]byte, error)) {
	l, ok := k.byAccount[account]
	if !ok {
		return "", func([]byte) ([]byte, error) { return nil, fmt.Errorf("the node has no key for account %q", account) }
	}
	return l.public, l.pair.Sign
}

// accounts maps the Ed25519 hex of each key to its account.
func (k *Keys) accounts() (map[string]string, error) {
	m := make(map[string]string, len(k.byAccount))
	for account, l := range k.byAccount {
		hex, err := UserHex(l.public)
		if err != nil {
			return nil, fmt.Errorf("the node's key for account %s: %w", account, err)
		}
		m[hex] = account
	}
	return m, nil
}
