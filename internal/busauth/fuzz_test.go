// SPDX-License-Identifier: Apache-2.0

package busauth

import (
	"crypto/ed25519"
	"crypto/tls"
	"encoding/base64"
	"net"
	"testing"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nkeys"
)

// attempt is a connection as the server shows it to an Authenticator.
type attempt struct {
	id    uint64
	kind  int
	nonce []byte
	opts  server.ClientOpts
	user  *server.User
}

func (a *attempt) GetOpts() *server.ClientOpts                 { return &a.opts }
func (a *attempt) GetTLSConnectionState() *tls.ConnectionState { return nil }
func (a *attempt) RegisterUser(u *server.User)                 { a.user = u }
func (a *attempt) RemoteAddress() net.Addr                     { return nil }
func (a *attempt) GetNonce() []byte                            { return a.nonce }
func (a *attempt) Kind() int                                   { return a.kind }
func (a *attempt) GetID() uint64                               { return a.id }

// FuzzSignature: whatever is sent as key, signature and user, nobody comes in without a signature of the allowed key, and the
// server doesn't panic.
func FuzzSignature(f *testing.F) {
	user, order := mustKey(f, nkeys.CreateUser), mustKey(f, nkeys.CreateOperator)
	auth := mustAuth(f, Config{Keys: mustKeys(f), IsAuthorized: func(string) bool { return true }})
	mustServer(f, auth, nil)
	const nonce = "nonce-of-tests_"
	f.Add(user.public, user.raw(f, nonce), "", nonce)
	f.Add(user.public, base64.StdEncoding.EncodeToString(user.sign(f, nonce)), "SYS", nonce)
	f.Add(order.public, order.raw(f, nonce), "", nonce)
	f.Add(mustEncode(f, nkeys.PrefixByteUser, user.bytes[:31]), user.raw(f, nonce), "", nonce)
	f.Add(mustEncode(f, nkeys.PrefixByteUser, append(user.bytes, 0)), user.raw(f, nonce), "", nonce)
	f.Add(mustEncode(f, nkeys.PrefixByteUser, make([]byte, 32)), base64.RawURLEncoding.EncodeToString(make([]byte, 64)), "", nonce)
	f.Add(user.public+"\n", user.raw(f, nonce)+"\r\n", "", nonce)
	f.Add("", "", "", "")
	f.Fuzz(func(t *testing.T, public, sig, name, nonce string) {
		a := &attempt{kind: server.CLIENT, nonce: []byte(nonce), opts: server.ClientOpts{Nkey: public, Sig: sig, Username: name}}
		why := auth.check(a)
		if a.user != nil {
			t.Error("registered, though it is no connection of the server")
		}
		if why != refusedEnded {
			return
		}
		// All but that was in order: there is a key of 32 bytes and a signature of 64 over a nonce, by the standard library's word.
		raw, err := nkeys.Decode(nkeys.PrefixByteUser, []byte(public))
		if err != nil || len(raw) != ed25519.PublicKeySize || nonce == "" {
			t.Fatalf("admitted with key %q (%v) and nonce %q", public, err, nonce)
		}
		if mustEncode(t, nkeys.PrefixByteUser, raw) != public {
			t.Fatalf("admitted with key %q, in another spelling than the one by which it is removed", public)
		}
		b, err := base64.RawURLEncoding.DecodeString(sig)
		if err != nil {
			b, err = base64.StdEncoding.DecodeString(sig)
		}
		if err != nil || !ed25519.Verify(raw, []byte(nonce), b) {
			t.Fatalf("admitted with signature %q: %v", sig, err)
		}
	})
}
