// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"crypto/rand"
	"crypto/subtle"
	"sync/atomic"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
)

// openAuth is the authenticator of an open server: whoever connects is in AccountHistory. The
// process's own connections name their account, and show a secret made at boot.
type openAuth struct {
	secret string
	ns     atomic.Pointer[server.Server]
}

func newOpenAuth() *openAuth { return &openAuth{secret: rand.Text()} }

func (a *openAuth) Bind(ns *server.Server) { a.ns.Store(ns) }

// Check runs on the connection's own goroutine.
func (a *openAuth) Check(c server.ClientAuthentication) bool {
	account := AccountHistory
	if o := c.GetOpts(); subtle.ConstantTimeCompare([]byte(o.Password), []byte(a.secret)) == 1 {
		account = o.Username
	}
	acc, err := a.ns.Load().LookupAccount(account)
	if err != nil {
		return false
	}
	c.RegisterUser(&server.User{Username: account, Account: acc})
	return true
}

func (a *openAuth) connectOptions(account string) []nats.Option {
	return []nats.Option{nats.UserInfo(account, a.secret)}
}
