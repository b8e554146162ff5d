// SPDX-License-Identifier: Apache-2.0

package embeddednats

import (
	"crypto/rand"
	"crypto/sha256"
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

// routeAuth decides who may be another server of the cluster: who shows the user, and a password that is accepted now. nats-server's own
// check knows one password, and learns of another one only by a reload, which ends routes.
type routeAuth struct {
	user, password string
	also           func() []string
}

// Check runs on the goroutine of a route that was dialled by the other end.
func (a routeAuth) Check(c server.ClientAuthentication) bool {
	shown := c.GetOpts()
	known := same(shown.Password, a.password)
	if a.also != nil {
		for _, password := range a.also() {
			if password != "" {
				known |= same(shown.Password, password)
			}
		}
	}
	return known&same(shown.Username, a.user) == 1
}

// same takes as long for all texts of a length, whatever they have in common with the secret, and does not tell its length.
func same(shown, secret string) int {
	a, b := sha256.Sum256([]byte(shown)), sha256.Sum256([]byte(secret))
	return subtle.ConstantTimeCompare(a[:], b[:])
}
